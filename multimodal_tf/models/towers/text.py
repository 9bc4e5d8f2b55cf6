"""Texts: embedded tokens, averaged, read in order, or seen by one another."""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from multimodal_tf.config import NgramTokenizer
from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.encoding import Encoding, MaskedMean, masked, pool, projection
from multimodal_tf.models.towers.recurrent import recurrent
from multimodal_tf.models.towers.transformer import encoder, positions

# of words, characters and n-grams: token 0 is padding, 1 an unknown one
RESERVED = 2


@keras.saving.register_keras_serializable("multimodal_tf")
class NotPadding(layers.Layer):
    """The mask of tokens: true up to the last that is not `padding`; what stands before it is no
    padding, even if it has that number.

    GPT-2's tokenizer, for one, fills up with 0, which is its «!» too.

    Args:
        padding: int.
        closed: bool. Each text ends with a token of this number, which is not padding.

    Call:
        `tokens` is int `(batch, length)`. Returns bool `(batch, length)`.

    Example:
        >>> NotPadding()(ops.convert_to_tensor([[5, 0, 7, 0, 0]])).numpy().tolist()
        [[True, True, True, False, False]]
    """

    def __init__(self, padding=0, closed=False, **kwargs):
        super().__init__(**kwargs)
        self.padding, self.closed = padding, closed

    def call(self, tokens):
        return not_padding(tokens, self.padding, self.closed)

    def compute_output_spec(self, tokens):
        return keras.KerasTensor(tokens.shape, "bool")

    def get_config(self):
        return super().get_config() | {"padding": self.padding, "closed": self.closed}


def not_padding(tokens, padding, closed):
    """What `NotPadding` answers, and its arguments."""
    places = ops.arange(1, ops.shape(tokens)[1] + 1, dtype="int32")
    last = ops.max(
        ops.where(ops.not_equal(tokens, padding), places, ops.zeros_like(places)),
        axis=1,
        keepdims=True,
    )
    return places <= (last + ops.cast(last > 0, "int32") if closed else last)


def bag(part, stats, x, present, name, last):
    """The mean of the tokens' embeddings; `part.tower` is `config.BagTower`. Over n-grams it is
    fastText.

    Args:
        part: `config.TextInput`.
        learned: what the schema holds for the tokenizer: `schema.Vocabulary`, `schema.Subwords`, or
        None for n-grams.
        x: int32 `(batch, max_tokens)`; padding does not count, and a row of padding alone has a
        mean of zeros.
        present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a word (or character, n-gram, piece of a word); the vector's dim is
        `part.tower.dim`, or the embedding's width where that is null.

    Raises:
        ValueError: the schema's word vectors are missing, or not as wide as the embedding.

    Source: Iyyer et al. 2015, «Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification»; n-grams: Joulin et al. 2017, arXiv:1607.01759.
    """
    mask = mask_of(part, stats, name)(x)
    tokens = _embedded(part, stats, x, name)
    vector = chain(
        tokens, {"mean": partial(masked, mask, MaskedMean)} | projection(part.tower), name, last
    )
    return Encoding(tokens, mask, vector)


def lstm(part, stats, x, present, name, last, states=True):
    """Embedding and LSTMs, one on the other; `part.tower` is `config.LSTMTower`.

    Args:
        part, learned, x, present, name, last: as `bag`. A row of padding alone gives zeros from the
            LSTM.
        states: bool. False: where the vector is the last state, `tokens` and `mask` are None and
            the last layer is Keras' plain `LSTM(units)`. The vector is the same.

    Returns:
        `Encoding` of `recurrent.recurrent`: a token is the last LSTM's state at a word; the
        vector's dim is `part.tower.dim`, or where that is null the token's.

    Raises:
        ValueError: as `bag`.

    Source: Hochreiter and Schmidhuber 1997, «Long Short-Term Memory».
    """
    return _recurrent(layers.LSTM, part, stats, x, name, last, states)


def gru(part, stats, x, present, name, last, states=True):
    """Embedding and GRUs, one on the other; `part.tower` is `config.GRUTower`.

    Args:
        part, learned, x, present, name, last, states: as `lstm`.

    Returns:
        `Encoding`, as of `lstm`.

    Raises:
        ValueError: as `bag`.

    Source: Cho et al. 2014, arXiv:1406.1078.
    """
    return _recurrent(layers.GRU, part, stats, x, name, last, states)


def transformer(part, stats, x, present, name, last):
    """Embeddings of tokens and positions, then self-attention; `part.tower` is
    `config.TransformerTower`.

    Args:
        part, learned, x, present, name, last: as `bag`. Tokens do not see padding; a row of padding
            alone is finite.

    Returns:
        `Encoding`: a token a word, `part.tower.units` wide; the vector is pooled from them.

    Raises:
        ValueError: as `bag`.

    Source: Devlin et al. 2019, arXiv:1810.04805; causal: Radford et al. 2018, «Improving Language
    Understanding by Generative Pre-Training».
    """
    tower = part.tower
    mask = mask_of(part, stats, name)(x)
    tokens = positions(_embedded(part, stats, x, name), name)
    tokens = encoder(tower, tokens, mask, name, causal=tower.causal)
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def token_count(part, stats):
    """Number of different tokens, padding and unknown among them: the rows of an embedding.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> from multimodal_tf.schema import Vocabulary
        >>> token_count(TextInput(), Vocabulary(words=["red", "green"]))
        4
    """
    if isinstance(part.tokenizer, NgramTokenizer):
        return part.tokenizer.buckets + RESERVED
    return len(stats.words) + RESERVED if stats.type == "vocabulary" else stats.size


def padding(part, stats):
    """The token that fills up a short text."""
    return stats.padding if getattr(stats, "type", None) == "subwords" else 0


def mask_of(part, stats, name):
    """The layer that says which of a text's tokens are there."""
    filler = padding(part, stats)
    return NotPadding(filler, getattr(stats, "end", None) == filler, name=f"{name}_mask")


def _recurrent(cell, part, stats, x, name, last, states):
    # Keras' own mask, which takes every 0 for padding, does
    own = padding(part, stats) == 0 and part.tokenizer.type != "preset"
    words = _embedded(part, stats, x, name, mask_zero=own)
    mask = mask_of(part, stats, name)(x)
    return recurrent(
        cell, part.tower, part.tower, words, mask, None if own else mask, name, last, states
    )


def _embedded(part, stats, x, name, **options):
    """Tokens to vectors: word vectors to begin with where there are any, else as Keras draws them."""
    width = part.tower.embedding_dim
    if part.vectors is None:
        return layers.Embedding(token_count(part, stats), width, name=f"{name}_words", **options)(x)
    vectors = _vectors(stats, name, width)
    layer = layers.Embedding(
        token_count(part, stats),
        width,
        trainable=part.vectors.trainable,
        name=f"{name}_words",
        **options,
    )
    tokens = layer(x)
    # set, not given as an initializer, which would put all numbers into the layer's configuration
    layer.embeddings.assign(np.concatenate([np.zeros((RESERVED, width), "float32"), vectors]))
    return tokens


def _vectors(stats, name, width):
    if stats.vectors is None:
        raise ValueError(
            f"inputs.{name}.vectors: the schema must hold word vectors, received none: configuration and schema are not of one table"
        )
    if stats.vectors.dim != width:
        raise ValueError(
            f"inputs.{name}.vectors: must be as wide as the tower's embeddings, {width}, received vectors of {stats.vectors.dim} numbers"
        )
    return stats.vectors.array()
