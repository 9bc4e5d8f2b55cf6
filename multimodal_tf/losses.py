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
