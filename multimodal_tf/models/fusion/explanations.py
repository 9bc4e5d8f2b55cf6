"""Layers that compute explanations from tensors of a fusion, and what a fusion returns.

They have no weights, and are float32 under mixed precision too.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.intermediate_outputs import Outputs
from multimodal_tf.models.layer import Layer


class Fused(NamedTuple):
    """What a fusion returns.

    Attributes:
        vector: `(batch, dim)`, the fused vector.
        explanations: Keras tensors, or what is derived from some, by name; see
            `models.build.explanations`.
    """

    vector: keras.KerasTensor
    explanations: Outputs


class _Explanation(Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32"} | kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        # attention scores may carry Keras' own mask, which ends here
        return None


class _OfLearnedTokens(_Explanation):
    """Attention of learned tokens, which are the last of a sequence.

    Args:
        learned: number of learned tokens.
    """

    def __init__(self, learned: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learned = learned

    def attention(self, scores: Any) -> Any:
        """`(batch, length)`, the attention to the other tokens: mean over heads, learned tokens."""
        return ops.mean(scores[:, :, -self.learned :, : -self.learned], axis=(1, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learned": self.learned}


@keras.saving.register_keras_serializable("multimodal_tf")
class MeanGate(_Explanation):
    """The mean gate of each input.

    Call:
        `gates` is `(batch, inputs, dim)`. Returns `(batch, inputs)`.
    """

    def call(self, gates: Any) -> Any:
        return ops.mean(gates, axis=2)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape[:2]


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenShares(_OfLearnedTokens):
    """Share of each token in the attention of the learned tokens to the others.

    Args:
        learned: number of learned tokens.

    Call:
        `scores` is `(batch, heads, length + learned, length + learned)`, attention of each token to
        each. Returns `(batch, length)`, sums to 1; zeros where there is no attention.
    """

    def call(self, scores: Any) -> Any:
        return _shares(self.attention(scores))

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], _shorter(shape[3], self.learned))


@keras.saving.register_keras_serializable("multimodal_tf")
class InputShares(_OfLearnedTokens):
    """Share of each input in the attention of the learned tokens to the inputs' tokens.

    Args:
        learned: number of learned tokens.

    Call:
        `scores` is a list, by input, of `(batch, heads, length + learned, length + learned)`.
        Returns `(batch, inputs)`, sums to 1; zeros where there is no attention.
    """

    def call(self, scores: list[Any]) -> Any:
        totals = [ops.sum(self.attention(one), axis=1) for one in scores]
        return _shares(ops.stack(totals, axis=1))

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        return (shapes[0][0], len(shapes))


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenAttention(_OfLearnedTokens):
    """Attention of the learned tokens to each token of an input.

    Args:
        learned: number of learned tokens.

    Call:
        `scores` is `(batch, heads, 1 + length + learned, 1 + length + learned)`; the first token is
        the input's vector. Returns `(batch, length)`, the mean over heads and learned tokens.
    """

    def call(self, scores: Any) -> Any:
        return self.attention(scores)[:, 1:]

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], _shorter(shape[3], self.learned + 1))


@keras.saving.register_keras_serializable("multimodal_tf")
class PairAttention(_Explanation):
    """Attention of one input's vector and tokens to each token of another input.

    Call:
        `scores` is `(batch, heads, 1 + length, 1 + other length)`, `present` bool `(batch, 1 +
        length)` and `other_present` bool `(batch, 1 + other length)`; the first token is the
        input's vector. Returns `(batch, other length)`, the mean over heads and present tokens;
        zeros where one of the inputs is missing.
    """

    def call(self, scores: Any, present: Any, other_present: Any) -> Any:
        scores = ops.mean(scores, axis=1)
        counted = ops.cast(ops.expand_dims(present, -1), scores.dtype)
        mean = ops.sum(scores * counted, axis=1) / ops.maximum(ops.sum(counted, axis=1), 1)
        return ops.where(other_present, mean, ops.zeros_like(mean))[:, 1:]

    def compute_output_shape(
        self,
        scores_shape: Shape,
        present_shape: Shape,
        other_present_shape: Shape,
    ) -> Shape:
        # Keras 3.15 takes the scores for `(batch, heads, length, length)`
        return (other_present_shape[0], _shorter(other_present_shape[1], 1))


def _shares(x: Any) -> Any:
    """Numbers of 0 or more, divided by their sum over the last axis; zeros where all are 0."""
    total = ops.sum(x, axis=1, keepdims=True)
    return x / ops.where(total > 0, total, ops.ones_like(total))


def _shorter(length: int | None, by: int) -> int | None:
    return None if length is None else length - by
