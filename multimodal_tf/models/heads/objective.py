"""What heads have in common that compute their rows' losses in the graph: loss and accuracy."""

from typing import Any

import keras
from keras import ops

from multimodal_tf.losses import RowLoss


def prior(head: Any, stats: None, width: int) -> list[float]:
    """Zeros: a row that teaches nothing."""
    return [0.0] * width


def loss(head: Any, stats: None) -> keras.losses.Loss:
    """The rows' losses, as the output holds them."""
    return RowLoss()


def metrics(head: Any) -> list[keras.metrics.Metric]:
    """The share of hits."""
    return [RowAccuracy(name=head.metric)]


@keras.saving.register_keras_serializable("multimodal_tf")
class RowAccuracy(keras.metrics.Mean):
    """Hits of all rows, divided by how many there could be.

    `y_true` is not read, `y_pred` as `losses.RowLoss` has it. A row of weight 0 does not count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        hits, count = y_pred[:, 1], y_pred[:, 2]
        weight = count
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        return super().update_state(hits / ops.maximum(count, 1.0), weight)
