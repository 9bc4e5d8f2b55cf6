"""Format, size and orientation from the header of an image file, before any pixel is decoded.

A size that is read differently here and in the decoder could make the decoder allocate gigabytes.
So each parser below accepts only what the decoder reads in the same way, and gives no size for the
rest.
"""

import typing

import numpy as np
import tensorflow as tf

from multimodal_tf.data.codecs import binary, exif_orientation

# by format: the reason where the header gives no size
UNREADABLE = (
    "not a JPEG, PNG, GIF, BMP or WebP image",
    "a JPEG whose header gives no width and height",
    "a PNG whose header gives no width and height",
    "a GIF without a frame, or without colors",
    "a BMP without pixels, or not uncompressed with 1, 4, 8, 24 or 32 bits per pixel",
    "a WebP whose header gives no width and height",
)
# the most steps through a JPEG's segments up to the one that gives the size
_SEGMENTS = 1000
# the most steps through a GIF's blocks up to a frame
_BLOCKS = 4096

# by format: the first bytes of a file; -1: any
_MAGIC = np.full([6, 12], -1, np.int64)
for _format_number, _start in enumerate(
    (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")
):
    _MAGIC[_format_number, : len(_start)] = list(_start)
_MAGIC[5, 8:] = list(b"WEBP")
# by first byte: the format
_FIRST = np.zeros(256, np.int64)
_FIRST[_MAGIC[1:, 0]] = range(1, 6)

# by a JPEG's marker: bytes to skip, how often to add its length, 1 if it gives the size
_STEPS = np.zeros([256, 3], np.int64)
# a segment
_STEPS[0x01:] = (2, 1, 0)
# markers without a segment
_STEPS[[0x01, *range(0xD0, 0xD8)]] = (2, 0, 0)
# padding
_STEPS[0xFF] = (1, 0, 0)
# another start, the end, the pixels: there was no size before
_STEPS[0xD8:0xDB] = 0
_STEPS[[marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC)], 2] = 1


class Header(typing.NamedTuple):
    """int64 scalars, except the string scalar `problem`: "" or why the file cannot be read."""

    # 1 JPEG, 2 PNG, 3 GIF, 4 BMP, 5 WebP, 0 other
    kind: tf.Tensor
    # pixels, before the orientation is applied; 0: not found
    width: tf.Tensor
    height: tf.Tensor
    # 1 to 8, as in EXIF; 1 by default
    orientation: tf.Tensor
    problem: tf.Tensor


class GifFrame(typing.NamedTuple):
    """A frame of a GIF; int64 scalars."""

    # of the image descriptor; 0: none
    position: tf.Tensor
    left: tf.Tensor
    top: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    screen_width: tf.Tensor
    screen_height: tf.Tensor
    # index of the transparent color, or -1
    transparent: tf.Tensor
    # position of the frame's colors
    palette: tf.Tensor
    # number of colors; 0: the file has none
    colours: tf.Tensor
    # 0 or 1
    interlaced: tf.Tensor
    # position of the compressed pixels
    pixels: tf.Tensor
    # duration in hundredths of a second
    delay: tf.Tensor
    # what follows: 2 its area is cleared, 3 its area is restored, otherwise it stays
    disposal: tf.Tensor


class BmpLayout(typing.NamedTuple):
    """Layout of the pixels of a BMP; int64 scalars, `supported` bool."""

    width: tf.Tensor
    # negative: the first row is the top one
    height: tf.Tensor
    # per pixel
    bits: tf.Tensor
    # position of the pixels
    offset: tf.Tensor
    # position of the palette
    palette: tf.Tensor
    # bytes of a palette's entry
    entry: tf.Tensor
    # 1: the fourth byte of a pixel is its alpha
    alpha: tf.Tensor
    supported: tf.Tensor


def read(data: tf.Tensor, is_oriented: bool = True) -> Header:
    """Reads the header of an image file; never raises, whatever the bytes are.

    Args:
        data: string scalar, the file.
        is_oriented: whether the orientation is looked for; otherwise it is 1.

    Returns:
        `Header`.
    """
    data = tf.ensure_shape(data, [])
    kind = _kind(data)
    readers = [
        lambda reader=reader: _typed(*reader(data))
        for reader in (_nothing, _jpeg, _png, _gif, _bmp, _webp)
    ]
    width, height, position = tf.switch_case(tf.cast(kind, tf.int32), readers)
    turn = _turn(data, kind, position) if is_oriented else tf.constant(1, tf.int64)
    return Header(kind, width, height, turn, _problem(data, kind, width, height))


