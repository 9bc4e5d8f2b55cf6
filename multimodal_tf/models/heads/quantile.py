"""Quantiles of a number: rising steps, with the pinball loss."""

import statistics
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import QuantileHead
from multimodal_tf.losses import PinballLoss
from multimodal_tf.models.heads.ordinal import inverse_softplus
from multimodal_tf.models.heads.prior import or_prior
from multimodal_tf.models.layer import Layer
from multimodal_tf.schema import Moments


def output(
    head: QuantileHead,
    stats: Moments,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """Quantiles `(batch, quantiles)`, rising, in the label's unit; see `models.heads.output`."""
    x = layers.Dense(len(head.quantiles), dtype="float32", name=f"{name}_normalised")(x)
    mean = stats.mean - stats.centre
    layer = RisingQuantiles(head.quantiles, mean, stats.std, dtype="float32", name=name)
    return layer(x) if any_present is None else layer(x, any_present)


def prior(head: QuantileHead, stats: Moments, width: int) -> list[float]:
    """Those of a normal distribution of the training rows' mean and standard deviation."""
    normal = map(statistics.NormalDist().inv_cdf, head.quantiles)
    return [stats.mean - stats.centre + stats.std * z for z in normal]


def loss(head: QuantileHead, stats: Moments) -> keras.losses.Loss:
    """The pinball loss."""
    return PinballLoss(head.quantiles, stats.std)


def metrics(head: QuantileHead) -> list[keras.metrics.Metric]:
    """Mean absolute error of the point prediction, and coverage of the interval."""
    return [QuantileError(head.point_index, name="mae"), IntervalCoverage(name="coverage")]


@keras.saving.register_keras_serializable("multimodal_tf")
class RisingQuantiles(Layer):
    """Quantiles of a number, each the one below it and a positive step.

    Zeros give the quantiles of a normal distribution.

    Args:
        levels: list of float, rising, between 0 and 1 (both exclusive): the probabilities.
        mean: float, in the number's unit.
        std: float above 0, in the number's unit.

    Call:
        `x` is `(batch, levels)`, no unit; `any_present`, if given, float `(batch,)`, above 0.5
        where any input is present; the other rows get the normal distribution's. Returns `(batch,
        levels)`, rising, in the number's unit.

    Example:
        >>> x = RisingQuantiles([0.05, 0.5, 0.95], 100.0, 10.0)(ops.zeros((1, 3)))
        >>> x.numpy().astype(float).round(2).tolist()
        [[83.55, 100.0, 116.45]]
    """

    def __init__(self, levels: Sequence[float], mean: float, std: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = [float(level) for level in levels]
        self.mean, self.std = float(mean), float(std)
        normal = [statistics.NormalDist().inv_cdf(level) for level in self.levels]
        self._lowest = normal[0]
        self._steps = [
            inverse_softplus(higher - lower) for lower, higher in zip(normal, normal[1:])
        ]

    def call(self, x: Any, any_present: Any = None) -> Any:
        if any_present is not None:
            x = or_prior(x, any_present, [0.0] * len(self.levels))
        lowest = x[:, :1] + self._lowest
        steps = ops.softplus(x[:, 1:] + ops.convert_to_tensor(self._steps, x.dtype))
        return ops.cumsum(ops.concatenate([lowest, steps], axis=1), axis=1) * self.std + self.mean

    def compute_output_shape(self, x_shape: Any, any_present_shape: Any = None) -> Any:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels, "mean": self.mean, "std": self.std}


@keras.saving.register_keras_serializable("multimodal_tf")
class QuantileError(keras.metrics.Mean):
    """Mean absolute error of one of several quantiles; a row of weight 0 does not count.

    Args:
        index: int, from 0. Which quantile.
    """

    def __init__(self, index: int, name: str = "mae", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.index = index

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        label = ops.cast(y_true[:, 0], y_pred.dtype)
        return super().update_state(ops.abs(y_pred[:, self.index] - label), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "index": self.index}


@keras.saving.register_keras_serializable("multimodal_tf")
class IntervalCoverage(keras.metrics.Mean):
    """The share of rows between the lowest and the highest quantile, both included.

    A row of weight 0 does not count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        label = ops.cast(y_true[:, 0], y_pred.dtype)
        inside = ops.logical_and(label >= y_pred[:, 0], label <= y_pred[:, -1])
        return super().update_state(ops.cast(inside, self.dtype), sample_weight)
