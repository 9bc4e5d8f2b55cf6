"""Whether two inputs of a row belong together: vectors whose scalar product is the logit."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import MatchingHead
from multimodal_tf.losses import MatchingLoss, pairs
from multimodal_tf.models.layer import Layer


def output(
    head: MatchingHead,
    stats: None,
    x: Sequence[keras.KerasTensor],
    name: str,
    any_present: Sequence[keras.KerasTensor] | None = None,
) -> keras.KerasTensor:
    """Two vectors `(batch, 2, head.dim + 1)`; see `models.heads.output`."""
    sides = [
        layers.Dense(head.dim, use_bias=False, dtype="float32", name=f"{name}_of_{one}")(vector)
        for one, vector in zip(head.inputs, x)
    ]
    return MatchingVectors(dtype="float32", name=name)(*sides, *(any_present or ()))


def prior(head: MatchingHead, stats: None, width: int) -> list[float]:
    """Zeros: a logit of 0."""
    return [0.0] * width


def loss(head: MatchingHead, stats: None) -> keras.losses.Loss:
    """Binary cross-entropies of matching and mismatched pairs of the batch."""
    return MatchingLoss()


def metrics(head: MatchingHead) -> list[keras.metrics.Metric]:
    """Accuracy on the pairs of the batch."""
    return [MatchingAccuracy(name="accuracy")]


@keras.saving.register_keras_serializable("multimodal_tf")
class MatchingVectors(Layer):
    """Two vectors a row whose scalar product is the logit of their belonging together.

    The logit is `scale * cosine + shift`, both learned.

    Call:
        `first` and `second` are `(batch, dim)`; `first_present` and `second_present`, if given,
        float `(batch,)`, 1 or 0. Returns `(batch, 2, dim + 1)`, zeros where one of the two is
        missing.

    Source: Zhai et al. 2023, arXiv:2303.15343, section 3.2, but for the start of the shift: 0, as
    `losses.MatchingLoss` weights matching and mismatched pairs equally.
    """

    def build(
        self,
        first_shape: Any,
        second_shape: Any,
        first_present_shape: Any = None,
        second_present_shape: Any = None,
    ) -> None:
        self.log_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(math.log(10)), name="log_scale"
        )
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")

    def call(
        self, first: Any, second: Any, first_present: Any = None, second_present: Any = None
    ) -> Any:
        ones = ops.ones_like(first[:, :1])
        left = ops.concatenate([ops.exp(self.log_scale) * _unit(first), ones], axis=1)
        right = ops.concatenate([_unit(second), self.shift * ones], axis=1)
        both = ops.stack([left, right], axis=1)
        if first_present is None:
            return both
        present = ops.logical_and(first_present > 0.5, second_present > 0.5)
        return ops.where(present[:, None, None], both, 0.0)

    def compute_output_shape(
        self,
        first_shape: Any,
        second_shape: Any,
        first_present_shape: Any = None,
        second_present_shape: Any = None,
    ) -> Any:
        return (first_shape[0], 2, first_shape[1] + 1)


@keras.saving.register_keras_serializable("multimodal_tf")
class MatchingAccuracy(keras.metrics.Mean):
    """Accuracy: half of it on the rows' own pairs, half on the batch's mismatched ones.

    A row of weight 0, or that lacks one of the two inputs, does not count. Like the loss, it
    depends on which rows meet in a batch.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        own, every, present, mismatched = pairs(ops.convert_to_tensor(y_pred))
        several = ops.sum(mismatched, axis=1)
        refused = ops.sum(ops.cast(every < 0, mismatched.dtype) * mismatched, axis=1) / ops.maximum(
            several, 1.0
        )
        accepted = ops.cast(own > 0, present.dtype)
        right = ops.where(several > 0, 0.5 * (accepted + refused), accepted)
        if sample_weight is not None:
            present = present * ops.cast(sample_weight, present.dtype)
        return super().update_state(right, present)


def _unit(x: Any) -> Any:
    """`x` at length 1, zeros where it is zero; Keras' `normalize` has a NaN gradient there."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-12))
