"""One class out of several: softmax with cross-entropy or focal loss."""

import math

import keras

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
    """Accuracy."""
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
