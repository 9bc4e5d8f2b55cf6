"""Texts: embedded words, read in order."""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.image import projection

RESERVED = 2  # token 0 is padding, 1 an unknown word


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
    embedding = partial(layers.Embedding, vocabulary + RESERVED, tower.embedding_dim, mask_zero=True)
    return chain(x, {"words": embedding, "lstm": reader} | projection(tower), name, last)


def _bidirectional(units, name):
    return layers.Bidirectional(layers.LSTM(units), name=name)
