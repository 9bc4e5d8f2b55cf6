"""`config.spelling` in the graph: one spelling for one value."""

from collections.abc import Callable, Iterable

import tensorflow as tf

from multimodal_tf.config.spelling import EXPONENT, LONGEST, MIDNIGHT, spelling
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.normal_forms import nfc

_ENDS = rf"^{normalization.WHITE}+|{normalization.WHITE}+$"
# exponents have three digits
_ZEROS = "0" * 400


def spelled(texts: tf.Tensor) -> tf.Tensor:
    """The one spelling of each value, equal to `config.spelling.spelling` for every text.

    Args:
        texts: string `(batch,)`, UTF-8.

    Returns:
        string `(batch,)`.

    Example:
        >>> spelled(tf.constant(["1.0", " 007", "2.50"])).numpy().tolist()
        [b'1', b'007', b'2.5']
    """
    texts = tf.strings.regex_replace(texts, _ENDS, "")
    texts = _of_some(texts, _needs_normal_form(texts), nfc)
    texts = tf.strings.regex_replace(texts, r"^(-?(?:0|[1-9][0-9]*))\.0+$", r"\1")
    texts = tf.strings.regex_replace(texts, r"^(-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9])0+$", r"\1")
    texts = tf.strings.regex_replace(texts, r"^-0$", "0")
    texts = tf.strings.regex_replace(texts, f"^{MIDNIGHT}$", r"\1")
    return _of_some(texts, tf.strings.regex_full_match(texts, EXPONENT), _without_exponent)


def value_table(values: Iterable[str], first: int, unknown: int) -> tf.lookup.StaticHashTable:
    """As `normalization.vocabulary`, for spelled texts.

    Of two values with one spelling, which schemas of earlier versions may hold, the first is found.
    """
    numbers: dict[str, int] = {}
    for number, value in enumerate(values, start=first):
        numbers.setdefault(spelling(value), number)
    return normalization.lookup_table(numbers, unknown)


def _needs_normal_form(texts: tf.Tensor) -> tf.Tensor:
    is_short = tf.strings.length(texts, "UTF8_CHAR") <= LONGEST
    return ~tf.strings.regex_full_match(texts, normalization.ASCII) & is_short


def _of_some(
    texts: tf.Tensor, wanted: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """The texts, those that are wanted changed."""
    rows = tf.where(wanted)
    return tf.cond(
        tf.size(rows) > 0,
        lambda: tf.tensor_scatter_nd_update(texts, rows, change(tf.gather_nd(texts, rows))),
        lambda: texts,
    )


def _without_exponent(texts: tf.Tensor) -> tf.Tensor:
    sign = tf.strings.regex_replace(texts, r"^(-?).*$", r"\1")
    digits = tf.strings.regex_replace(tf.strings.regex_replace(texts, "e.*$", ""), r"[-.]", "")
    shift = tf.strings.to_number(tf.strings.regex_replace(texts, r"^.*e\+?", ""), tf.int32)
    length = tf.strings.length(digits)
    zeros = tf.fill(tf.shape(texts), _ZEROS)
    start = tf.zeros_like(shift)
    small = tf.strings.join(
        ["0.", tf.strings.substr(zeros, start, tf.maximum(-shift - 1, 0)), digits]
    )
    whole = tf.strings.substr(digits, start, tf.maximum(shift + 1, 0))
    whole += tf.strings.substr(zeros, start, tf.maximum(shift + 1 - length, 0))
    behind = tf.minimum(tf.maximum(shift + 1, 0), length)
    fraction = tf.strings.substr(digits, behind, tf.maximum(length - behind, 0))
    large = whole + tf.where(fraction == "", "", "." + fraction)
    return sign + tf.where(shift < 0, small, large)