def _turn(data: tf.Tensor, kind: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """The orientation; `position` is that of a JPEG's EXIF, or 0."""
    finders = [
        lambda: tf.constant(""),
        lambda: _segment(data, position),
        lambda: exif_orientation.of_png(data),
        lambda: exif_orientation.of_webp(data),
    ]
    finder = tf.gather(tf.constant([0, 1, 2, 0, 0, 3]), kind)
    exif = tf.switch_case(tf.where((kind == 1) & (position == 0), 0, finder), finders)
    return tf.cond(
        exif == "", lambda: tf.constant(1, tf.int64), lambda: exif_orientation.read(exif)
    )


def _typed(
    width: tf.Tensor | int, height: tf.Tensor | int, exif: tf.Tensor | int = 0
) -> list[tf.Tensor]:
    return [tf.ensure_shape(tf.cast(number, tf.int64), []) for number in (width, height, exif)]


def _nothing(_data: tf.Tensor) -> tuple[int, int]:
    return 0, 0


def _kind(data: tf.Tensor) -> tf.Tensor:
    """The format that the first byte suggests, if the other bytes agree; otherwise 0."""
    start = binary.octets(data, 0, _MAGIC.shape[1])
    kind = tf.gather(tf.constant(_FIRST), start[0])
    expected = tf.gather(tf.constant(_MAGIC), kind)
    return kind * tf.cast(tf.reduce_all((start == expected) | (expected < 0)), tf.int64)


def _problem(data: tf.Tensor, kind: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    reason = tf.where((width < 1) | (height < 1), tf.gather(tf.constant(UNREADABLE), kind), "")
    return tf.where(tf.strings.length(data) == 0, "an empty file: 0 bytes", reason)


def _jpeg(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`(width, height, position of the EXIF or 0)`: walks the segments up to that of the size.

    Unlike libjpeg, it gives no size if there are bytes between segments.
    """
    rules = tf.constant(_STEPS)
    # once for all steps, which are cheaper then
    octets = tf.concat([tf.io.decode_raw(data, tf.uint8), tf.zeros([10], tf.uint8)], 0)

    def window(position: tf.Tensor) -> tf.Tensor:
        position = tf.minimum(position, binary.size(data))
        return tf.cast(tf.ensure_shape(octets[position : position + 10], [10]), tf.int64)

    def step(position: tf.Tensor, _going: tf.Tensor, exif: tf.Tensor) -> tuple[tf.Tensor, ...]:
        start = window(position)
        length = 256 * start[2] + start[3]
        fixed, by_length, is_frame = tf.unstack(tf.gather(rules, start[1]))
        is_exif = (
            (exif == 0)
            & binary.starts_with(start[1:2], b"\xe1")
            & binary.starts_with(start[4:], b"Exif\0\0")
        )
        # a length counts its own two bytes
        broken = (start[0] != 0xFF) | (fixed == 0) | ((by_length > 0) & (length < 2))
        move = binary.choose(broken | (is_frame > 0), 0, fixed + by_length * length)
        return position + move, move > 0, binary.choose(is_exif, position, exif)

    state = (tf.constant(2, tf.int64), tf.constant(True), tf.constant(0, tf.int64))
    position, _, exif = tf.while_loop(
        lambda _position, going, _exif: going, step, state, maximum_iterations=_SEGMENTS
    )
    frame = window(position)
    found = (frame[0] == 0xFF) & (tf.gather(rules, frame[1])[2] > 0)
    size = binary.big(tf.reshape(frame[5:9], [2, 2])) * tf.cast(found, tf.int64)
    return size[1], size[0], exif


def _segment(data: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """The EXIF in the segment at `position`, from the byte order mark on."""
    length = binary.big(binary.octets(data, position + 2, 2))
    return binary.piece(data, position + 10, tf.maximum(length - 8, 0))


def _png(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    start = binary.octets(data, 8, 16)
    fits = binary.starts_with(start, b"\0\0\0\x0dIHDR")
    return binary.choose(fits, binary.big(start[8:12]), 0), binary.choose(
        fits, binary.big(start[12:16]), 0
    )


def _gif(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    frame = gif_frame(data)
    readable = (frame.position > 0) & (frame.colours > 0) & (frame.width > 0) & (frame.height > 0)
    width, height = gif_canvas(frame)
    return binary.choose(readable, width, 0), binary.choose(readable, height, 0)


def gif_canvas(frame: GifFrame) -> tuple[tf.Tensor, tf.Tensor]:
    """`(width, height)` of the canvas: the screen, or more where the frame extends beyond it."""
    return tf.maximum(frame.screen_width, frame.left + frame.width), tf.maximum(
        frame.screen_height, frame.top + frame.height
    )


def gif_frame(data: tf.Tensor, start: tf.Tensor | int = 0) -> GifFrame:
    """The first frame of a GIF from the position `start` on, after its extensions."""
    screen = binary.octets(data, 6, 7)
    screen_colours = _gif_colours(screen[4])
    position, control = _gif_blocks(
        data, tf.maximum(tf.cast(start, tf.int64), 13 + 3 * screen_colours)
    )
    descriptor = binary.octets(data, position, 10)
    own = _gif_colours(descriptor[9])
    return GifFrame(
        position=position,
        left=binary.little(descriptor[1:3]),
        top=binary.little(descriptor[3:5]),
        width=binary.little(descriptor[5:7]),
        height=binary.little(descriptor[7:9]),
        screen_width=binary.little(screen[0:2]),
        screen_height=binary.little(screen[2:4]),
        transparent=binary.choose(control[0] % 2 == 1, control[3], -1),
        palette=binary.choose(own > 0, position + 10, 13),
        colours=binary.choose(own > 0, own, screen_colours),
        interlaced=(descriptor[9] // 64) % 2,
        pixels=position + 10 + 3 * own,
        delay=binary.little(control[1:3]),
        disposal=control[0] // 4 % 8,
    )


def _gif_colours(flags: tf.Tensor) -> tf.Tensor:
    """Number of colors of the palette that these flags announce; 0: no palette."""
    return binary.choose(
        flags >= 128, tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8), 0
    )


def _gif_blocks(data: tf.Tensor, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Walks the extensions from `start` on.

    Returns:
        `(position, control)`: of the first image descriptor, or 0; the last control block, 4 bytes.
    """
    image, extension, control = 0x2C, 0x21, 0xF9

    def step(
        position: tf.Tensor, inside: tf.Tensor, _found: tf.Tensor, last: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        block = binary.octets(data, position, 7)
        opens = ~inside & (block[0] == extension)
        found = ~inside & (block[0] == image)
        is_control = opens & (block[1] == control) & (block[2] >= 4)
        last = tf.where(is_control, block[3:], last)
        following = position + binary.choose(inside, 1 + block[0], 2)
        # other blocks are invalid
        following = binary.choose(inside | opens, following, -1)
        return (
            binary.choose(found, position, following),
            opens | (inside & (block[0] > 0)),
            found,
            last,
        )

    state = (start, tf.constant(False), tf.constant(False), tf.zeros([4], tf.int64))
    position, _, found, control = tf.while_loop(
        lambda position, _inside, found, _last: (position >= 0) & ~found,
        step,
        state,
        maximum_iterations=_BLOCKS,
    )
    return binary.choose(found, position, 0), control


def _bmp(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    layout = bmp_layout(data)
    return binary.choose(layout.supported, layout.width, 0), binary.choose(
        layout.supported, tf.abs(layout.height), 0
    )


def bmp_layout(data: tf.Tensor) -> BmpLayout:
    """Reads a BMP's header: the old one of 12 bytes, or a later one of 40 bytes or more."""
    start = binary.octets(data, 0, 70)
    size = binary.little(start[14:18])
    old = size == 12
    bits = binary.choose(old, binary.little(start[24:26]), binary.little(start[28:30]))
    compression = binary.choose(old, 0, binary.little(start[30:34]))
    masks = [binary.little(start[54 + 4 * index : 58 + 4 * index]) for index in range(4)]
    plain_masks = (masks[0] == 0xFF0000) & (masks[1] == 0xFF00) & (masks[2] == 0xFF)
    has_palette = (bits == 1) | (bits == 4) | (bits == 8)
    uncompressed = (compression == 0) & (has_palette | (bits == 24) | (bits == 32))
    masked = (compression == 3) & (bits == 32) & plain_masks
    return BmpLayout(
        width=binary.choose(
            old, binary.little(start[18:20]), binary.signed(binary.little(start[18:22]), 32)
        ),
        height=binary.choose(
            old, binary.little(start[20:22]), binary.signed(binary.little(start[22:26]), 32)
        ),
        bits=bits,
        offset=binary.little(start[10:14]),
        palette=14 + size,
        entry=binary.choose(old, 3, 4),
        alpha=tf.cast(masked & (size >= 56) & (masks[3] == 0xFF000000), tf.int64),
        supported=(old | (size >= 40)) & (uncompressed | masked),
    )


def _webp(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The size in the first chunk; libwebp refuses files whose later chunks differ from it."""
    start = binary.octets(data, 12, 18)
    lossy = binary.starts_with(start, b"VP8 ") & binary.starts_with(start[11:], b"\x9d\x01\x2a")
    lossless = binary.starts_with(start, b"VP8L") & (start[8] == 0x2F)
    extended = binary.starts_with(start, b"VP8X")
    packed = binary.little(start[9:13])
    widths = (
        binary.little(start[14:16]) % 2**14,
        packed % 2**14 + 1,
        binary.little(start[12:15]) + 1,
    )
    heights = (
        binary.little(start[16:18]) % 2**14,
        packed // 2**14 % 2**14 + 1,
        binary.little(start[15:18]) + 1,
    )
    width, height = (
        binary.choose(lossy, a, binary.choose(lossless, b, binary.choose(extended, c, 0)))
        for a, b, c in (widths, heights)
    )
    return width, height
