"""Texts: embedded words, averaged or read in order."""

from functools import partial

import keras
from keras import layers, ops

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.image import projection

RESERVED = 2  # token 0 is padding, 1 an unknown word


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedMean(layers.Layer):
    """The mean over the steps that the mask keeps; zeros where it keeps none.

    `keras.layers.GlobalAveragePooling1D` divides by zero there, and its NaN reaches the embeddings' gradient.

    Call:
        `x` is float `(batch, steps, dim)`, `mask` bool `(batch, steps)`, which an `Embedding` with `mask_zero` hands on. Returns
        `(batch, dim)`.

    Example:
        >>> mask = ops.convert_to_tensor([[True, False], [False, False]])
        >>> MaskedMean()(ops.ones((2, 2, 1)), mask=mask).numpy().tolist()
        [[1.0], [0.0]]
    """

    def call(self, x, mask=None):
        if mask is None:
            return ops.mean(x, axis=1)
        mask = ops.cast(ops.expand_dims(mask, -1), x.dtype)
        return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)

    def compute_mask(self, x, mask=None):
        return None

    def compute_output_shape(self, shape):
        return (shape[0], shape[2])


def bag(part, x, name, last, vocabulary):
    """The tower of a text: the mean of its words' embeddings.

    Args:
        part: `config.TextInput`.
        x: int32 `(batch, max_tokens)`; 0 is padding and does not count; a row of padding alone has a mean of zeros.
        name, last: as `models.towers` says.
        vocabulary: int. Number of words that have a token of their own.

    Returns:
        `(batch, dim)` in the compute dtype; `dim` is `part.tower.dim`, or the embedding's width where that is null.

    Source: Iyyer et al. 2015, «Deep Unordered Composition Rivals Syntactic Methods for Text Classification».
    """
    return chain(x, {"words": _embedding(part, vocabulary), "mean": MaskedMean} | projection(part.tower), name, last)


def lstm(part, x, name, last, vocabulary):
    """The tower of a text: Embedding and LSTM.

    Args:
        part: `config.TextInput`.
        x: int32 `(batch, max_tokens)`; 0 is padding and is masked; a row of padding alone gives zeros from the LSTM.
        name, last: as `models.towers` says.
        vocabulary: int. Number of words that have a token of their own.

    Returns:
        `(batch, dim)` in the compute dtype; `dim` is `part.tower.dim`, or the LSTM's width (twice it, if bidirectional) where that is null.
    """
    tower = part.tower
    reader = partial(layers.LSTM, tower.units)
    if tower.bidirectional:
        reader = partial(_bidirectional, tower.units)
    return chain(x, {"words": _embedding(part, vocabulary), "lstm": reader} | projection(tower), name, last)


def _embedding(part, vocabulary):
    return partial(layers.Embedding, vocabulary + RESERVED, part.tower.embedding_dim, mask_zero=True)


def _bidirectional(units, name):
    return layers.Bidirectional(layers.LSTM(units), name=name)
