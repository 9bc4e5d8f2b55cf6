"""Texts to ids inside the graph, by whatever tokenizer a text has.

A tokenizer is called with texts, string `(batch,)`, and `count`, how many ids a text may have, and
gives ragged ids `(batch, None)`. Those beyond `count` may be left out. The same graph runs in
training and in serving; KerasHub's eager calls, which take another way, never do.
"""

import base64
import pathlib
import tempfile

import keras
import tensorflow as tf

from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.byte_pair import BytePairs
from multimodal_tf.data.tokenizers.characters import characters
from multimodal_tf.data.tokenizers.ngrams import ngrams

_PACKAGE = "keras_hub"


class Vocabulary(tf.Module):
    """Words or characters by their numbers: 1 is one that is not in the vocabulary, 2 and on the
    vocabulary in its order.
    """

    def __init__(self, settings, stats):
        super().__init__()
        self._split = {"words": normalization.words, "characters": characters}[settings.type]
        self._table = normalization.vocabulary(
            stats.words, normalization.UNKNOWN + 1, normalization.UNKNOWN
        )

    def __call__(self, texts, count):
        return tf.ragged.map_flat_values(self._table.lookup, self._split(texts)[:, :count])


class Ngrams(tf.Module):
    """Words and the runs in them, hashed."""

    def __init__(self, settings, stats):
        super().__init__()
        self._settings = settings

    def __call__(self, texts, count):
        return ngrams(
            texts, self._settings.shortest, self._settings.longest, self._settings.buckets, count
        )


class Subwords(tf.Module):
    """A KerasHub tokenizer, trained here or taken from a preset.

    A preset's reads the text as it is, or as its model was trained to have it, and normalises it
    itself. Special tokens that a text spells out are plain text.
    """

    def __init__(self, settings, stats):
        super().__init__()
        as_trained = {"lower": normalization.lower, "bare": normalization.bare}.get(
            stats.reads, normalization.cut
        )
        self._prepare = {"word_piece": normalization.spaced, "preset": as_trained}.get(
            settings.type, normalization.plain
        )
        layer = restore(stats)
        self._tokenize = _byte_pairs(layer, stats) if _merges_bytes(layer) else _Graph(layer)

    def __call__(self, texts, count):
        return self._tokenize(self._prepare(texts), count)


class _Graph(tf.Module):
    """A KerasHub layer's graph, also where it is called eagerly."""

    def __init__(self, layer):
        super().__init__()
        # holds the tables
        self._layer = layer
        self._graph = tf.function(
            layer.tokenize, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    def __call__(self, texts, count):
        return self._graph(texts)


TOKENIZERS: dict = {
    "words": Vocabulary,
    "characters": Vocabulary,
    "ngrams": Ngrams,
    "word_piece": Subwords,
    "byte_pair": Subwords,
    "sentence_piece": Subwords,
    "preset": Subwords,
}


def restore(stats):
    """The KerasHub tokenizer that a schema holds.

    Args:
        learned: `schema.Subwords`.

    Raises:
        ValueError: it holds something else; no code but KerasHub's own classes is run.
    """
    from keras_hub.tokenizers import (
        # takes a second and is not needed by other tokenizers
        Tokenizer,
    )

    if not str(stats.layer.get("module", "")).startswith(_PACKAGE):
        raise ValueError(
            f"the schema must hold a tokenizer of {_PACKAGE}, received {stats.layer.get('class_name')!r}"
        )
    layer = keras.saving.deserialize_keras_object(stats.layer)
    if not isinstance(layer, Tokenizer):
        raise ValueError(
            f"the schema must hold a tokenizer of {_PACKAGE}, received {type(layer).__name__}"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name, data in stats.assets.items():
            (pathlib.Path(folder) / pathlib.PurePath(name).name).write_bytes(base64.b64decode(data))
        layer.load_assets(folder)
    return layer


def _merges_bytes(layer):
    """Whether a layer is KerasHub's byte pair encoding, or CLIP's, and not a kind of its own."""
    from keras_hub.tokenizers import BytePairTokenizer

    plain = (
        isinstance(layer, BytePairTokenizer)
        and type(layer)._tokenize_tf is BytePairTokenizer._tokenize_tf
    )
    return plain or _closes_words(layer)


def _closes_words(layer):
    from keras_hub.tokenizers import CLIPTokenizer

    return isinstance(layer, CLIPTokenizer)


def _byte_pairs(layer, stats):
    return BytePairs(
        layer.vocabulary,
        layer.merges,
        stats.unknown,
        layer.add_prefix_space,
        "</w>" if _closes_words(layer) else "",
    )
