"""Normalizes UTF-8 text and splits it into words.

A word is a run of letters, their marks and digits, with apostrophes inside ("don't"). A character
with its marks is a word in scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer,
Burmese...), and so is an emoji (also a family or a flag) or another symbol such as a currency's.
Other characters, such as punctuation, separate words and are dropped.
"""

from collections.abc import Mapping

import tensorflow as tf

from multimodal_tf.data.codecs.scripts import UNSPACED
from multimodal_tf.data.tokenizers.normal_forms import nfkc_lower

# bytes of a text that are read: some 10,000 words, more than a model takes; 10 MB would delay a
# batch by a second
LIMIT = 65_536
# ids before those of the vocabulary
PADDING, UNKNOWN = 0, 1

ASCII = r"[\x00-\x7F]*"
# white space of Python's str.isspace()
WHITE = r"[\pZ\t-\r\x{1c}-\x{1f}\x{85}]"
_UNSPACED = rf"([{UNSPACED}]\pM*)"
_SKIN = r"[\x{1F3FB}-\x{1F3FF}]"
_SYMBOL = (
    r"([\x{1F1E6}-\x{1F1FF}]{2}"
    rf"|[\p{{So}}\p{{Sc}}]\x{{FE0F}}?{_SKIN}?(?:\x{{200D}}\p{{So}}\x{{FE0F}}?{_SKIN}?)*)"
)
# direction marks, joiners, soft hyphens, variation selectors
_INVISIBLE = r"[\p{Cf}\x{FE0E}\x{FE0F}]"
_UNSEEN = (
    r"[\x{AD}\x{61C}\x{180E}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}\x{FEFF}]"
)
_BETWEEN_WORDS = r"[^\pL\pM\pN\p{So}\p{Sc}\x{1F3FB}-\x{1F3FF}']+"


def normalize(texts: tf.Tensor) -> tf.Tensor:
    """NFKC and lower case; control characters become spaces.

    Args:
        texts: string `(batch,)`, UTF-8. Only the first `LIMIT` bytes are read, up to a complete
            character; invalid bytes become U+FFFD.

    Returns:
        string `(batch,)`.

    Example:
        >>> normalize(["Ｆｕｌｌ\\tWIDTH"]).numpy()
        array([b'full width'], dtype=object)
    """
    texts = cut(tf.convert_to_tensor(texts))
    # valid for ASCII; the other rows are overwritten
    lower = tf.strings.lower(texts)
    others = tf.where(~tf.strings.regex_full_match(texts, ASCII))
    normal = tf.cond(tf.size(others) > 0, lambda: _with_others(lower, texts, others), lambda: lower)
    return tf.strings.regex_replace(normal, r"\p{Cc}", " ")


def plain(texts: tf.Tensor) -> tf.Tensor:
    """The normalization for tokenizers of characters and subwords: string `(batch,)`.

    It is `normalize` with single spaces for white space, none at the ends, and without invisible
    characters other than the joiners inside emoji and syllables.
    """
    texts = tf.strings.regex_replace(normalize(texts), r"[\pZ ]+", " ")
    return tf.strings.strip(tf.strings.regex_replace(texts, _UNSEEN, ""))


def spaced(texts: tf.Tensor) -> tf.Tensor:
    """The normalization for tokenizers of subwords within words: string `(batch,)`.

    It is `plain` with spaces around each character of scripts without spaces and each symbol.
    """
    texts = _separate(normalize(texts))
    return tf.strings.strip(
        tf.strings.regex_replace(tf.strings.regex_replace(texts, _INVISIBLE, ""), r"[\pZ ]+", " ")
    )


def lower(texts: tf.Tensor) -> tf.Tensor:
    """The normalization of some presets: `cut`, ASCII in lower case; string `(batch,)`."""
    return tf.strings.lower(cut(texts))


def bare(texts: tf.Tensor) -> tf.Tensor:
    """The normalization of SigLIP: string `(batch,)`.

    It is `lower` without ASCII punctuation, with single spaces for white space and none at the
    ends.
    """
    texts = tf.strings.regex_replace(lower(texts), r"[[:punct:]]", "")
    return tf.strings.strip(tf.strings.regex_replace(texts, r"\s+", " "))


def words(texts: tf.Tensor) -> tf.RaggedTensor:
    """The normalized words of each text.

    Args:
        texts: string `(batch,)`, as for `normalize`.

    Returns:
        ragged string `(batch, None)`.

    Example:
        >>> [word.decode() for word in words(["It's 5, 'NOW'! 中文🙂"])[0].numpy()]
        ["it's", '5', 'now', '中', '文', '🙂']
    """
    texts = tf.strings.regex_replace(_separate(normalize(texts)), "[’‘]", "'")
    texts = tf.strings.regex_replace(texts, _INVISIBLE, "")
    texts = tf.strings.regex_replace(texts, _BETWEEN_WORDS, " ")
    texts = tf.strings.regex_replace(texts, r"(?:^|\s)'+", " ")
    texts = tf.strings.regex_replace(texts, r"'+(?:\s|$)", " ")
    return tf.strings.split(texts)


def vocabulary(entries: list[str], first: int, unknown: int) -> tf.lookup.StaticHashTable:
    """A lookup table of entries to `first`, `first + 1`...; other strings are `unknown`.

    "" is unknown.
    """
    return lookup_table(dict(zip(entries, range(first, first + len(entries)))), unknown)


def lookup_table(numbers: Mapping[str, int], unknown: int) -> tf.lookup.StaticHashTable:
    """A lookup table of texts to their numbers; other strings, and "", are `unknown`."""
    # TensorFlow refuses a table without entries
    entries = {"": unknown} | {text: number for text, number in numbers.items() if text}
    pairs = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(entries)), tf.constant(list(entries.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(pairs, default_value=unknown)


def problem(texts: tf.Tensor) -> tf.Tensor:
    """Why a text is broken: string `(batch,)`, "" for valid UTF-8."""
    clean = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
    return tf.where(clean == texts, "", "invalid UTF-8")


def blank(texts: tf.Tensor) -> tf.Tensor:
    """Which texts are missing because they are only white space: bool `(batch,)`."""
    return tf.strings.regex_full_match(texts, f"{WHITE}*")


def cut(texts: tf.Tensor) -> tf.Tensor:
    """The first `LIMIT` bytes of each text, up to a complete character: string `(batch,)`."""
    head = tf.strings.substr(texts, 0, LIMIT)
    # the last character may be incomplete
    count = tf.maximum(tf.strings.length(head, "UTF8_CHAR") - 1, 0)
    whole = tf.strings.substr(head, tf.zeros_like(count), count, "UTF8_CHAR")
    return tf.where(tf.strings.length(texts) > LIMIT, whole, texts)


def _separate(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(
        tf.strings.regex_replace(texts, _UNSPACED, r" \1 "), _SYMBOL, r" \1 "
    )


def _with_others(lower: tf.Tensor, texts: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    return tf.tensor_scatter_nd_update(lower, rows, nfkc_lower(tf.gather_nd(texts, rows)))
