"""Losses that return one value a row, `(batch,)`: Keras scales rows across the replicas of `tf.distribute`, but not scalars."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("multimodal_tf")
class ScaledMeanSquaredError(keras.losses.Loss):
    """Squared error divided by the label's variance, so that regressions in euros and in millimetres pull equally hard.

    A model that always answers the mean has loss 1 on the rows that gave the variance.

    Args:
        variance: float > 0, in the label's unit squared; the training split's.
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` and `y_pred` are float `(batch, 1)` (or `(batch, k)`, then their mean), in the label's unit; a row that has no label
        needs `sample_weight` 0. `call` returns float `(batch,)`, no unit.

    Raises:
        ValueError: `variance` is not a positive finite number.

    Example:
        >>> loss = ScaledMeanSquaredError(variance=4.0)
        >>> float(loss(ops.array([[1.0], [3.0]]), ops.array([[3.0], [3.0]])))  # (4 / 4 + 0 / 4) / 2
        0.5
    """

    def __init__(self, variance: float, name: str = "scaled_mean_squared_error", reduction: str = "sum_over_batch_size"):
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
    """Cross-entropy of class numbers against softmax probabilities, the target a little spread over all classes.

    It is `keras.losses.CategoricalCrossentropy(label_smoothing=...)` of the one-hot classes, which Keras 3.15 does not offer for class
    numbers.

    Args:
        label_smoothing: float, 0 to 1 (exclusive). Share of the target that is spread evenly; 0: `SparseCategoricalCrossentropy`.
        name, reduction: as in every `keras.losses.Loss`.

    Call:
        `y_true` is int `(batch,)` or `(batch, 1)`, `y_pred` float `(batch, classes)` that sums to 1; a row that has no label needs
        `sample_weight` 0. `call` returns float `(batch,)`, nats.

    Raises:
        ValueError: `label_smoothing` is not in 0 to 1.

    Example:
        >>> round(float(SmoothedCrossentropy(0.5)([1], [[0.5, 0.5]])), 4)  # log 2, whatever the smoothing
        0.6931

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    def __init__(self, label_smoothing: float, name: str = "smoothed_crossentropy", reduction: str = "sum_over_batch_size"):
        super().__init__(name=name, reduction=reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be at least 0 and less than 1, received {label_smoothing!r}")
        self.label_smoothing = float(label_smoothing)

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        target = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
        return keras.losses.categorical_crossentropy(target, y_pred, label_smoothing=self.label_smoothing)

    def get_config(self):
        return super().get_config() | {"label_smoothing": self.label_smoothing}
