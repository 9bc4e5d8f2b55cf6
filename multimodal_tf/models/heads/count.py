"""A count: the rate of a Poisson distribution, with a logarithmic link and the Poisson loss."""

import math
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import CountHead
from multimodal_tf.losses import PoissonLoss
from multimodal_tf.models.heads.prior import or_prior
from multimodal_tf.models.layer import Layer
from multimodal_tf.schema import Moments

# of the logarithm of a rate over the mean: no rate is 0 or infinite, and no loss overflows
_LIMIT = 20.0


def output(
    head: CountHead,
    stats: Moments,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """A rate `(batch, 1)`, above 0; see `models.heads.output`."""
    x = layers.Dense(1, dtype="float32", name=f"{name}_normalised")(x)
    layer = PoissonRate(_mean(stats), stats.std, dtype="float32", name=name)
    return layer(x) if any_present is None else layer(x, any_present)


def prior(head: CountHead, stats: Moments, width: int) -> list[float]:
    """The mean of the training rows."""
    return [_mean(stats)]


def loss(head: CountHead, stats: Moments) -> keras.losses.Loss:
    """The Poisson loss divided by the dispersion of the training rows."""
    return PoissonLoss(stats.std**2 / _mean(stats))


def metrics(head: CountHead) -> list[keras.metrics.Metric]:
    """Mean absolute error of the rate."""
    return [keras.metrics.MeanAbsoluteError(name="mae")]


@keras.saving.register_keras_serializable("multimodal_tf")
class PoissonRate(Layer):
    """A rate from a number without unit: `mean * exp(spread * x)`.

    `spread` is the standard deviation of the logarithm of a log-normal variable with this mean and
    standard deviation. So an `x` of about 1, as an untrained layer gives, stays within the spread
    of the counts, however small or large these are.

    Args:
        mean: float above 0, of the counts in the training split.
        std: float above 0, of these counts.

    Call:
        `x` is `(batch, 1)`, no unit; `any_present`, if given, float `(batch,)`, above 0.5 where any
        input is present; the other rows get `mean`. Returns `(batch, 1)`, above 0; at most `e^20`
        times more or less than `mean`.

    Example:
        >>> PoissonRate(4.0, 2.0)(ops.array([[0.0], [1.0]])).numpy().astype(float).round(2).tolist()
        [[4.0], [6.42]]
    """

    def __init__(self, mean: float, std: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = float(mean), float(std)
        self._spread = math.sqrt(math.log1p((self.std / self.mean) ** 2))

    def call(self, x: Any, any_present: Any = None) -> Any:
        if any_present is not None:
            x = or_prior(x, any_present, [0.0])
        return self.mean * ops.exp(ops.clip(self._spread * x, -_LIMIT, _LIMIT))

    def compute_output_shape(self, x_shape: Any, any_present_shape: Any = None) -> Any:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std}


def _mean(stats: Moments) -> float:
    """The mean of the training rows; where all counts are 0, as if one row had half a count."""
    return stats.mean if stats.mean > 0 else 0.5 / (stats.rows or 1)
