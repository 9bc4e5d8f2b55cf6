"""Metrics of heads that Keras has none for; like all of Keras' they are means over rows, and a row
of weight 0 does not count.
"""

import keras
from keras import ops

from multimodal_tf.losses import pairs


@keras.saving.register_keras_serializable("multimodal_tf")
class QuantileError(keras.metrics.Mean):
    """Mean absolute error of one of several quantiles.

    Args:
        place: int. Which one, from 0.
    """

    def __init__(self, place, name="mae", **kwargs):
        super().__init__(name=name, **kwargs)
        self.place = place

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(
            ops.abs(y_pred[:, self.place] - ops.cast(y_true[:, 0], y_pred.dtype)), sample_weight
        )

    def get_config(self):
        return super().get_config() | {"place": self.place}


@keras.saving.register_keras_serializable("multimodal_tf")
class IntervalCoverage(keras.metrics.Mean):
    """Share of the rows whose label lies between the lowest and the highest quantile, both
    included.
    """

    def update_state(self, y_true, y_pred, sample_weight=None):
        label = ops.cast(y_true[:, 0], y_pred.dtype)
        inside = ops.logical_and(label >= y_pred[:, 0], label <= y_pred[:, -1])
        return super().update_state(ops.cast(inside, self.dtype), sample_weight)


@keras.saving.register_keras_serializable("multimodal_tf")
class MatchingAccuracy(keras.metrics.Mean):
    """Share of right decisions, half of it on the rows' own pairs, half on the batch's mismatched
    ones.

    Rows that lack one of the two do not count. It depends, as the loss does, on which rows meet in
    a batch.
    """

    def update_state(self, y_true, y_pred, sample_weight=None):
        own, others, there, mismatched = pairs(ops.convert_to_tensor(y_pred))
        several = ops.sum(mismatched, axis=1)
        refused = ops.sum(
            ops.cast(others < 0, mismatched.dtype) * mismatched, axis=1
        ) / ops.maximum(several, 1.0)
        accepted = ops.cast(own > 0, there.dtype)
        right = ops.where(several > 0, 0.5 * (accepted + refused), accepted)
        return super().update_state(
            right, there if sample_weight is None else there * ops.cast(sample_weight, there.dtype)
        )
