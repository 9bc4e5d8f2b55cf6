"""What makes a small image file expensive to decode, found before it is decoded.

A progressive JPEG has about ten scans. Each goes through all pixels again, and takes 18 bytes of
the file: 36 KB held a decoder for 22 seconds. A compressed text in a PNG can be 8 MB long in 8 KB,
and TensorFlow's decoder reads them all: 770 KB took 8 seconds. libpng unpacks what follows the last
pixel, too: two seconds for each megabyte.
"""

import tensorflow as tf

from multimodal_tf.data.codecs import binary

# libtiff allows as many in a TIFF
MOST_SCANS = 100
# an image has up to five: EXIF, XMP, IPTC and what the photographer says
MOST_TEXTS = 20
MANY_SCANS = f"a JPEG of more than {MOST_SCANS} scans"
MANY_TEXTS = f"a PNG of more than {MOST_TEXTS} compressed texts"
LONG_PIXELS = "a PNG whose packed pixels are longer than unpacked ones would be"
# an interlaced PNG has up to twice as many rows; what does not pack well gets a bit longer
_LONGER, _SLACK = 2, 1 << 16
# the most steps through the chunks of a PNG
_CHUNKS = 10_000
# by color type: channels of a PNG
_CHANNELS = [1, 1, 3, 1, 2, 1, 4, 1]
# the most steps through the segments of a JPEG with that many scans
_SEGMENTS = 10_000
# JPEG's markers
_END, _SCAN = 0xD9, 0xDA


def problem(data: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Why an image file takes too long to decode, whatever its size in pixels.

    Args:
        data: string scalar, the file's bytes.
        kind: int64 scalar, as `image_header.Header.kind`.

    Returns:
        string scalar: "" or the reason. Never raises, whatever the bytes are.
    """
    return tf.switch_case(
        tf.cast(tf.minimum(kind, 3), tf.int32),
        [
            lambda: tf.constant(""),
            lambda: tf.where(has_many_scans(data), MANY_SCANS, ""),
            lambda: tf.where(
                _has_many_texts(data),
                MANY_TEXTS,
                tf.where(has_long_pixels(data), LONG_PIXELS, ""),
            ),
            lambda: tf.constant(""),
        ],
    )


def has_many_scans(data: tf.Tensor) -> tf.Tensor:
    """Whether a JPEG, string scalar, has more than `MOST_SCANS` scans; bool scalar."""
    # that many are there at most: metadata and what follows the image may hold such bytes, too
    return tf.cond(
        _count(data, b"\xff\xda") > MOST_SCANS, lambda: _walk(data), lambda: tf.constant(False)
    )


def _walk(data: tf.Tensor) -> tf.Tensor:
    """Counts a JPEG's scans as libjpeg finds them, up to the end of the image."""
    octets = tf.concat([tf.io.decode_raw(data, tf.uint8), tf.zeros([4], tf.uint8)], 0)
    following = octets[1:]
    # 0: a byte of pixels, 0xFF: padding, the others: restarts within a scan
    is_marker = (following > 0) & (following < 0xFF) & ((following < 0xD0) | (following > 0xD7))
    markers = tf.where((octets[:-1] == 0xFF) & is_marker)[:, 0]
    count, end = tf.size(markers, tf.int64), tf.size(octets, tf.int64)
    markers = tf.concat([markers, [end]], 0)

    def step(position: tf.Tensor, scans: tf.Tensor, _going: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # libjpeg, too, skips bytes up to the next marker
        index = tf.searchsorted(markers, position[tf.newaxis], out_type=tf.int64)[0]
        start = binary.octets(data, markers[index], 4)
        # the others have no segment, or are no markers
        skipped = binary.choose(
            (start[1] >= 0xC0) & (start[1] != 0xD8), tf.maximum(256 * start[2] + start[3], 2), 0
        )
        scans += tf.cast(start[1] == _SCAN, tf.int64)
        going = (index < count) & (start[1] != _END) & (scans <= MOST_SCANS)
        return tf.minimum(markers[index] + 2 + skipped, end), scans, going

    state = (tf.constant(0, tf.int64), tf.constant(0, tf.int64), tf.constant(True))
    _, scans, going = tf.while_loop(
        lambda _position, _scans, going: going, step, state, maximum_iterations=_SEGMENTS
    )
    return (scans > MOST_SCANS) | going


def _has_many_texts(data: tf.Tensor) -> tf.Tensor:
    # for almost all files one quick search is enough
    without = tf.strings.regex_replace(data, "TXt", "", replace_global=False)
    return tf.cond(
        tf.strings.length(without) < tf.strings.length(data),
        lambda: _count(data, b"zTXt") + _count(data, b"iTXt") > MOST_TEXTS,
        lambda: tf.constant(False),
    )


def has_long_pixels(data: tf.Tensor) -> tf.Tensor:
    """Whether the packed pixels of a PNG, string scalar, are too long for its size; bool scalar."""
    header = binary.octets(data, 16, 10)
    width, height = binary.big(header[:4]), binary.big(header[4:8])
    bits = header[8] * tf.gather(tf.constant(_CHANNELS, tf.int64), header[9] % 8)
    # sizes that are refused anyhow must not overflow
    row = 1 + (tf.minimum(width, 1 << 31) * bits + 7) // 8
    most = _LONGER * tf.minimum(height, 1 << 20) * row + _SLACK
    # of almost all files the whole is short enough
    return tf.cond(
        binary.size(data) > most, lambda: _packed(data, most) > most, lambda: tf.constant(False)
    )


def _packed(data: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """Bytes of a PNG's packed pixels, int64 scalar; more than `most` where it has many chunks."""

    def step(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, ...]:
        chunk = binary.octets(data, position, 8)
        length = binary.big(chunk[:4])
        is_pixels = binary.starts_with(chunk[4:], b"IDAT")
        return position + 12 + length, found + length * tf.cast(is_pixels, tf.int64)

    end = binary.size(data)
    state = (tf.constant(8, tf.int64), tf.constant(0, tf.int64))
    position, found = tf.while_loop(
        lambda position, found: (position < end) & (found <= most),
        step,
        state,
        maximum_iterations=_CHUNKS,
    )
    return tf.where((position < end) & (found <= most), most + 1, found)


def _count(data: tf.Tensor, part: bytes) -> tf.Tensor:
    """How often `part` occurs; int32 scalar."""
    pieces = tf.raw_ops.StringSplitV2(input=data[tf.newaxis], sep=part, maxsplit=-1).values
    return tf.size(pieces) - 1
