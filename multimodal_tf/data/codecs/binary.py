"""Integers at a place in a scalar string of bytes, in core TensorFlow ops: what the headers of
images and sounds are read with.
"""

import tensorflow as tf


def octets(data, position, count):
    """The `count` bytes from `position` on.

    Args:
        data: string scalar.
        position: int, >= 0. A place beyond the end is not an error.
        count: Python int.

    Returns:
        int64 `(count,)`; zeros where the string has ended.

    Example:
        >>> octets(b"AB", 1, 3).numpy().tolist()
        [66, 0, 0]
    """
    present = tf.strings.substr(
        data, tf.minimum(tf.cast(position, tf.int64), size(data)), tf.constant(count, tf.int64)
    )
    padded = tf.io.decode_raw(tf.strings.join([present, b"\0" * count]), tf.uint8)
    return tf.ensure_shape(tf.cast(padded[:count], tf.int64), [count])


def size(data):
    """Number of bytes of a string scalar; int64 scalar."""
    return tf.cast(tf.strings.length(data), tf.int64)


def piece(data, position, count):
    """The part of a string scalar from `position` on, at most `count` bytes (int64, >= 0): shorter
    or empty where the string has ended.
    """
    position = tf.minimum(tf.cast(position, tf.int64), size(data))
    return tf.strings.substr(
        data, position, tf.minimum(tf.cast(count, tf.int64), size(data) - position)
    )


def little(values):
    """The unsigned integer whose bytes, lowest first, are the last axis of int64 `values` `(..., 1
    to 7)`; returns int64 `(...)`.
    """
    return tf.reduce_sum(
        values * tf.constant([256**place for place in range(values.shape[-1])], tf.int64), axis=-1
    )


def big(values):
    """As `little`, with the highest byte first."""
    return little(tf.reverse(values, [-1]))


def choose(condition, yes, no):
    """`tf.where` for int64, of which `yes` and `no` may be Python ints."""
    return tf.where(condition, tf.cast(yes, tf.int64), tf.cast(no, tf.int64))


def signed(value, bits):
    """The two's complement reading of an unsigned int64 of so many bits."""
    return choose(value >= 2 ** (bits - 1), value - 2**bits, value)


def starts_with(values, text):
    """Whether the bytes `values` `(n,)` begin with those of `text`; bool scalar."""
    return tf.reduce_all(values[: len(text)] == tf.constant(list(text), tf.int64))
