"""Byte pair encoding in core TensorFlow ops.

KerasHub's `BytePairTokenizer` keeps every word of its texts in a table, which grows without limit
in a server, and it takes a Devanagari six for its own marker. This module uses its vocabulary and
merges alone; the ids are those of GPT-2's own tokenizer, or CLIP's.
"""

import tensorflow as tf

from multimodal_tf.data.tokenizers.normal_forms import nfc_lower

_SPACE = r"\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
# not a byte of UTF-8, so no text contains it and no pattern matches it
_END = b"\xff"
# the last of several spaces belongs to the word
_BEFORE_A_WORD = rf"([{_SPACE}]+)([{_SPACE}][^{_SPACE}])"
_WORD = rf"('s|'t|'re|'ve|'m|'ll|'d| ?\pL+| ?\pN+| ?[^{_SPACE}\pL\pN]+|[{_SPACE}]+)"
_CLOSED_WORD = r"('s|'t|'re|'ve|'m|'ll|'d|\pL+|\pN|" + rf"[^{_SPACE}\pL\pN]+)"
# bytes of a word that are merged at once: the time grows with the square, and a text may be a
# single word of 64 KiB
_LONGEST = 256
_NEVER = 2**31 - 1


class BytePairs(tf.Module):
    """Texts to ids.

    Args:
        vocabulary: ids of tokens, which are written in GPT-2's letters for bytes (a space is `Ġ`).
        merges: pairs of tokens, `"a b"`, those with the highest priority first.
        unknown: the id of a byte that is not in the vocabulary.
        prefix_space: whether the first word of a text is tokenized as after a space.
        end: suffix of the last letter of a word, as in CLIP's vocabulary: texts are then normalized
            to NFC and lower case, and spaces belong to no word. "": words have no suffix.

    Raises:
        ValueError: a merge makes a token that is not in the vocabulary.

    Source: Sennrich et al. 2016, arXiv:1508.07909, and Radford et al. 2019 (GPT-2), whose
    `encoder.py` has the letters and the words; CLIP's: Radford et al. 2021, arXiv:2103.00020.
    """

    def __init__(
        self,
        vocabulary: dict[str, int],
        merges: list[str],
        unknown: int,
        prefix_space: bool,
        end: str = "",
    ) -> None:
        super().__init__()
        self._unknown, self._prefix_space, self._closed = unknown, prefix_space, end != ""
        self._size = max(vocabulary.values(), default=0) + 1
        self._bytes, self._last = (
            tf.constant([vocabulary.get(letter + end, self._size) for letter in letters()])
            for end in ("", end)
        )
        pairs = [merge.split(" ") for merge in merges if not merge.startswith("#version:")]
        lost = [
            pair
            for pair in pairs
            if len(pair) != 2 or not vocabulary.keys() >= {*pair, "".join(pair)}
        ]
        if lost:
            raise ValueError(
                "a merge must be of two tokens and make one, all of the vocabulary, received"
                f" {' '.join(lost[0])!r}"
            )
        keys = [vocabulary[left] * (self._size + 1) + vocabulary[right] for left, right in pairs]
        self._merged = tf.constant(
            [vocabulary[left + right] for left, right in pairs] or [0], tf.int32
        )
        # TensorFlow refuses a table without entries; no pair has a negative number
        entries = tf.lookup.KeyValueTensorInitializer(
            tf.constant([-1, *keys], tf.int64), tf.constant([_NEVER, *range(len(keys))], tf.int32)
        )
        self._ranks = tf.lookup.StaticHashTable(entries, _NEVER)

    def __call__(self, texts: tf.Tensor, count: int) -> tf.RaggedTensor:
        """The ids of each text: ragged int32 `(batch, None)`, at least the first `count`."""
        if self._prefix_space:
            texts = tf.strings.regex_replace(texts, "^([^ ])", r" \1", replace_global=False)
        # a word has at least one token
        words = (_closed_words if self._closed else _words)(texts)[:, :count]
        distinct = tf.unique(words.values)
        pieces = _pieces(distinct.y)
        tokens = self._merge(pieces.values, tf.strings.length(distinct.y))
        of_word = tf.RaggedTensor.from_row_splits(
            tokens.values, tf.gather(tokens.row_splits, pieces.row_splits)
        )
        ids = words.with_values(tf.gather(of_word, distinct.idx)).merge_dims(1, 2)
        return tf.ragged.map_flat_values(
            lambda flat: tf.where(flat == self._size, self._unknown, flat), ids
        )

    def _merge(self, pieces: tf.Tensor, lengths: tf.Tensor) -> tf.RaggedTensor:
        """Merges the bytes of each piece, one pair per step, until no merge applies.

        Args:
            pieces: string `(pieces,)`.
            lengths: int32 `(words,)`, bytes of the words.

        Returns:
            ragged int32 `(pieces, None)`.
        """
        read = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(pieces), tf.uint8), tf.int32)
        last = tf.cumsum(lengths)[:, tf.newaxis] - 1
        every = tf.tensor_scatter_nd_update(
            tf.gather(self._bytes, read), last, tf.gather(self._last, tf.gather_nd(read, last))
        )
        ids = tf.RaggedTensor.from_row_lengths(every, tf.strings.length(pieces)).to_tensor(-1)
        # padding to shift from
        ids = tf.concat([ids, tf.fill([tf.shape(ids)[0], 1], -1)], 1)
        shapes = (tf.TensorShape([None, None]), tf.TensorShape([]))
        ids, _ = tf.while_loop(
            lambda ids, done: ~done,
            self._step,
            (ids, tf.size(pieces) == 0),
            shape_invariants=shapes,
        )
        return tf.RaggedTensor.from_tensor(ids, padding=-1)

    def _step(self, ids: tf.Tensor, done: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        left, right = tf.cast(ids[:, :-1], tf.int64), tf.cast(ids[:, 1:], tf.int64)
        ranks = self._ranks.lookup(
            tf.where(right < 0, tf.constant(-1, tf.int64), left * (self._size + 1) + right)
        )
        rank, at = tf.reduce_min(ranks, 1), tf.argmin(ranks, 1, tf.int32)[:, tf.newaxis]
        merging = (rank != _NEVER)[:, tf.newaxis]
        merged = tf.gather(self._merged, tf.where(rank == _NEVER, 0, rank))[:, tf.newaxis]
        indices = tf.range(tf.shape(ids)[1])[tf.newaxis]
        shifted = tf.concat([ids[:, 1:], tf.fill([tf.shape(ids)[0], 1], -1)], 1)
        ids = tf.where(
            merging & (indices > at), shifted, tf.where(merging & (indices == at), merged, ids)
        )
        return ids, ~tf.reduce_any(merging)


def letters() -> list[str]:
    """GPT-2's letter of each byte, from 0 to 255.

    It is the byte's own character where that is visible, otherwise one from U+0100 on.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


def _words(texts: tf.Tensor) -> tf.RaggedTensor:
    texts = tf.strings.regex_replace(texts, _BEFORE_A_WORD, b"\\1" + _END + b"\\2")
    words = tf.strings.split(tf.strings.regex_replace(texts, _WORD, b"\\1" + _END), _END)
    return tf.ragged.boolean_mask(words, words != "")


def _closed_words(texts: tf.Tensor) -> tf.RaggedTensor:
    texts = tf.strings.regex_replace(nfc_lower(texts), f"[{_SPACE}]+", _END)
    words = tf.strings.split(tf.strings.regex_replace(texts, _CLOSED_WORD, b"\\1" + _END), _END)
    return tf.ragged.boolean_mask(words, words != "")


def _pieces(words: tf.Tensor) -> tf.RaggedTensor:
    """Splits words into pieces of `_LONGEST` bytes: ragged string `(words, None)`."""
    lengths = tf.strings.length(words)
    starts = tf.ragged.range(tf.zeros_like(lengths), lengths, _LONGEST)
    of_each = tf.gather(words, starts.value_rowids())
    return starts.with_values(
        tf.strings.substr(of_each, starts.values, tf.fill(tf.shape(of_each), _LONGEST))
    )
