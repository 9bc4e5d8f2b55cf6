"""Target texts to token ids and back, in core TensorFlow ops.

Case is kept, and the tokens of a text give it back. A target is canonical: NFC, single spaces for
white space, none at the ends. The ids are those of the schema's tokenizer (0 is padding, 1 an
unknown character), then the text's end, then its beginning. Those of a preset are two more than its
own, and its end is one of them.
"""

from typing import Any

import tensorflow as tf

from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.byte_pair import letters
from multimodal_tf.data.tokenizers.characters import clusters
from multimodal_tf.data.tokenizers.graph_tokenizers import reversible_subwords
from multimodal_tf.data.tokenizers.preset_targets import is_whisper, preset_pieces
from multimodal_tf.schema import Subwords, Texts, Vocabulary
from multimodal_tf.schema.tokenizer import restore_tokenizer

# SentencePiece's letter for a space
_SPACE = "\u2581"


class TargetTokens(tf.Module):
    """The token ids of a text head's targets.

    Args:
        stats: what the training split taught.

    Attributes:
        end: int, the id of a text's end.
    """

    def __init__(self, stats: Texts) -> None:
        super().__init__()
        learned = stats.tokens
        self.end, self._offset = stats.end, stats.offset
        if isinstance(learned, Vocabulary):
            self._tokenize: Any = _Characters(learned)
        else:
            self._tokenize = reversible_subwords(learned)
        # Whisper writes a space before each word, the first one, too
        whisper = isinstance(learned, Subwords) and is_whisper(learned)
        self._before = " " if whisper else ""

    def __call__(self, texts: tf.Tensor, count: int) -> tf.Tensor:
        """The ids of canonical texts: int32 `(batch, count + 1)`.

        The end follows a text of `count` tokens or fewer, padding the end; of a longer text the
        first `count + 1` tokens are there. A text of "" is padding alone.
        """
        cells = tf.strings.join([self._before, normalization.cut(texts)])
        found = tf.cast(self._tokenize(cells, count + 1), tf.int32) + self._offset
        present = texts != ""
        end = tf.fill([tf.shape(texts)[0], 1], self.end)
        ids = tf.concat([found, end], 1)[:, : count + 1].to_tensor(
            normalization.PADDING, shape=[None, count + 1]
        )
        return tf.where(present[:, tf.newaxis], ids, normalization.PADDING)


def texts_of(ids: tf.Tensor, stats: Texts) -> tf.Tensor:
    """The texts of token ids, in ops that every TensorFlow Serving has.

    Args:
        ids: int `(batch, length)`; those from the first end on are not read.
        stats: what the training split taught.

    Returns:
        string `(batch,)`. Bytes that are no UTF-8, which byte pairs may give, become U+FFFD.
    """
    # a subword tokenizer is read eagerly, also while a graph is traced
    with tf.init_scope():
        pieces = [*_pieces(stats.tokens), b"", b""]
    ended = tf.cumsum(tf.cast(ids == stats.end, tf.int32), axis=1) > 0
    chosen = tf.gather(tf.constant(pieces), tf.where(ended, normalization.PADDING, ids))
    joined = tf.strings.reduce_join(chosen, axis=1)
    clean = tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8", errors="replace")
    return tf.strings.strip(clean)


class _Characters(tf.Module):
    """Indices of grapheme clusters; those beyond the vocabulary are unknown."""

    def __init__(self, stats: Vocabulary) -> None:
        super().__init__()
        self._table = normalization.vocabulary(
            stats.words, normalization.UNKNOWN + 1, normalization.UNKNOWN
        )

    def __call__(self, texts: tf.Tensor, count: int) -> tf.RaggedTensor:
        return tf.ragged.map_flat_values(self._table.lookup, clusters(texts)[:, :count])


def _pieces(learned: Vocabulary | Subwords) -> list[bytes]:
    """The bytes of each token; padding and unknown have none."""
    if isinstance(learned, Vocabulary):
        return [b"", b"", *(word.encode() for word in learned.words)]
    layer = restore_tokenizer(learned)
    if learned.tokenizer == "preset":
        return [b"", b"", *preset_pieces(layer, learned.size)]
    if learned.tokenizer == "byte_pair":
        byte_of = {letter: byte for byte, letter in enumerate(letters())}
        tokens = [layer.id_to_token(number) for number in range(2, learned.size)]
        return [b"", b"", *(bytes(byte_of[letter] for letter in token) for token in tokens)]
    tokens = [layer.id_to_token(number) for number in range(2, learned.size)]
    return [b"", b"", *(token.replace(_SPACE, " ").encode() for token in tokens)]
