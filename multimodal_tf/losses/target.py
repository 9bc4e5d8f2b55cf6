"""The loss of heads that predict texts or images, whose targets the model reads."""

from typing import Any

import keras
from keras import ops

from multimodal_tf.losses.labels import MEAN


@keras.saving.register_keras_serializable("multimodal_tf")
class TargetLoss(keras.losses.Loss):
    """The loss of a target text or image, which the head's output holds.

    A row without a target has weight 0, and the weight of the head's loss makes up for it.

    Call:
        `y_true` is not read. `y_pred` is float `(batch, 4)`, as `TargetScores` and `ImageScores`
        have it. `call` returns float `(batch,)`, the first: the row's loss.

    Example:
        >>> TargetLoss(reduction=None)(ops.ones((1, 1)), ops.array([[0.5, -1, 1, 2]])).numpy()
        array([0.5], dtype=float32)
    """

    def __init__(self, name: str = "target_loss", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.convert_to_tensor(y_pred)[:, 0]
