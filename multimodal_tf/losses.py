"""Losses that return one value a row, `(batch,)`: Keras scales rows across the replicas of
`tf.distribute`, but not scalars.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("multimodal_tf")
class ScaledMeanSquaredError(keras.losses.Loss):
    """Squared error divided by the label's variance, so that regressions in euros and in
    millimetres pull equally hard.

    A model that always answers the mean has loss 1 on the rows that gave the variance.

    Args:
        variance: float > 0, in the label's unit squared; the training split's.
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` and `y_pred` are float `(batch, 1)` (or `(batch, k)`, then their mean), in the
        label's unit; a row that has no label needs `sample_weight` 0. `call` returns float
        `(batch,)`, no unit.

    Raises:
        ValueError: `variance` is not a positive finite number.

    Example:
        >>> loss = ScaledMeanSquaredError(variance=4.0)
        >>> float(loss(ops.array([[1.0], [3.0]]), ops.array([[3.0], [3.0]])))  # (4 / 4 + 0 / 4) / 2
        0.5
    """

    def __init__(
        self,
        variance: float,
        name: str = "scaled_mean_squared_error",
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        if not 0 < variance < float("inf"):
            raise ValueError(f"`variance` must be a positive finite number, received {variance!r}")
        self.variance = float(variance)

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_pred - y_true), axis=-1) / self.variance

    def get_config(self):
        return super().get_config() | {"variance": self.variance}


@keras.saving.register_keras_serializable("multimodal_tf")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of class numbers against softmax probabilities, the target a little spread over
    all classes.

    It is `keras.losses.CategoricalCrossentropy(label_smoothing=...)` of the one-hot classes, which
    Keras 3.15 does not offer for class numbers.

    Args:
        label_smoothing: float, 0 to 1 (exclusive). Share of the target that is spread evenly; 0:
            `SparseCategoricalCrossentropy`.
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` is int `(batch,)` or `(batch, 1)`, `y_pred` float `(batch, classes)` that sums to
        1; a row that has no label needs `sample_weight` 0. `call` returns float `(batch,)`, nats.

    Raises:
        ValueError: `label_smoothing` is not in 0 to 1.

    Example:
        >>> round(float(SmoothedCrossentropy(0.5)([1], [[0.5, 0.5]])), 4)  # log 2, whatever the smoothing
        0.6931

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing: float,
        name: str = "smoothed_crossentropy",
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be at least 0 and less than 1, received {label_smoothing!r}"
            )
        self.label_smoothing = float(label_smoothing)

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        target = ops.one_hot(
            ops.cast(ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1], dtype=y_pred.dtype
        )
        return keras.losses.categorical_crossentropy(
            target, y_pred, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        return super().get_config() | {"label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("multimodal_tf")
class FocalCrossentropy(keras.losses.Loss):
    """Cross-entropy that counts a row less the surer its right class is already: `-(1 - p)^gamma
    log p`, summed over the target's classes.

    Args:
        gamma: float, 0 or more. 0: `SmoothedCrossentropy`.
        label_smoothing: float, 0 to 1 (exclusive). Share of the target that is spread evenly over
        all classes.
        name, reduction: as in every `keras.losses.Loss`.

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
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"`gamma` must be 0 or more and finite, received {gamma!r}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be at least 0 and less than 1, received {label_smoothing!r}"
            )
        self.gamma, self.label_smoothing = float(gamma), float(label_smoothing)

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        classes = y_pred.shape[-1]
        target = ops.one_hot(
            ops.cast(ops.reshape(y_true, (-1,)), "int32"), classes, dtype=y_pred.dtype
        )
        target = target * (1 - self.label_smoothing) + self.label_smoothing / classes
        # not 0, where a probability has been rounded up to 1: the slope of the power of a `gamma`
        # below 1 is infinite there
        easy = ops.power(ops.maximum(1 - y_pred, 1e-7), self.gamma)
        return -ops.sum(target * easy * _log(y_pred), axis=-1)

    def get_config(self):
        return super().get_config() | {"gamma": self.gamma, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("multimodal_tf")
class CumulativeLinkLoss(keras.losses.Loss):
    """For classes in an order: the binary cross-entropies of «above the k-th class» over all k but
    the last, summed.

    So a mistake by two steps costs more than one by a step. With two classes it is the
    cross-entropy.

    Args:
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` is int `(batch,)` or `(batch, 1)`, 0 for the lowest class; `y_pred` float `(batch,
        classes)` that sums to 1; a row that has no label needs `sample_weight` 0. `call` returns
        float `(batch,)`, nats.

    Example:
        >>> loss = CumulativeLinkLoss(reduction=None)
        >>> loss([0, 2], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]).numpy().astype(float).round(4).tolist()  # the first: -log .5 - log .75
        [0.9808, 2.0794]

    Source: Cao et al. 2020, arXiv:1901.07884, equation 4 with equal importances.
    """

    def __init__(self, name: str = "cumulative_link", reduction: str = "sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        steps = y_pred.shape[-1] - 1
        above = ops.reshape(ops.cast(y_true, "int32"), (-1, 1)) > ops.arange(steps, dtype="int32")
        # two sums, not one and its difference from 1: both ends stay exact
        at_most = ops.cumsum(y_pred, axis=-1)[:, :steps]
        over = ops.flip(ops.cumsum(ops.flip(y_pred, axis=-1), axis=-1), axis=-1)[:, 1:]
        return -ops.sum(_log(ops.where(above, over, at_most)), axis=-1)


@keras.saving.register_keras_serializable("multimodal_tf")
class PinballLoss(keras.losses.Loss):
    """The loss whose least mean is at the quantiles, divided by the label's standard deviation,
    mean over the quantiles.

    Args:
        levels: list of float between 0 and 1 (both exclusive). The quantiles' probabilities.
        std: float > 0, in the label's unit; the training split's.
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` is float `(batch, 1)`, `y_pred` float `(batch, levels)`, in the label's unit; a row
        that has no label needs `sample_weight` 0. `call` returns float `(batch,)`, no unit.

    Raises:
        ValueError: a level is not between 0 and 1, or `std` is not a positive finite number.

    Example:
        >>> float(PinballLoss([0.25, 0.75], std=2.0)(ops.array([[8.0]]), ops.array([[4.0, 12.0]])))  # (0.25 * 4 + 0.25 * 4) / 2 / 2
        0.5

    Source: Koenker and Bassett 1978, «Regression Quantiles».
    """

    def __init__(
        self,
        levels: list[float],
        std: float,
        name: str = "pinball",
        reduction: str = "sum_over_batch_size",
    ):
        super().__init__(name=name, reduction=reduction)
        if not levels or not all(0 < level < 1 for level in levels):
            raise ValueError(f"`levels` must be between 0 and 1, received {levels!r}")
        if not 0 < std < float("inf"):
            raise ValueError(f"`std` must be a positive finite number, received {std!r}")
        self.levels, self.std = [float(level) for level in levels], float(std)

    def call(self, y_true, y_pred):
        above = (y_true - y_pred) / self.std
        levels = ops.convert_to_tensor(self.levels, above.dtype)
        return ops.mean(ops.maximum(levels * above, (levels - 1) * above), axis=-1)

    def get_config(self):
        return super().get_config() | {"levels": self.levels, "std": self.std}


@keras.saving.register_keras_serializable("multimodal_tf")
class MatchingLoss(keras.losses.Loss):
    """Cross-entropy of «these two belong together», half of it for a row's own pair, half for the
    mismatched pairs of the batch.

    The mismatched pairs of a row are its first vector with the second of every other row; their
    mean counts, so that the chance that is learned to begin with is a half, whatever the batch.
    Rows that happen to hold the same text or image are taken for mismatched all the same. Unlike
    that of other heads, this loss depends on which rows meet in a batch (of one replica, if
    distributed).

    Args:
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` is not read: every row's own two belong together. `y_pred` is float `(batch, 2,
        dim)`: the scalar product of two vectors is the logit of their belonging together; zeros in
        a row that lacks one of the two. `call` returns float `(batch,)`, nats: 0 for such a row,
        and the first half alone where no other row has both.

    Example:
        >>> loss = MatchingLoss()
        >>> round(float(loss(ops.ones((3, 1)), ops.ones((3, 2, 4)) / 1000)), 3)  # chance level: log(2)
        0.693

    Source: all pairs of a batch, with a sigmoid each: Zhai et al. 2023, arXiv:2303.15343, equation
    2; the equal halves are ours.
    """

    def __init__(self, name: str = "matching", reduction: str = "sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true, y_pred):
        own, others, there, mismatched = pairs(y_pred)
        wrong = ops.sum(ops.softplus(others) * mismatched, axis=1) / ops.maximum(
            ops.sum(mismatched, axis=1), 1.0
        )
        return 0.5 * there * (ops.softplus(-own) + wrong)


def pairs(vectors):
    """The logits of a batch's pairs.

    Args:
        vectors: float `(batch, 2, dim)`, zeros in a row that lacks one of the two.

    Returns:
        `(own, all, there, mismatched)`: logits of the rows' own pairs `(batch,)`, and of each row's
        first with each row's second `(batch, batch)`; 1 where a row has both `(batch,)`, and where
        a pair is of two rows that have both `(batch, batch)`; else 0.
    """
    first, second = vectors[:, 0], vectors[:, 1]
    logits = ops.matmul(first, ops.transpose(second))
    there = ops.cast(ops.any(vectors != 0, axis=(1, 2)), vectors.dtype)
    of_two = 1 - ops.eye(ops.shape(vectors)[0], dtype=vectors.dtype)
    return ops.sum(first * second, axis=1), logits, there, there[:, None] * there[None, :] * of_two


def _log(probability):
    """With a floor so low that even a very wrong answer keeps its gradient: a sigmoid or softmax
    before it multiplies 1 / p by p.
    """
    return ops.log(ops.maximum(probability, 1e-30))
