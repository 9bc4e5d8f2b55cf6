"""One class out of several: softmax with cross-entropy or focal loss."""

import math
from typing import Any

import keras
from keras import ops

from multimodal_tf.config import ClassificationHead
from multimodal_tf.losses import FocalCrossentropy, SmoothedCrossentropy
from multimodal_tf.models.heads.prior import class_shares, dense
from multimodal_tf.schema import Classes

# of the focal loss where the configuration leaves it open: the paper's
GAMMA = 2.0


def output(
    head: ClassificationHead,
    stats: Classes,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """Probabilities `(batch, classes)`; see `models.heads.output`."""
    logits = [math.log(share) for share in class_shares(stats)]
    return dense(len(stats.names), "softmax", logits, x, any_present, name)


def prior(head: ClassificationHead, stats: Classes, width: int) -> list[float]:
    """The classes' shares of the training rows."""
    return class_shares(stats)


def loss(head: ClassificationHead, stats: Classes) -> keras.losses.Loss:
    """Cross-entropy, or the focal loss."""
    if head.loss == "focal":
        return FocalCrossentropy(GAMMA if head.gamma is None else head.gamma, head.label_smoothing)
    return SmoothedCrossentropy(head.label_smoothing)


def metrics(head: ClassificationHead) -> list[keras.metrics.Metric]:
    """Accuracy, without class weights."""
    return [UnweightedAccuracy(name="accuracy")]


@keras.saving.register_keras_serializable("multimodal_tf")
class UnweightedAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The share of right rows among those of a weight above 0.

    The weights of `fit` say which labels are known, and hold the classes' weights for the loss: a
    share of rows that counted them would be another number than `evaluate` gives.

    Example:
        >>> metric = UnweightedAccuracy()
        >>> metric.update_state([0, 1, 1], [[1.0, 0.0]] * 3, sample_weight=[5.0, 1.0, 0.0])
        >>> float(metric.result())
        0.5
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            sample_weight = ops.cast(ops.convert_to_tensor(sample_weight) > 0, self.dtype)
        super().update_state(y_true, y_pred, sample_weight)
