"""Numbers in texts, read inside a graph: what requests of JSON hold, which has no NaN."""

import tensorflow as tf

# `tf.strings.to_number` fails a batch on any other text
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?"
_OTHER = r"[+-]?(?i:inf|infinity|nan)"
_NULL = r"null|None"
_ITEM = f"(?:{_NUMBER}|{_OTHER}|{_NULL})"
_BETWEEN = r"(?:\s*,\s*|\s+)"
# of one number: Python writes no more digits without an exponent
_LONGEST = 400


def scalars(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A number in each text.

    Args:
        texts: string `(batch,)`; "", white space and nan are missing.

    Returns:
        `(numbers, is_number)`: float64 and bool `(batch,)`. Missing is NaN and a number; a text
        that is no number is NaN.

    Example:
        >>> numbers, is_number = scalars(tf.constant(["7.5", "", "seven", " 1e3 "]))
        >>> numbers.numpy().tolist(), is_number.numpy().tolist()
        ([7.5, nan, nan, 1000.0], [True, True, False, True])
    """
    stripped = tf.strings.strip(texts)
    is_number = tf.strings.regex_full_match(stripped, f"{_NUMBER}|{_OTHER}")
    is_number &= tf.strings.length(stripped) <= _LONGEST
    numbers = tf.strings.to_number(tf.where(is_number, stripped, "nan"), tf.float64)
    return numbers, is_number | (stripped == "")


def lists(texts: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A list of numbers in each text, as JSON, Python or NumPy writes it.

    Args:
        texts: string `(batch,)`; "" and white space are missing. null and None are NaN.
        length: of each list.

    Returns:
        `(numbers, is_list)`: float64 `(batch, length)` and bool `(batch,)`. Missing is NaN and a
        list; a text that is no list of so many numbers is NaN.

    Example:
        >>> numbers, is_list = lists(tf.constant(["[1, 2.5]", "[1]", "", "[1. null]"]), 2)
        >>> numbers.numpy().tolist(), is_list.numpy().tolist()
        ([[1.0, 2.5], [nan, nan], [nan, nan], [1.0, nan]], [True, False, True, True])
    """
    stripped = tf.strings.strip(texts)
    form = rf"\[\s*{_ITEM}(?:{_BETWEEN}{_ITEM})*\s*\]"
    # a number of a thousand digits may be more than the graph reads
    fits = tf.strings.regex_full_match(stripped, form) & ~tf.strings.regex_full_match(
        stripped, r".*[0-9.]{309}.*"
    )
    inner = tf.strings.regex_replace(tf.where(fits, stripped, ""), _NULL, "nan")
    items = tf.strings.split(tf.strings.regex_replace(inner, r"[\[\],\s]+", " "))
    is_list = fits & (items.row_lengths() == length)
    items = tf.ragged.boolean_mask(items, is_list).values
    rows = tf.where(is_list)
    numbers = tf.reshape(tf.strings.to_number(items, tf.float64), [-1, length])
    shape = tf.stack([tf.size(texts, tf.int64), tf.constant(length, tf.int64)])
    found = tf.scatter_nd(rows, numbers, shape)
    nan = tf.constant(float("nan"), tf.float64)
    return tf.where(is_list[:, tf.newaxis], found, nan), is_list | (stripped == "")
