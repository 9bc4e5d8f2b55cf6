"""Integers in a scalar string of bytes, in core TensorFlow ops, to read the headers of files."""

import tensorflow as tf


def octets(data: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
    """The `count` bytes from `position` on.

    Args:
        data: string scalar.
        position: >= 0. A position beyond the end is not an error.
        count: number of bytes.

    Returns:
        int64 `(count,)`; zeros beyond the end.

    Example:
        >>> octets(b"AB", 1, 3).numpy().tolist()
        [66, 0, 0]
    """
    present = tf.strings.substr(
        data, tf.minimum(tf.cast(position, tf.int64), size(data)), tf.constant(count, tf.int64)
    )
    padded = tf.io.decode_raw(tf.strings.join([present, b"\0" * count]), tf.uint8)
    return tf.ensure_shape(tf.cast(padded[:count], tf.int64), [count])


def size(data: tf.Tensor) -> tf.Tensor:
    """Number of bytes of a string scalar; int64 scalar."""
    return tf.cast(tf.strings.length(data), tf.int64)


def piece(data: tf.Tensor, position: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The bytes of a string scalar from `position` on: `count` (int64, >= 0), fewer at its end."""
    position = tf.minimum(tf.cast(position, tf.int64), size(data))
    return tf.strings.substr(
        data, position, tf.minimum(tf.cast(count, tf.int64), size(data) - position)
    )


def little(values: tf.Tensor) -> tf.Tensor:
    """The unsigned integers whose bytes, lowest first, are the last axis, of 1 to 7.

    Args:
        values: int64 `(..., bytes)`.

    Returns:
        int64 `(...)`.
    """
    return tf.reduce_sum(
        values * tf.constant([256**index for index in range(values.shape[-1])], tf.int64), axis=-1
    )


def big(values: tf.Tensor) -> tf.Tensor:
    """As `little`, highest byte first."""
    return little(tf.reverse(values, [-1]))


def choose(condition: tf.Tensor, yes: tf.Tensor | int, no: tf.Tensor | int) -> tf.Tensor:
    """`tf.where` for int64; `yes` and `no` may be Python ints."""
    return tf.where(condition, tf.cast(yes, tf.int64), tf.cast(no, tf.int64))


def signed(value: tf.Tensor, bits: int) -> tf.Tensor:
    """The value of an unsigned int64 of `bits` bits as two's complement."""
    return choose(value >= 2 ** (bits - 1), value - 2**bits, value)


def starts_with(values: tf.Tensor, text: bytes) -> tf.Tensor:
    """Whether the bytes `values` `(n,)` begin with `text`; bool scalar."""
    return tf.reduce_all(values[: len(text)] == tf.constant(list(text), tf.int64))
