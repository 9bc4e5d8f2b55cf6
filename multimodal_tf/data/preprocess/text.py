"""UTF-8 text to words and numbers of words.

What a word is: a run of letters, their marks and digits, with apostrophes inside ("don't"). A character of a script written without
spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese...) with its marks is a word, and so is an emoji (a family or a flag is one) or another
symbol such as a currency's. All else, punctuation above all, parts words and is dropped.
"""

import tensorflow as tf

from multimodal_tf.data.preprocess.nfkc import nfkc_lower

LIMIT = 65_536  # bytes of a text that are read: some 10,000 words, more than a model takes, and 10 MB would hold up a batch for a second
PADDING, UNKNOWN = 0, 1  # the numbers before the vocabulary's

_ASCII = r"[\x00-\x7F]*"
_BLANK = r"[\pZ\t-\r\x{1c}-\x{1f}\x{85}]*"  # what Python's str.isspace() calls white space
_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Javanese}\p{Tai_Tham}"
_UNSPACED = rf"([{_SCRIPTS}]\pM*)"
_SKIN = r"[\x{1F3FB}-\x{1F3FF}]"
_SYMBOL = rf"([\x{{1F1E6}}-\x{{1F1FF}}]{{2}}|[\p{{So}}\p{{Sc}}]\x{{FE0F}}?{_SKIN}?(?:\x{{200D}}\p{{So}}\x{{FE0F}}?{_SKIN}?)*)"
_INVISIBLE = r"[\p{Cf}\x{FE0E}\x{FE0F}]"  # direction marks, joiners, soft hyphens, and how to draw an emoji
_BETWEEN_WORDS = r"[^\pL\pM\pN\p{So}\p{Sc}\x{1F3FB}-\x{1F3FF}']+"


def normalize(texts):
    """One spelling of what reads the same: NFKC and lower case; control characters become spaces; unspaced scripts are spaced.

    Args:
        texts: string `(batch,)`, UTF-8. Only the first `LIMIT` bytes are read, to a whole character; invalid bytes become U+FFFD.

    Returns:
        string `(batch,)`.

    Example:
        >>> normalize(["Ｆｕｌｌ\\tWIDTH", "你好"]).numpy().tolist() == [b"full width", " 你  好 ".encode()]
        True
    """
    texts = _cut(tf.convert_to_tensor(texts))
    lower = tf.strings.lower(texts)  # of ASCII alone; the other rows are overwritten
    others = tf.where(~tf.strings.regex_full_match(texts, _ASCII))
    normal = tf.cond(tf.size(others) > 0, lambda: tf.tensor_scatter_nd_update(lower, others, _not_ascii(texts, others)), lambda: lower)
    return tf.strings.regex_replace(normal, r"\p{Cc}", " ")


def words(texts):
    """The words of each text, normalised.

    Args:
        texts: string `(batch,)`, as for `normalize`.

    Returns:
        ragged string `(batch, None)`.

    Example:
        >>> words(["It's 5 o'clock, 'NOW'!", "中文🙂"]).to_list() == [[b"it's", b"5", b"o'clock", b"now"], [c.encode() for c in "中文🙂"]]
        True
    """
    texts = normalize(texts)
    texts = tf.strings.regex_replace(texts, "[’‘]", "'")
    texts = tf.strings.regex_replace(texts, _SYMBOL, r" \1 ")
    texts = tf.strings.regex_replace(texts, _INVISIBLE, "")
    texts = tf.strings.regex_replace(texts, _BETWEEN_WORDS, " ")
    texts = tf.strings.regex_replace(texts, r"(?:^|\s)'+", " ")
    texts = tf.strings.regex_replace(texts, r"'+(?:\s|$)", " ")
    return tf.strings.split(texts)


def tokens(texts, table, max_tokens):
    """The numbers of the first words of each text.

    Args:
        texts: string `(batch,)`, as for `normalize`.
        table: lookup table from `vocabulary`.
        max_tokens: int. Words beyond are left out.

    Returns:
        int32 `(batch, max_tokens)`: 0 padding (at the end), 1 a word that is not in the vocabulary, 2 and on the vocabulary in its order.
    """
    numbers = tf.ragged.map_flat_values(table.lookup, words(texts)[:, :max_tokens])
    return tf.cast(numbers.to_tensor(PADDING, shape=[None, max_tokens]), tf.int32)


def vocabulary(entries, first, unknown):
    """A lookup table: the entries in their order are `first`, `first + 1`..., anything else is `unknown`; "" is no entry."""
    numbers = [unknown, *range(first, first + len(entries))]  # TensorFlow refuses a table without entries
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["", *entries]), tf.constant(numbers, tf.int64))
    return tf.lookup.StaticHashTable(pairs, default_value=unknown)


def problem(texts):
    """Why a text cannot be read: string `(batch,)`, "" where it can."""
    clean = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
    return tf.where(clean == texts, "", "invalid UTF-8")


def blank(texts):
    """Which texts hold nothing but white space, and so are missing: bool `(batch,)`."""
    return tf.strings.regex_full_match(texts, _BLANK)


def _cut(texts):
    head = tf.strings.substr(texts, 0, LIMIT)
    count = tf.maximum(tf.strings.length(head, "UTF8_CHAR") - 1, 0)  # the last may be half a character
    whole = tf.strings.substr(head, tf.zeros_like(count), count, "UTF8_CHAR")
    return tf.where(tf.strings.length(texts) > LIMIT, whole, texts)


def _not_ascii(texts, rows):
    return tf.strings.regex_replace(nfkc_lower(tf.gather_nd(texts, rows)), _UNSPACED, r" \1 ")
