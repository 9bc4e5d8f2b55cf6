"""Texts: embedded tokens, averaged, read by recurrent layers, or by self-attention."""

from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, layers, ops

from multimodal_tf.config import BagTower, GRUTower, LSTMTower, NgramTokenizer, TextInput
from multimodal_tf.config import TransformerTower as TransformerConfig
from multimodal_tf.models.chain import Steps, chain
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers import wide
from multimodal_tf.models.towers.encoding import (
    Encoding,
    MaskedMean,
    TowerInput,
    pool,
    projection,
    with_mask,
)
from multimodal_tf.models.towers.recurrent import recurrent
from multimodal_tf.models.towers.transformer import encoder, positions
from multimodal_tf.schema import Subwords, Vocabulary

# what the schema holds for a text; None: nothing is learned (n-grams, plain strings)
TextStats: TypeAlias = Vocabulary | Subwords | None

# Of words, characters and n-grams, token 0 is padding and 1 is unknown.
RESERVED = 2


@keras.saving.register_keras_serializable("multimodal_tf")
class PaddingMask(Layer):
    """The mask of tokens: True up to the last that is not `padding`.

    A `padding` before that is a token of the text: GPT-2's tokenizer, for one, pads with 0, which
    is also its «!».

    Args:
        padding: int.
        ends_with_padding: bool. Each text ends with one token of this number, which is valid.

    Call:
        `tokens` is int `(batch, length)`. Returns bool `(batch, length)`.

    Example:
        >>> PaddingMask()(ops.convert_to_tensor([[5, 0, 7, 0, 0]])).numpy().tolist()
        [[True, True, True, False, False]]
    """

    def __init__(self, padding: int = 0, ends_with_padding: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding, self.ends_with_padding = padding, ends_with_padding

    def call(self, tokens: KerasTensor) -> KerasTensor:
        return padding_mask(tokens, self.padding, self.ends_with_padding)

    def compute_output_spec(self, tokens: KerasTensor) -> KerasTensor:
        return KerasTensor(tokens.shape, "bool")

    def get_config(self) -> dict[str, Any]:
        own = {"padding": self.padding, "ends_with_padding": self.ends_with_padding}
        return {**super().get_config(), **own}


def padding_mask(tokens: KerasTensor, padding: int, ends_with_padding: bool) -> KerasTensor:
    """Returns what `PaddingMask` does, with its arguments."""
    counts = ops.arange(1, ops.shape(tokens)[1] + 1, dtype="int32")
    valid = ops.where(ops.not_equal(tokens, padding), counts, ops.zeros_like(counts))
    length = tf.reduce_max(valid, axis=1, keepdims=True)
    return counts <= (length + ops.cast(length > 0, "int32") if ends_with_padding else length)


def bag(tower: BagTower, given: TowerInput[TextInput], last: str) -> Encoding:
    """The mean of the token embeddings. Over n-grams it is fastText.

    Args:
        tower, last: as in `models.towers`.
        given: its `stats` is what the schema holds for the tokenizer, None for n-grams. Its `x` is
            int32 `(batch, max_tokens)`; padding does not count, and a row of padding alone has a
            mean of zeros.

    Returns:
        `Encoding`: one token per word (or character, n-gram, subword); the vector's dim is
        `tower.dim`, or `embedding_dim` if null. If `tower.wide`, its `wide` is TF-IDF.

    Raises:
        ValueError: the schema lacks the word vectors, or they are not as wide as the embedding.

    Source: Iyyer et al. 2015, «Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification»; n-grams: Joulin et al. 2017, arXiv:1607.01759.
    """
    name = given.name
    mask = mask_layer(given.stats, name)(given.x)
    tokens = _embedded(tower.embedding_dim, given)
    steps: Steps = {"mean": partial(with_mask, mask, MaskedMean)}
    encoding = Encoding(tokens, mask, chain(tokens, steps | projection(tower), name, last))
    if not tower.wide:
        return encoding
    count = token_count(given.config, given.stats)
    weights = wide.idf(given.stats, count, padding(given.stats))
    return encoding._replace(wide=wide.text_features(given.x, weights, name))


def lstm(
    tower: LSTMTower, given: TowerInput[TextInput], last: str, with_tokens: bool = True
) -> Encoding:
    """Embedding and stacked LSTMs.

    Args:
        tower, given, last: as `bag`. A row of padding alone gives zeros from the LSTM.
        with_tokens: as in `models.towers`.

    Returns:
        `Encoding` of `recurrent.recurrent`: one token per word, the state of the last LSTM; the
        vector's dim is `tower.dim`, or that of a token if null.

    Raises:
        ValueError: as `bag`.

    Source: Hochreiter and Schmidhuber 1997, «Long Short-Term Memory».
    """
    return _recurrent(layers.LSTM, tower, given, last, with_tokens)


def gru(
    tower: GRUTower, given: TowerInput[TextInput], last: str, with_tokens: bool = True
) -> Encoding:
    """Embedding and stacked GRUs.

    Args:
        tower, given, last, with_tokens: as `lstm`.

    Returns:
        `Encoding`, as `lstm`.

    Raises:
        ValueError: as `bag`.

    Source: Cho et al. 2014, arXiv:1406.1078.
    """
    return _recurrent(layers.GRU, tower, given, last, with_tokens)


def transformer(tower: TransformerConfig, given: TowerInput[TextInput], last: str) -> Encoding:
    """Embeddings of tokens and positions, then self-attention.

    Args:
        tower, given, last: as `bag`. Padding is masked; a row of padding alone is finite.

    Returns:
        `Encoding`: one token per word, `tower.units` wide; the vector is pooled from them.

    Raises:
        ValueError: as `bag`.

    Source: Devlin et al. 2019, arXiv:1810.04805; causal: Radford et al. 2018, «Improving Language
    Understanding by Generative Pre-Training».
    """
    name = given.name
    mask = mask_layer(given.stats, name)(given.x)
    tokens = positions(_embedded(tower.embedding_dim, given), name)
    tokens = encoder(tower, tokens, mask, name, causal=tower.causal)
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def token_count(input_config: TextInput, stats: TextStats) -> int:
    """Number of different tokens with padding and unknown: the rows of an embedding.

    Example:
        >>> token_count(TextInput(), Vocabulary(words=["red", "green"]))
        4
    """
    if isinstance(input_config.tokenizer, NgramTokenizer):
        return input_config.tokenizer.buckets + RESERVED
    if isinstance(stats, Subwords):
        return stats.size
    return len(_vocabulary(stats).words) + RESERVED


def padding(stats: TextStats) -> int:
    """The token that pads a short text."""
    return stats.padding if isinstance(stats, Subwords) else 0


def mask_layer(stats: TextStats, name: str) -> PaddingMask:
    """The layer that masks a text's padding."""
    token = padding(stats)
    ends_with_padding = isinstance(stats, Subwords) and stats.end == token
    return PaddingMask(token, ends_with_padding, name=f"{name}_mask")


def _recurrent(
    cell: type[layers.LSTM] | type[layers.GRU],
    tower: LSTMTower | GRUTower,
    given: TowerInput[TextInput],
    last: str,
    with_tokens: bool,
) -> Encoding:
    # Keras' own mask takes every 0 for padding, which is right for these tokenizers.
    own_mask = padding(given.stats) == 0 and given.config.tokenizer.type != "preset"
    words = _embedded(tower.embedding_dim, given, mask_zero=own_mask)
    mask = mask_layer(given.stats, given.name)(given.x)
    layer_mask = None if own_mask else mask
    return recurrent(cell, tower, tower, words, mask, layer_mask, given.name, last, with_tokens)


def _embedded(width: int, given: TowerInput[TextInput], **options: Any) -> KerasTensor:
    """Embeds tokens; the embedding starts from word vectors if configured, else from random."""
    count, vectors = token_count(given.config, given.stats), given.config.vectors
    name = f"{given.name}_words"
    if vectors is None:
        return layers.Embedding(count, width, name=name, **options)(given.x)
    values = _word_vectors(_vocabulary(given.stats), given.name, width)
    layer = layers.Embedding(count, width, trainable=vectors.trainable, name=name, **options)
    tokens = layer(given.x)
    # Assigned, because an initializer would put all numbers into the layer's configuration.
    layer.embeddings.assign(np.concatenate([np.zeros((RESERVED, width), "float32"), values]))
    return tokens


def _vocabulary(stats: TextStats) -> Vocabulary:
    if not isinstance(stats, Vocabulary):
        raise TypeError(f"the schema must hold a vocabulary, received {type(stats).__name__}")
    return stats


def _word_vectors(stats: Vocabulary, name: str, width: int) -> Any:
    if stats.vectors is None:
        raise ValueError(
            f"inputs.{name}.vectors: the schema must hold word vectors, received none:"
            " configuration and schema are not of the same table"
        )
    if stats.vectors.dim != width:
        raise ValueError(
            f"inputs.{name}.vectors: must be as wide as the tower's embeddings, {width}, received"
            f" vectors of {stats.vectors.dim} numbers"
        )
    return stats.vectors.array()
