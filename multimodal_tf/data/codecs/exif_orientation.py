"""The orientation in the EXIF of an image file, as browsers apply it, in core TensorFlow ops."""

import tensorflow as tf

from multimodal_tf.data.codecs import binary

# the most entries of an EXIF directory that are read
_TAGS = 512
# the EXIF tag
_ORIENTATION = 0x0112
# the EXIF type of that tag's value
_SHORT = 3
# the most steps through the chunks of a WebP
_CHUNKS = 4096
# the flag of a WebP that has EXIF
_HAS_EXIF = 0x08


def read(exif: tf.Tensor) -> tf.Tensor:
    """The orientation in a block of EXIF.

    Args:
        exif: string scalar, from the byte order mark on; it may be invalid.

    Returns:
        int64 scalar, 1 to 8; 1 where there is no valid orientation.
    """
    start = binary.octets(exif, 0, 8)
    is_little, is_big = binary.starts_with(start, b"II*\0"), binary.starts_with(start, b"MM\0*")

    def number(values: tf.Tensor) -> tf.Tensor:
        return binary.choose(is_little, binary.little(values), binary.big(values))

    directory = number(start[4:8])
    count = number(binary.octets(exif, directory, 2))
    entries = tf.reshape(binary.octets(exif, directory + 2, 12 * _TAGS), [_TAGS, 12])
    wanted = (
        (number(entries[:, 0:2]) == _ORIENTATION)
        & (number(entries[:, 2:4]) == _SHORT)
        & (tf.range(_TAGS, dtype=tf.int64) < count)
    )
    first = tf.argmax(tf.cast(wanted, tf.int32))
    value = binary.choose(
        tf.reduce_any(wanted) & (is_little | is_big), number(entries[:, 8:10])[first], 1
    )
    return binary.choose((value >= 1) & (value <= 8), value, 1)


def of_png(data: tf.Tensor) -> tf.Tensor:
    """The EXIF of a PNG, which stands before the pixels; "" where there is none.

    The chunk is found by its name alone: a walk through the chunks would take as long as decoding a
    small image, and other bytes that look like EXIF are as good as never there.
    """
    before = tf.raw_ops.StringSplitV2(input=data[tf.newaxis], sep="IDAT", maxsplit=1).values[0]
    parts = tf.raw_ops.StringSplitV2(input=before[tf.newaxis], sep="eXIf", maxsplit=1).values
    length = binary.big(binary.octets(before, tf.maximum(binary.size(parts[0]) - 4, 0), 4))
    return tf.where(tf.size(parts) > 1, binary.piece(parts[-1], tf.constant(0), length), "")


def of_webp(data: tf.Tensor) -> tf.Tensor:
    """The EXIF of a WebP; "" where there is none."""

    def step(position: tf.Tensor, _found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chunk = binary.octets(data, position, 8)
        found = binary.starts_with(chunk, b"EXIF")
        length = binary.little(chunk[4:8])
        return binary.choose(found, position, position + 8 + length + length % 2), found

    def walk() -> tf.Tensor:
        end = binary.size(data)
        position, found = tf.while_loop(
            lambda position, found: ~found & (position < end),
            step,
            (tf.constant(12, tf.int64), tf.constant(False)),
            maximum_iterations=_CHUNKS,
        )
        length = binary.little(binary.octets(data, position + 4, 4))
        # some writers keep the prefix that EXIF has in a JPEG
        is_prefixed = binary.starts_with(binary.octets(data, position + 8, 6), b"Exif\0\0")
        prefix = binary.choose(is_prefixed, 6, 0)
        exif = binary.piece(data, position + 8 + prefix, tf.maximum(length - prefix, 0))
        return tf.where(found, exif, "")

    start = binary.octets(data, 12, 9)
    has_exif = binary.starts_with(start, b"VP8X") & (start[8] // _HAS_EXIF % 2 == 1)
    return tf.cond(has_exif, walk, lambda: "")
