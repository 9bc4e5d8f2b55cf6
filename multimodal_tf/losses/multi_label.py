"""The loss of labels that are independent of each other, with weights."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal_tf.losses.labels import MEAN


@keras.saving.register_keras_serializable("multimodal_tf")
class WeightedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of several labels, each with a weight where it is borne and where not.

    Args:
        positive, negative: list of float, 0 or more, one for each label.

    Call:
        `y_true` and `y_pred` are float `(batch, labels)`, 0 to 1. `call` returns float `(batch,)`,
        nats, the mean over the labels.

    Example:
        >>> loss = WeightedBinaryCrossentropy([2.0], [1.0])
        >>> round(float(loss([[1.0], [0.0]], [[0.5], [0.5]])) / 1.5, 4)  # log 2
        0.6931
    """

    def __init__(
        self,
        positive: Sequence[float],
        negative: Sequence[float],
        name: str = "weighted_binary_crossentropy",
        reduction: str = MEAN,
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        self.positive, self.negative = list(map(float, positive)), list(map(float, negative))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        positive, negative = (
            ops.convert_to_tensor(one, y_pred.dtype) for one in (self.positive, self.negative)
        )
        weights = y_true * positive + (1 - y_true) * negative
        return ops.mean(weights * ops.binary_crossentropy(y_true, y_pred), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "positive": self.positive, "negative": self.negative}
