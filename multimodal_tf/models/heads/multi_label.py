"""Any number of labels a row: sigmoids with binary cross-entropy."""

import math

import keras

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.models.heads.prior import dense
from multimodal_tf.schema import Classes


def output(
    head: MultiLabelHead,
    stats: Classes,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """Probabilities `(batch, classes)`, each 0 to 1; see `models.heads.output`."""
    logits = [math.log(share / (1 - share)) for share in prior(head, stats, len(stats.names))]
    return dense(len(stats.names), "sigmoid", logits, x, any_present, name)


def prior(head: MultiLabelHead, stats: Classes, width: int) -> list[float]:
    """Each label's share of the training rows, at least half a row away from 0 and 1."""
    rows = max(stats.rows or sum(stats.counts), max(stats.counts), 1)
    return [min(max(count, 0.5), rows - 0.5) / rows for count in stats.counts]


def loss(head: MultiLabelHead, stats: Classes) -> keras.losses.Loss:
    """Binary cross-entropy, mean over the labels."""
    return keras.losses.BinaryCrossentropy()


def metrics(head: MultiLabelHead) -> list[keras.metrics.Metric]:
    """The share of labels that are predicted rightly."""
    return [keras.metrics.BinaryAccuracy(name="accuracy")]
