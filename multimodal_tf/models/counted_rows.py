"""Losses of heads that learn without labels, as means over the rows that teach them something.

How many these are shows in the outputs alone: a text of one token has no order, an image without a
title no partner. In the mean over all rows they would count as a loss of 0.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from multimodal_tf.losses import BatchwiseLoss
from multimodal_tf.models import replicas

# what a loss of `losses` that knows which rows count has as a method, of `y_pred`
COUNTED = "counted"


def per_counted_row(
    losses: Any, y: Any, y_pred: Any, sample_weight: Any
) -> tuple[Any, dict[str, Any]]:
    """Weights of rows that turn Keras' means over all rows into means over the rows that count.

    Args:
        losses: by head, what `compile` was given; nothing is changed where it is no dict.
        y, y_pred: by head; those of a `BatchwiseLoss` of the rows of all replicas, others of this
            replica's.
        sample_weight: by head; None: 1. A row of weight 0 does not count.

    Returns:
        `(sample_weight, shares)`: as given, but divided by the share of rows that count in the
        batch of all replicas, and by head that share, float32, 0 where no row counts.
    """
    of_objectives = (
        {name: one for name, one in losses.items() if hasattr(one, COUNTED)}
        if isinstance(losses, Mapping)
        else {}
    )
    if not of_objectives:
        return sample_weight, {}
    if sample_weight is None:
        sample_weight = {name: tf.ones(tf.shape(one)[:1]) for name, one in y.items()}
    counts = {}
    for name, loss in of_objectives.items():
        of_rows = tf.cast(sample_weight[name] > 0, tf.float32) * loss.counted(y_pred[name])
        counts[name] = tf.stack([tf.reduce_sum(of_rows), tf.cast(tf.size(of_rows), tf.float32)])
    apart = [name for name in counts if not isinstance(losses[name], BatchwiseLoss)]
    if apart and replicas.count() > 1:
        summed = replicas.summed(tf.stack([counts[name] for name in apart]))
        counts |= dict(zip(apart, tf.unstack(summed, num=len(apart))))
    shares = {name: pair[0] / tf.maximum(pair[1], 1.0) for name, pair in counts.items()}
    weights = {
        name: tf.cast(sample_weight[name], tf.float32) / tf.where(share > 0, share, 1.0)
        for name, share in shares.items()
    }
    return {**sample_weight, **weights}, shares
