"""The loss of heads that compute their rows' losses in the graph."""

from typing import Any

import keras
from keras import ops

from multimodal_tf.losses.labels import MEAN


@keras.saving.register_keras_serializable("multimodal_tf")
class RowLoss(keras.losses.Loss):
    """The loss that a head's output holds, for targets that the graph draws from the cells.

    Call:
        `y_true` is not read. `y_pred` is float `(batch, 3)`: the row's loss, its hits, and of how
        many; zeros in a row that teaches nothing. `call` returns float `(batch,)`, the first.

    Example:
        >>> RowLoss(reduction=None)(ops.ones((2, 1)), ops.array([[0.5, 1, 1], [0, 0, 0]])).numpy()
        array([0.5, 0. ], dtype=float32)
    """

    def __init__(self, name: str = "row_loss", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.convert_to_tensor(y_pred)[:, 0]

    def counted(self, y_pred: Any) -> Any:
        """1 for each row that teaches something, else 0: float `(batch,)`."""
        y_pred = ops.convert_to_tensor(y_pred)
        # a picture of one colour has a loss, but no variance that could be explained
        return ops.cast(ops.logical_or(y_pred[:, 2] > 0, y_pred[:, 0] > 0), "float32")
