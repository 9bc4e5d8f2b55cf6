"""UTF-8 text to Unicode's extended grapheme clusters, in core TensorFlow ops.

A cluster is a letter with its marks (also Arabic, Thai and Devanagari vowels), consonants that a
virama joins (Devanagari, Khmer...), a syllable of old Hangul, a flag, or an emoji with its skin
tone or with other emoji that a joiner adds (a family).

Source: Unicode Standard Annex 29, «Unicode Text Segmentation», rules GB6 to GB13, on the classes
that RE2 supports.
"""

import tensorflow as tf

from multimodal_tf.data.tokenizers import normalization

_MARK = r"[\pM\x{200C}\x{200D}\x{E0020}-\x{E007F}\x{1F3FB}-\x{1F3FF}\x{FF9E}\x{FF9F}\x{E33}\x{EB3}]"
_PICTURE = r"[\p{So}\x{203C}\x{2049}\x{2194}\x{25FD}\x{25FE}\x{2B1B}\x{2B1C}\x{3030}]"
_EMOJI = rf"{_PICTURE}(?:{_MARK}*\x{{200D}}{_PICTURE})*{_MARK}*"
_FLAG = rf"[\x{{1F1E6}}-\x{{1F1FF}}]{{2}}{_MARK}*"
_HANGUL = (
    r"[\x{1100}-\x{115F}]*[\x{AC00}-\x{D7A3}\x{1160}-\x{11A7}]?"
    rf"[\x{{1160}}-\x{{11A7}}]*[\x{{11A8}}-\x{{11FF}}]+{_MARK}*"
)
_CONSONANT = (
    r"[\x{915}-\x{939}\x{958}-\x{95F}\x{978}-\x{97F}\x{995}-\x{9B9}\x{9DC}-\x{9DF}\x{9F0}\x{9F1}"
    r"\x{A95}-\x{AB9}\x{AF9}\x{B15}-\x{B39}\x{B5C}-\x{B5F}\x{B71}\x{C15}-\x{C39}\x{C58}-\x{C5A}"
    r"\x{D15}-\x{D3A}\x{1000}-\x{1021}\x{1780}-\x{17B3}]"
)
_VIRAMA = r"[\x{94D}\x{9CD}\x{ACD}\x{B4D}\x{C4D}\x{D4D}\x{1039}\x{17D2}]"
_SYLLABLE = rf"{_CONSONANT}(?:[\pM\x{{200D}}]*{_VIRAMA}[\pM\x{{200D}}]*{_CONSONANT})+{_MARK}*"
_CLUSTER = rf"({_FLAG}|{_EMOJI}|{_SYLLABLE}|{_HANGUL}|(?s:.){_MARK}*)"
# normalized texts contain no control characters
_END = "\x1f"


def characters(texts: tf.Tensor) -> tf.RaggedTensor:
    """The grapheme clusters of each text after `normalization.plain`.

    Args:
        texts: string `(batch,)`, UTF-8.

    Returns:
        ragged string `(batch, None)`.

    Example:
        >>> [letter.decode() for letter in characters(["Né 👍🏽"])[0].numpy()]
        ['n', 'é', ' ', '👍🏽']
    """
    return clusters(normalization.plain(texts))


def clusters(texts: tf.Tensor) -> tf.RaggedTensor:
    """The grapheme clusters of texts as they are: ragged string `(batch, None)`.

    Args:
        texts: string `(batch,)`, UTF-8 without control characters.
    """
    found = tf.strings.split(tf.strings.regex_replace(texts, _CLUSTER, rf"\1{_END}"), _END)
    # drops the empty string after the last cluster
    return tf.ragged.boolean_mask(found, found != "")
