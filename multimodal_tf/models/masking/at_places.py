"""From a tower's tokens to what is predicted at hidden places, and how wrong that is."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer


@keras.saving.register_keras_serializable("multimodal_tf")
class TokensAtPlaces(Layer):
    """A tower's tokens at places of its cell: the mean of those that overlap a place.

    Tokens divide the axes of the cell, time or height and width, evenly, row by row; a class token
    may stand before those of a picture. Of as many tokens as places each is the place's own.

    Args:
        places: list of int. Number of places along each axis.
        extents: list of float, 0 to 1. The share of each axis that they cover, from its beginning.

    Call:
        `tokens` is `(batch, length, dim)`, `index` int32 `(batch, count)`, of places row by row.
        Returns `(batch, count, dim)`.

    Example:
        >>> layer = TokensAtPlaces([2], [1.0])
        >>> tokens = ops.array([[[0.0], [2.0], [4.0], [6.0]]])
        >>> layer(tokens, ops.array([[1, 0]])).numpy().tolist()
        [[[5.0], [1.0]]]
    """

    def __init__(self, places: Sequence[int], extents: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.places, self.extents = list(places), list(extents)
        # Keras' own mask ends here: places that count are known
        self.supports_masking = True

    @property
    def number(self) -> int:
        """Of places."""
        return math.prod(self.places)

    def build(self, tokens_shape: Shape, index_shape: Shape) -> None:
        length = tokens_shape[1] or 1
        self._skipped, sides = self._sides(length)
        self._shares = None
        # a text may have too many tokens for a matrix
        if sides != self.places or any(extent < 1 for extent in self.extents):
            shares = np.ones((1, 1), "float32")
            for places, extent, side in zip(self.places, self.extents, sides):
                shares = np.kron(shares, _overlaps(places, extent, side))
            self._shares = shares

    def _sides(self, length: int) -> tuple[int, list[int]]:
        """Number of tokens before the first place, and of tokens along each axis."""
        if len(self.places) == 1:
            return 0, [length]
        rows, columns = (places / part for places, part in zip(self.places, self.extents))
        found = [
            (abs(math.log(side * side / (length - skipped) / (rows / columns))), skipped, side)
            for skipped in (0, 1)
            for side in range(1, length - skipped + 1)
            if (length - skipped) % side == 0
        ]
        _, skipped, side = min(found)
        return skipped, [side, (length - skipped) // side]

    def call(self, tokens: Any, index: Any) -> Any:
        tokens = tokens[:, self._skipped :]
        if self._shares is not None:
            tokens = ops.einsum("pt,btd->bpd", ops.cast(self._shares, tokens.dtype), tokens)
        return tf.gather(tokens, index, batch_dims=1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None

    def compute_output_shape(self, tokens_shape: Shape, index_shape: Shape) -> Shape:
        return (*index_shape, tokens_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "places": self.places, "extents": self.extents}


def _overlaps(places: int, extent: float, tokens: int) -> np.ndarray[Any, Any]:
    """The shares of tokens in each place, float32 `(places, tokens)`; rows add up to 1."""
    edges, own = np.linspace(0, extent, places + 1)[:, None], np.linspace(0, 1, tokens + 1)
    common = np.minimum(edges[1:], own[1:]) - np.maximum(edges[:-1], own[:-1])
    common = np.maximum(common, 0)
    return np.asarray(common / common.sum(axis=1, keepdims=True), "float32")


@keras.saving.register_keras_serializable("multimodal_tf")
class HiddenTokenLosses(Layer):
    """Mean cross-entropy of a row's hidden tokens, how many were predicted, and of how many.

    Call:
        `logits` is `(batch, places, vocabulary)`, `target` int32 and `counted` bool `(batch,
        places)`. Returns float32 `(batch, 3)`; zeros in a row without a hidden token.

    Example:
        >>> logits = ops.zeros((1, 2, 4))
        >>> target, counted = ops.array([[0, 3]]), ops.array([[True, False]])
        >>> [round(float(one), 2) for one in HiddenTokenLosses()(logits, target, counted)[0]]
        [1.39, 1.0, 1.0]
    """

    def call(self, logits: Any, target: Any, counted: Any) -> Any:
        logits = ops.cast(logits, "float32")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits)
        hits = tf.cast(tf.equal(tf.argmax(logits, -1, target.dtype), target), tf.float32)
        return _of_rows(losses, hits, counted)

    def compute_output_spec(self, logits: Any, target: Any, counted: Any) -> keras.KerasTensor:
        return keras.KerasTensor((logits.shape[0], 3), "float32")


@keras.saving.register_keras_serializable("multimodal_tf")
class HiddenValueLosses(Layer):
    """Mean squared error of a row's hidden values, and what share of their variance is explained.

    Call:
        `values` and `target` are `(batch, places, dim)`, normalized within each place or zeros;
        `counted` is bool `(batch, places)`. Returns float32 `(batch, 3)`: the loss; the sum of 1 -
        squared error over places, 0 for a prediction of the mean; and the number of places. Places
        of equal values have no variance and count in the loss alone.

    Example:
        >>> target, counted = ops.array([[[1.0, -1.0]]]), ops.array([[True]])
        >>> HiddenValueLosses()(ops.zeros((1, 1, 2)), target, counted).numpy().tolist()
        [[1.0, 0.0, 1.0]]
    """

    def call(self, values: Any, target: Any, counted: Any) -> Any:
        values, target = ops.cast(values, "float32"), ops.cast(target, "float32")
        losses = tf.reduce_mean(tf.square(values - target), axis=-1)
        varied = tf.reduce_mean(tf.square(target), axis=-1) > 0.5
        rows = _of_rows(losses, 1 - losses, counted)
        explained = _of_rows(losses, 1 - losses, counted & varied)
        return tf.concat([rows[:, :1], explained[:, 1:]], axis=1)

    def compute_output_spec(self, values: Any, target: Any, counted: Any) -> keras.KerasTensor:
        return keras.KerasTensor((values.shape[0], 3), "float32")


def _of_rows(losses: Any, hits: Any, counted: Any) -> Any:
    """The mean of losses, the sum of hits, and the number, over the places that count."""
    zeros = tf.zeros_like(losses)
    # not multiplied: a row whose input is missing may hold anything
    loss, hit = (tf.reduce_sum(tf.where(counted, one, zeros), axis=1) for one in (losses, hits))
    count = tf.reduce_sum(tf.cast(counted, tf.float32), axis=1)
    return tf.stack([loss / tf.maximum(count, 1.0), hit, count], axis=1)
