"""Losses of a row's prediction and its label."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

MEAN = "sum_over_batch_size"


@keras.saving.register_keras_serializable("multimodal_tf")
class ScaledMeanSquaredError(keras.losses.Loss):
    """Squared error divided by the label's variance, so that the unit does not matter.

    A constant prediction of the mean has loss 1 on the rows that gave the variance.

    Args:
        variance: float > 0, in the label's unit squared; the training split's.

    Call:
        `y_true` and `y_pred` are float `(batch, 1)` (or `(batch, k)`, then their mean), in the
        label's unit. `call` returns float `(batch,)`, no unit.

    Raises:
        ValueError: `variance` is not a positive finite number.

    Example:
        >>> loss = ScaledMeanSquaredError(variance=4.0)
        >>> float(loss(ops.array([[1.0], [3.0]]), ops.array([[3.0], [3.0]])))  # (4 / 4 + 0 / 4) / 2
        0.5
    """

    def __init__(
        self, variance: float, name: str = "scaled_mean_squared_error", reduction: str = MEAN
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        if not 0 < variance < float("inf"):
            raise ValueError(f"`variance` must be a positive finite number, received {variance!r}")
        self.variance = float(variance)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axis=-1) / self.variance

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "variance": self.variance}


@keras.saving.register_keras_serializable("multimodal_tf")
class PoissonLoss(keras.losses.Loss):
    """Negative Poisson log-likelihood less that of a perfect prediction, divided by `dispersion`.

    With dispersion 1 its gradient is that of `keras.losses.Poisson`, which it exceeds by a constant
    of the labels, so that it is never negative: learned loss weights need that. Counts that vary
    more than a Poisson distribution, such as large ones, would outweigh the losses of other heads.
    Divided by their dispersion, a constant prediction of the mean has a loss of about 1/2, in any
    unit.

    Args:
        dispersion: float > 0. Variance of the labels divided by their mean, in the training split.

    Call:
        `y_true` is float `(batch, 1)`, 0 or more; `y_pred` float `(batch, 1)`, a rate above 0.
        `call` returns float `(batch,)`, half the deviance over the dispersion.

    Raises:
        ValueError: `dispersion` is not a positive finite number.

    Example:
        >>> loss = PoissonLoss(dispersion=1.0)
        >>> round(float(loss(ops.array([[2.0]]), ops.array([[1.0]]))), 4)  # 2 log(2 / 1) - (2 - 1)
        0.3863

    Source: McCullagh and Nelder 1989, Generalized Linear Models, section 2.3 (deviance) and chapter
    9 (quasi-likelihood).
    """

    def __init__(self, dispersion: float, name: str = "poisson", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)
        if not 0 < dispersion < float("inf"):
            raise ValueError(
                f"`dispersion` must be a positive finite number, received {dispersion!r}"
            )
        self.dispersion = float(dispersion)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        # y log(y / rate) is 0 for a count of 0
        ratio = ops.where(y_true > 0, y_true, y_pred) / y_pred
        likelihood = y_true * ops.log(ratio) - (y_true - y_pred)
        return ops.mean(likelihood, axis=-1) / self.dispersion

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dispersion": self.dispersion}


@keras.saving.register_keras_serializable("multimodal_tf")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of class indices against softmax probabilities, with label smoothing.

    It is `keras.losses.CategoricalCrossentropy(label_smoothing=...)` of the one-hot classes, which
    Keras 3.15 does not offer for class indices.

    Args:
        label_smoothing: float, 0 to 1 (exclusive). Share of the target that is spread evenly; 0:
            `SparseCategoricalCrossentropy`.

    Call:
        `y_true` is int `(batch,)` or `(batch, 1)`, `y_pred` float `(batch, classes)` that sums to
        1. `call` returns float `(batch,)`, nats.

    Raises:
        ValueError: `label_smoothing` is not in 0 to 1.

    Example:
        >>> round(float(SmoothedCrossentropy(0.5)([1], [[0.5, 0.5]])), 4)  # log 2, smoothed or not
        0.6931

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    def __init__(
        self, label_smoothing: float, name: str = "smoothed_crossentropy", reduction: str = MEAN
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        self.label_smoothing = _smoothing(label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        return keras.losses.categorical_crossentropy(
            _one_hot(y_true, y_pred), y_pred, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("multimodal_tf")
class FocalCrossentropy(keras.losses.Loss):
    """Cross-entropy that weights a row less the higher its right class's probability is already.

    `-(1 - p)^gamma log p`, summed over the target's classes.

    Args:
        gamma: float, 0 or more. 0: `SmoothedCrossentropy`.
        label_smoothing: float, 0 to 1 (exclusive). Share of the target that is spread evenly over
            all classes.

    Call:
        As `SmoothedCrossentropy`.

    Raises:
        ValueError: `gamma` is negative or not finite, or `label_smoothing` is not in 0 to 1.

    Example:
        >>> round(float(FocalCrossentropy(gamma=2.0)([1], [[0.5, 0.5]])), 4)  # log(2) / 4
        0.1733

    Source: Lin et al. 2017, arXiv:1708.02002, equation 4.
    """

    def __init__(
        self,
        gamma: float,
        label_smoothing: float = 0.0,
        name: str = "focal_crossentropy",
        reduction: str = MEAN,
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"`gamma` must be 0 or more and finite, received {gamma!r}")
        self.gamma, self.label_smoothing = float(gamma), _smoothing(label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        spread = self.label_smoothing / y_pred.shape[-1]
        target = _one_hot(y_true, y_pred) * (1 - self.label_smoothing) + spread
        # not 0, where a probability has been rounded up to 1: the slope of the power of a `gamma`
        # below 1 is infinite there
        easy = ops.power(ops.maximum(1 - y_pred, 1e-7), self.gamma)
        return -ops.sum(target * easy * _log(y_pred), axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {"gamma": self.gamma, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("multimodal_tf")
class CumulativeLinkLoss(keras.losses.Loss):
    """For ordered classes: the binary cross-entropies of «above the k-th class», summed over k.

    So a mistake by two steps costs more than one by a step. With two classes it is the
    cross-entropy.

    Call:
        `y_true` is int `(batch,)` or `(batch, 1)`, 0 for the lowest class; `y_pred` float `(batch,
        classes)` that sums to 1. `call` returns float `(batch,)`, nats.

    Example:
        >>> loss = CumulativeLinkLoss(reduction=None)
        >>> rows = loss([0, 2], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])  # first: -log .5 - log .75
        >>> rows.numpy().astype(float).round(4).tolist()
        [0.9808, 2.0794]

    Source: Cao et al. 2020, arXiv:1901.07884, equation 4 with equal importances.
    """

    def __init__(self, name: str = "cumulative_link", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        steps = y_pred.shape[-1] - 1
        above = ops.reshape(ops.cast(y_true, "int32"), (-1, 1)) > ops.arange(steps, dtype="int32")
        # two sums, not one and its difference from 1: both ends stay exact
        at_most = ops.cumsum(y_pred, axis=-1)[:, :steps]
        over = ops.flip(ops.cumsum(ops.flip(y_pred, axis=-1), axis=-1), axis=-1)[:, 1:]
        return -ops.sum(_log(ops.where(above, over, at_most)), axis=-1)


@keras.saving.register_keras_serializable("multimodal_tf")
class PinballLoss(keras.losses.Loss):
    """The quantile loss, divided by the label's standard deviation; the mean over the quantiles.

    Its mean over rows is least where the predictions are the quantiles.

    Args:
        levels: list of float between 0 and 1 (both exclusive). The quantiles' probabilities.
        std: float > 0, in the label's unit; the training split's.

    Call:
        `y_true` is float `(batch, 1)`, `y_pred` float `(batch, levels)`, in the label's unit.
        `call` returns float `(batch,)`, no unit.

    Raises:
        ValueError: a level is not between 0 and 1, or `std` is not a positive finite number.

    Example:
        >>> loss = PinballLoss([0.25, 0.75], std=2.0)
        >>> float(loss(ops.array([[8.0]]), ops.array([[4.0, 12.0]])))  # (.25 * 4 + .25 * 4) / 2 / 2
        0.5

    Source: Koenker and Bassett 1978, «Regression Quantiles».
    """

    def __init__(
        self,
        levels: Sequence[float],
        std: float,
        name: str = "pinball",
        reduction: str = MEAN,
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        if not levels or not all(0 < level < 1 for level in levels):
            raise ValueError(f"`levels` must be between 0 and 1, received {levels!r}")
        if not 0 < std < float("inf"):
            raise ValueError(f"`std` must be a positive finite number, received {std!r}")
        self.levels, self.std = [float(level) for level in levels], float(std)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        above = (y_true - y_pred) / self.std
        levels = ops.convert_to_tensor(self.levels, above.dtype)
        return ops.mean(ops.maximum(levels * above, (levels - 1) * above), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels, "std": self.std}


def _smoothing(label_smoothing: float) -> float:
    if not 0 <= label_smoothing < 1:
        raise ValueError(
            f"`label_smoothing` must be at least 0 and less than 1, received {label_smoothing!r}"
        )
    return float(label_smoothing)


def _one_hot(y_true: Any, y_pred: Any) -> Any:
    index = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    return ops.one_hot(index, y_pred.shape[-1], dtype=y_pred.dtype)


def _log(probability: Any) -> Any:
    """The logarithm, with a floor so low that even a very wrong prediction keeps its gradient.

    The gradient 1 / p of the logarithm is multiplied by the p of a sigmoid or softmax.
    """
    return ops.log(ops.maximum(probability, 1e-30))
