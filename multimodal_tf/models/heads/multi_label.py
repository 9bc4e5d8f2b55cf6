"""Any number of labels a row: sigmoids with binary cross-entropy."""

import math

import keras

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.config.spelling import spelling
from multimodal_tf.losses import WeightedBinaryCrossentropy
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
    rows = _rows(stats)
    return [min(max(count, 0.5), rows - 0.5) / rows for count in stats.counts]


def loss(head: MultiLabelHead, stats: Classes) -> keras.losses.Loss:
    """Binary cross-entropy, mean over the labels, with the head's class weights."""
    if head.class_weight is None:
        return keras.losses.BinaryCrossentropy()
    return WeightedBinaryCrossentropy(*label_weights(head, stats))


def metrics(head: MultiLabelHead) -> list[keras.metrics.Metric]:
    """The share of labels that are predicted rightly; fitted thresholds are 0.5 until then."""
    threshold = 0.5 if head.threshold == "fitted" else head.threshold
    return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)]


def label_weights(head: MultiLabelHead, stats: Classes) -> tuple[list[float], list[float]]:
    """The weight of each label where a row bears it, and where not."""
    if head.class_weight != "balanced":
        given = head.class_weight or {}
        return [given.get(spelling(name), 1.0) for name in stats.names], [1.0] * len(stats.names)
    rows = _rows(stats)
    # as the prior: half a row away from none and from all
    borne = [min(max(count, 0.5), rows - 0.5) for count in stats.counts]
    return [rows / (2 * one) for one in borne], [rows / (2 * (rows - one)) for one in borne]


def _rows(stats: Classes) -> int:
    """Training rows whose labels are known."""
    return max(stats.rows or sum(stats.counts), max(stats.counts), 1)
