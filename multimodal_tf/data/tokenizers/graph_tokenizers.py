"""Texts to token ids inside the graph, by any tokenizer.

The same graph runs in training and in serving. KerasHub's eager calls, which run other code, are
never used.
"""

from collections.abc import Callable
from typing import Any, assert_never

import tensorflow as tf

from multimodal_tf.config import (
    BytePairTokenizer,
    CharacterTokenizer,
    NgramTokenizer,
    NoTokenizer,
    PresetTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
    WordTokenizer,
)
from multimodal_tf.config.text import Tokenizer
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.byte_pair import BytePairs
from multimodal_tf.data.tokenizers.characters import characters
from multimodal_tf.data.tokenizers.ngrams import ngrams
from multimodal_tf.schema import Subwords, Vocabulary
from multimodal_tf.schema.tokenizer import restore_tokenizer

# texts, string `(batch,)`, and the most ids of a text, to ragged ids `(batch, None)`; ids beyond
# that number may be left out
GraphTokenizer = Callable[[tf.Tensor, int], tf.RaggedTensor]


def graph_tokenizer(tokenizer: Tokenizer, stats: Any) -> GraphTokenizer:
    """The tokenizer of a text input as a `tf.Module` to call inside a graph.

    Args:
        tokenizer: its configuration.
        stats: `schema.Vocabulary` or `schema.Subwords`, as the tokenizer needs.

    Raises:
        ValueError: there is no tokenizer, or `stats` holds one that is not KerasHub's.
    """
    match tokenizer:
        case WordTokenizer():
            return _Vocabulary(normalization.words, stats)
        case CharacterTokenizer():
            return _Vocabulary(characters, stats)
        case NgramTokenizer():
            return _Ngrams(tokenizer)
        case WordPieceTokenizer():
            return _Subwords(normalization.spaced, stats)
        case BytePairTokenizer() | SentencePieceTokenizer():
            return _Subwords(normalization.plain, stats)
        case PresetTokenizer():
            return _Subwords(_as_trained(stats), stats)
        case NoTokenizer():
            raise ValueError("tokenizer: none has no ids")
        case _:
            assert_never(tokenizer)


def reversible_subwords(stats: Subwords) -> GraphTokenizer:
    """A subword tokenizer of texts as they are, which keeps their case."""
    return _Subwords(normalization.cut, stats)


class _Vocabulary(tf.Module):
    """Indices of words or characters in a vocabulary, after those of padding and unknown."""

    def __init__(self, split: Callable[[tf.Tensor], tf.RaggedTensor], stats: Vocabulary) -> None:
        super().__init__()
        self._split = split
        self._table = normalization.vocabulary(
            stats.words, normalization.UNKNOWN + 1, normalization.UNKNOWN
        )

    def __call__(self, texts: tf.Tensor, count: int) -> tf.RaggedTensor:
        return tf.ragged.map_flat_values(self._table.lookup, self._split(texts)[:, :count])


class _Ngrams(tf.Module):
    """Hashes of words and their n-grams."""

    def __init__(self, settings: NgramTokenizer) -> None:
        super().__init__()
        self._settings = settings

    def __call__(self, texts: tf.Tensor, count: int) -> tf.RaggedTensor:
        return ngrams(
            texts, self._settings.shortest, self._settings.longest, self._settings.buckets, count
        )


class _Subwords(tf.Module):
    """A KerasHub tokenizer after a normalization. Special tokens in a text are plain text."""

    def __init__(self, normalize: Callable[[tf.Tensor], tf.Tensor], stats: Subwords) -> None:
        super().__init__()
        self._normalize = normalize
        layer = restore_tokenizer(stats)
        self._tokenize = _byte_pairs(layer, stats) if _merges_bytes(layer) else _Graph(layer)

    def __call__(self, texts: tf.Tensor, count: int) -> tf.RaggedTensor:
        return self._tokenize(self._normalize(texts), count)


class _Graph(tf.Module):
    """The graph of a KerasHub layer, also where it is called eagerly."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        # holds the tables
        self._layer = layer
        self._graph = tf.function(
            self._tokenize, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    def __call__(self, texts: tf.Tensor, count: int) -> tf.RaggedTensor:
        return self._graph(texts)

    def _tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        from keras_hub.tokenizers import SentencePieceTokenizer as KerasHubSentencePieceTokenizer

        if isinstance(self._layer, KerasHubSentencePieceTokenizer):
            # `tf.random.set_seed` deletes a model that was loaded eagerly; this graph loads its own
            self._layer.set_proto(self._layer.proto)
        return self._layer.tokenize(texts)


def _as_trained(stats: Subwords) -> Callable[[tf.Tensor], tf.Tensor]:
    """What a preset's model was trained to read; its tokenizer normalizes the rest itself."""
    match stats.reads:
        case "lower":
            return normalization.lower
        case "bare":
            return normalization.bare
        case None:
            return normalization.cut
        case _:
            assert_never(stats.reads)


def _merges_bytes(layer: Any) -> bool:
    """Whether a layer is KerasHub's byte pair encoding or CLIP's, and not another subclass."""
    from keras_hub.tokenizers import BytePairTokenizer as KerasHubBytePairTokenizer

    plain = (
        isinstance(layer, KerasHubBytePairTokenizer)
        and type(layer)._tokenize_tf is KerasHubBytePairTokenizer._tokenize_tf
    )
    return plain or _marks_word_ends(layer)


def _marks_word_ends(layer: Any) -> bool:
    from keras_hub.tokenizers import CLIPTokenizer

    return isinstance(layer, CLIPTokenizer)


def _byte_pairs(layer: Any, stats: Subwords) -> BytePairs:
    return BytePairs(
        layer.vocabulary,
        layer.merges,
        stats.unknown,
        layer.add_prefix_space,
        "</w>" if _marks_word_ends(layer) else "",
    )
