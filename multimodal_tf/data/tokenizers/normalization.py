"""UTF-8 text in one spelling, and its words.

What a word is: a run of letters, their marks and digits, with apostrophes inside ("don't"). A
character of a script written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese...) with
its marks is a word, and so is an emoji (a family or a flag is one) or another symbol such as a
currency's. All else, punctuation above all, parts words and is dropped.
"""

import tensorflow as tf

from multimodal_tf.data.tokenizers.normal_forms import nfkc_lower

# bytes of a text that are read: some 10,000 words, more than a model takes, and 10 MB would hold up
# a batch for a second
LIMIT = 65_536
# the numbers before the vocabulary's
PADDING, UNKNOWN = 0, 1

_ASCII = r"[\x00-\x7F]*"
# what Python's str.isspace() calls white space
_BLANK = r"[\pZ\t-\r\x{1c}-\x{1f}\x{85}]*"
_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Javanese}\p{Tai_Tham}"
_UNSPACED = rf"([{_SCRIPTS}]\pM*)"
_SKIN = r"[\x{1F3FB}-\x{1F3FF}]"
_SYMBOL = rf"([\x{{1F1E6}}-\x{{1F1FF}}]{{2}}|[\p{{So}}\p{{Sc}}]\x{{FE0F}}?{_SKIN}?(?:\x{{200D}}\p{{So}}\x{{FE0F}}?{_SKIN}?)*)"
# direction marks, joiners, soft hyphens, and how to draw an emoji
_INVISIBLE = r"[\p{Cf}\x{FE0E}\x{FE0F}]"
_UNSEEN = (
    r"[\x{AD}\x{61C}\x{180E}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}\x{FEFF}]"
)
_BETWEEN_WORDS = r"[^\pL\pM\pN\p{So}\p{Sc}\x{1F3FB}-\x{1F3FF}']+"


def normalize(texts):
    """One spelling of what reads the same: NFKC and lower case; control characters become spaces.

    Args:
        texts: string `(batch,)`, UTF-8. Only the first `LIMIT` bytes are read, to a whole
            character; invalid bytes become U+FFFD.

    Returns:
        string `(batch,)`.

    Example:
        >>> normalize(["Ｆｕｌｌ\\tWIDTH"]).numpy()
        array([b'full width'], dtype=object)
    """
    texts = cut(tf.convert_to_tensor(texts))
    # of ASCII alone; the other rows are overwritten
    lower = tf.strings.lower(texts)
    others = tf.where(~tf.strings.regex_full_match(texts, _ASCII))
    normal = tf.cond(tf.size(others) > 0, lambda: _with_others(lower, texts, others), lambda: lower)
    return tf.strings.regex_replace(normal, r"\p{Cc}", " ")


def plain(texts):
    """What tokenizers of characters and subwords read: `normalize`, a single space for any white
    space and none at the ends, no invisible characters but the joiners that hold an emoji or a
    syllable together; string `(batch,)`."""
    texts = tf.strings.regex_replace(normalize(texts), r"[\pZ ]+", " ")
    return tf.strings.strip(tf.strings.regex_replace(texts, _UNSEEN, ""))


def spaced(texts):
    """What a tokenizer of subwords within words reads: `plain` with spaces around each character of
    a script that is written without, and around each symbol; string `(batch,)`."""
    texts = _apart(normalize(texts))
    return tf.strings.strip(
        tf.strings.regex_replace(tf.strings.regex_replace(texts, _INVISIBLE, ""), r"[\pZ ]+", " ")
    )


def lower(texts):
    """What some presets read: `cut`, ASCII in lower case; string `(batch,)`."""
    return tf.strings.lower(cut(texts))


def bare(texts):
    """What SigLIP reads: `lower` without ASCII's punctuation, one space for any white space and
    none at the ends; string `(batch,)`.
    """
    texts = tf.strings.regex_replace(lower(texts), r"[[:punct:]]", "")
    return tf.strings.strip(tf.strings.regex_replace(texts, r"\s+", " "))


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
    texts = tf.strings.regex_replace(_apart(normalize(texts)), "[’‘]", "'")
    texts = tf.strings.regex_replace(texts, _INVISIBLE, "")
    texts = tf.strings.regex_replace(texts, _BETWEEN_WORDS, " ")
    texts = tf.strings.regex_replace(texts, r"(?:^|\s)'+", " ")
    texts = tf.strings.regex_replace(texts, r"'+(?:\s|$)", " ")
    return tf.strings.split(texts)


def vocabulary(entries, first, unknown):
    """A lookup table: the entries in their order are `first`, `first + 1`..., anything else is
    `unknown`; "" is no entry.
    """
    # TensorFlow refuses a table without entries
    numbers = [unknown, *range(first, first + len(entries))]
    pairs = tf.lookup.KeyValueTensorInitializer(
        tf.constant(["", *entries]), tf.constant(numbers, tf.int64)
    )
    return tf.lookup.StaticHashTable(pairs, default_value=unknown)


def problem(texts):
    """Why a text cannot be read: string `(batch,)`, "" where it can."""
    clean = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
    return tf.where(clean == texts, "", "invalid UTF-8")


def blank(texts):
    """Which texts hold nothing but white space, and so are missing: bool `(batch,)`."""
    return tf.strings.regex_full_match(texts, _BLANK)


def cut(texts):
    """The first `LIMIT` bytes of each text, to a whole character: string `(batch,)`."""
    head = tf.strings.substr(texts, 0, LIMIT)
    # the last may be half a character
    count = tf.maximum(tf.strings.length(head, "UTF8_CHAR") - 1, 0)
    whole = tf.strings.substr(head, tf.zeros_like(count), count, "UTF8_CHAR")
    return tf.where(tf.strings.length(texts) > LIMIT, whole, texts)


def _apart(texts):
    return tf.strings.regex_replace(
        tf.strings.regex_replace(texts, _UNSPACED, r" \1 "), _SYMBOL, r" \1 "
    )


def _with_others(lower, texts, rows):
    return tf.tensor_scatter_nd_update(lower, rows, nfkc_lower(tf.gather_nd(texts, rows)))
