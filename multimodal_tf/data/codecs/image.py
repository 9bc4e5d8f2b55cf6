"""Bytes of an image file -> pixels, in core TensorFlow ops, in training and in the served graph."""

from collections.abc import Callable

import tensorflow as tf

from multimodal_tf.data.codecs import binary, image_cost, image_header

_WHITE = 255
# ITU-R BT.601, as in Pillow and OpenCV
_LUMA = (0.299, 0.587, 0.114)
# the most steps through the blocks of a GIF's pixels
_RUNS = 10_000
# blocks in one such step
_BLOCKS = 4096
# flags of a WebP
_ANIMATION, _ALPHA = 0x02, 0x10
_BYTES = [bytes([number]) for number in range(256)]


@tf.autograph.experimental.do_not_convert
def problem(data: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Why an image file must not be decoded: its format, its size, or what decoding would cost.

    Args:
        data: string scalar, the file's bytes.
        max_pixels: the most pixels, width x height, that may be decoded.

    Returns:
        string scalar: "" or the reason. Never raises, whatever the bytes are. `decode` may still
        find a file broken.

    Example:
        >>> problem(b"<html>", 1000).numpy().decode()
        'not a JPEG, PNG, GIF, BMP or WebP image'
    """
    header = image_header.read(data, is_oriented=False)
    # keeps the product of two invalid sizes within int64
    most = tf.constant(2**31, tf.int64)
    pixels = tf.minimum(header.width, most) * tf.minimum(header.height, most)
    sizes = [tf.strings.as_string(header.width), " x ", tf.strings.as_string(header.height)]
    too_many = tf.strings.join(
        [*sizes, " pixels, more than the limit of ", tf.strings.as_string(max_pixels), " in all"]
    )
    reason = tf.where(pixels > tf.cast(max_pixels, tf.int64), too_many, "")
    reason = tf.where(header.problem == "", reason, header.problem)
    costly = image_cost.problem(data, binary.choose(reason == "", header.kind, 0))
    return tf.where(reason == "", costly, reason)


@tf.autograph.experimental.do_not_convert
def decode(data: tf.Tensor, height: int, width: int, channels: int) -> tf.Tensor:
    """Decodes an image file and resizes it.

    Reads JPEG (also CMYK and progressive), PNG (also 16 bits, palette), GIF (the first frame), BMP
    (uncompressed) and WebP (the first frame). Transparent pixels are white. The EXIF orientation of
    a JPEG, PNG or WebP is applied. Resizing is bilinear with anti-aliasing and does not keep the
    aspect ratio. A much larger JPEG is decoded at a half, a quarter or an eighth, never below twice
    the final size.

    Args:
        data: string scalar, the file's bytes. Call `problem` first: this function does not limit
            the number of pixels.
        height, width: pixels.
        channels: 3 for red, green, blue; 1 for gray.

    Returns:
        uint8 `(height, width, channels)`.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not such an image, truncated or broken.
    """
    pixels = decode_to(data, tf.constant(height), tf.constant(width), channels)
    return tf.ensure_shape(pixels, [height, width, channels])


@tf.autograph.experimental.do_not_convert
def decode_to(data: tf.Tensor, height: tf.Tensor, width: tf.Tensor, channels: int) -> tf.Tensor:
    """As `decode`, to a size of int32 scalars: one graph serves all sizes."""
    header = image_header.read(data)
    refusal = tf.debugging.Assert(header.problem == "", [header.problem])
    # eagerly, Assert has raised already
    with tf.control_dependencies([] if refusal is None else [refusal]):
        # everything below depends on it
        kind = tf.identity(header.kind)
    # rows and columns are exchanged
    sideways = header.orientation >= 5
    rows, columns = tf.where(sideways, width, height), tf.where(sideways, height, width)
    halvings = _halvings(header, rows, columns)
    readers = [
        # raised above
        lambda: tf.zeros([1, 1, 3], tf.uint8),
        lambda: _jpeg(data, halvings),
        lambda: _png(data),
        lambda: _gif(data),
        lambda: _bmp(data),
        lambda: _webp(data),
    ]
    pixels = tf.switch_case(tf.cast(kind, tf.int32), readers)
    shrunk = tf.stack([header.height, header.width]) / tf.bitwise.left_shift(
        tf.constant(1, tf.int64), halvings
    )
    pixels = fit(
        tf.ensure_shape(pixels, [None, None, 3]),
        rows,
        columns,
        channels,
        tf.cast(shrunk, tf.float32),
    )
    return _turn(pixels, header.orientation)


def fit(
    pixels: tf.Tensor,
    rows: tf.Tensor | int,
    columns: tf.Tensor | int,
    channels: int,
    source: tf.Tensor,
) -> tf.Tensor:
    """Resizes an image; the last step of `decode`.

    Args:
        pixels: uint8 `(any, any, 3)`.
        rows, columns: the size of the result.
        channels: as in `decode`.
        source: float32 `(2,)`, the image's height and width in units of `pixels`; see `_resize`.

    Returns:
        uint8 `(rows, columns, channels)`.
    """
    pixels = _resize(pixels, rows, columns, source)
    if channels == 1:
        pixels = tf.reduce_sum(pixels * tf.constant(_LUMA), axis=-1, keepdims=True)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)


def _resize(pixels: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Bilinear, anti-aliased; float32 `(rows, columns, 3)`.

    `source` is the image's height and width in units of `pixels`: a JPEG of 15 rows decoded at an
    eighth has 2 rows, but 1.875 of them are image; with a scale of 2 the result would be shifted.

    TensorFlow resizes the rows first, at the full width. For an image 1 pixel high and a million
    wide that would take gigabytes, so there the columns are resized first.
    """
    size = tf.stack([rows, columns])
    scale = tf.cast(size, tf.float32) / source

    # as tf.image.resize(antialias=True), which takes no scale
    def direct(pixels: tf.Tensor, size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        batch = pixels[tf.newaxis]
        return tf.raw_ops.ScaleAndTranslate(
            images=batch, size=size, scale=scale, translation=tf.zeros([2]), kernel_type="triangle"
        )[0]

    def columns_first() -> tf.Tensor:
        turned = direct(tf.transpose(pixels, [1, 0, 2]), size[::-1], scale[::-1])
        return tf.transpose(turned, [1, 0, 2])

    flat = (tf.shape(pixels)[0] < rows) & (tf.shape(pixels)[1] > columns)
    return tf.cond(flat, columns_first, lambda: direct(pixels, size, scale))


def _turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Applies an EXIF orientation: transposes, then flips left and right, then top and bottom."""

    def one_of(*numbers: int) -> tf.Tensor:
        return tf.reduce_any(orientation == tf.constant(numbers, tf.int64))

    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    pixels = tf.cond(one_of(2, 3, 6, 7), lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.cond(one_of(3, 4, 7, 8), lambda: tf.reverse(pixels, [0]), lambda: pixels)


def _on_white(colours: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Blends colors with white: uint8 `(h, w, 3)` and alpha `(h, w, 1)` to uint8 `(h, w, 3)`."""

    def blend() -> tf.Tensor:
        # 255 - (255 - colour) * alpha / 255, rounded; 16 bits are enough, and half the memory of
        # floats
        hidden = tf.cast(_WHITE - colours, tf.uint16) * tf.cast(alpha, tf.uint16)
        return _WHITE - tf.cast((hidden + 127) // 255, tf.uint8)

    return tf.cond(tf.reduce_all(alpha == _WHITE), lambda: colours, blend)


def _halvings(header: image_header.Header, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """How often a JPEG is halved while it is decoded: 0 to 3, int64; 0 for other formats.

    At least twice the final size is left.
    """
    spare = tf.minimum(
        header.height // tf.cast(2 * rows, tf.int64), header.width // tf.cast(2 * columns, tf.int64)
    )
    possible = tf.reduce_sum(tf.cast(spare >= tf.constant([2, 4, 8], tf.int64), tf.int64))
    return binary.choose(header.kind == 1, possible, 0)


def _jpeg(data: tf.Tensor, halvings: tf.Tensor) -> tf.Tensor:
    def reader(ratio: int) -> Callable[[], tf.Tensor]:
        return lambda: tf.io.decode_jpeg(
            data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
        )

    return tf.switch_case(tf.cast(halvings, tf.int32), [reader(ratio) for ratio in (1, 2, 4, 8)])


def _png(data: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_png(data, channels=4)
    depth, colour_type = tf.unstack(binary.octets(data, 24, 2))
    # TensorFlow's opaque alpha is 1, 3 or 15 for 1, 2 or 4 bits without transparency; in a palette
    # with transparency it is 255
    opaque = tf.cast(2 ** tf.minimum(tf.cast(depth, tf.int32), 8) - 1, tf.uint8)
    shallow = (depth < 8) & (
        (colour_type == 0) | ((colour_type == 3) & tf.reduce_all(pixels[..., 3] == opaque))
    )
    alpha = tf.cond(
        shallow, lambda: tf.cast(pixels[..., 3:] > 0, tf.uint8) * _WHITE, lambda: pixels[..., 3:]
    )
    return _on_white(pixels[..., :3], alpha)


def _webp(data: tf.Tensor) -> tf.Tensor:
    start = binary.octets(data, 12, 9)
    flags = start[8]
    is_animated = binary.starts_with(start, b"VP8X") & (flags // _ANIMATION % 2 == 1)
    is_opaque = flags // _ALPHA % 2 == 0

    def with_alpha() -> tf.Tensor:
        # TensorFlow allocates three channels for an animation without this flag, and libwebp
        # writes four
        flag = tf.gather(tf.constant(_BYTES), flags + _ALPHA)
        return tf.strings.join(
            [tf.strings.substr(data, 0, 20), flag, binary.piece(data, 21, binary.size(data))]
        )

    data = tf.cond(is_animated & is_opaque, with_alpha, lambda: data)
    pixels = tf.ensure_shape(tf.io.decode_image(data, expand_animations=False), [None, None, None])
    return tf.cond(
        tf.shape(pixels)[2] == 4,
        lambda: _on_white(pixels[..., :3], pixels[..., 3:]),
        lambda: pixels,
    )


def _gif(data: tf.Tensor) -> tf.Tensor:
    """The first frame, on white.

    The frame is first copied into a GIF of its own. TensorFlow would decode all frames in memory,
    refuse a frame that does not fill the screen, look up colors that the palette does not have, and
    show the color that stands for transparent.
    """
    frame = image_header.gif_frame(data)
    end = gif_end(gif_octets(data), frame.pixels)
    palette = with_transparent(gif_palette(data, frame), frame, b"\xff\xff\xff")
    pixels = tf.io.decode_gif(single_frame(data, frame, end, palette))[0]
    canvas_width, canvas_height = image_header.gif_canvas(frame)
    margins = [
        [frame.top, canvas_height - frame.top - frame.height],
        [frame.left, canvas_width - frame.left - frame.width],
        [tf.constant(0, tf.int64)] * 2,
    ]
    return tf.pad(
        pixels, tf.stack([tf.stack(margin) for margin in margins]), constant_values=_WHITE
    )


def gif_palette(data: tf.Tensor, frame: image_header.GifFrame) -> tf.Tensor:
    """The 256 colors of a frame, 3 bytes each; black for those that the file does not have."""
    return tf.strings.substr(
        tf.strings.join([binary.piece(data, frame.palette, 3 * frame.colours), b"\0" * 768]), 0, 768
    )


def with_transparent(
    palette: tf.Tensor | bytes, frame: image_header.GifFrame, colour: bytes
) -> tf.Tensor:
    """A palette of 256 colors with `colour`, 3 bytes, in place of the transparent one, if any."""
    index = tf.cast(tf.maximum(frame.transparent, 0) * 3, tf.int32)
    replaced = tf.strings.join(
        [tf.strings.substr(palette, 0, index), colour, tf.strings.substr(palette, index + 3, 768)]
    )
    return tf.where(frame.transparent >= 0, replaced, palette)


def single_frame(
    data: tf.Tensor, frame: image_header.GifFrame, end: tf.Tensor, palette: tf.Tensor | bytes
) -> tf.Tensor:
    """A GIF of one frame, whose pixels stop before the byte `end`, with a palette of 256 colors."""
    size = binary.piece(data, frame.position + 5, 4)
    # a palette of 2^8 colors; interlaced or not
    flags = tf.where(frame.interlaced == 1, b"\xc7", b"\x87")
    compressed = binary.piece(data, frame.pixels, end - frame.pixels)
    return tf.strings.join(
        [b"GIF89a", size, b"\0\0\0,\0\0\0\0", size, flags, palette, compressed, b";"]
    )


def gif_octets(data: tf.Tensor) -> tf.Tensor:
    """The bytes of a file as uint8, with a zero appended, for `gif_end`."""
    return tf.concat([tf.io.decode_raw(data, tf.uint8), tf.zeros([1], tf.uint8)], 0)


def gif_end(octets: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The position after the last block of a frame's pixels, whose code size is at `start`.

    It is beyond the file where the file is truncated. Every block begins with its length, and
    almost all have the same, so one step skips a run of blocks of equal length.
    """
    last = tf.size(octets, tf.int64) - 1

    def step(position: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        position = tf.minimum(position, last)
        length = octets[position]
        stride = tf.cast(length, tf.int64) + 1
        different = tf.ensure_shape(
            octets[position : position + stride * _BLOCKS : stride] != length, [None]
        )
        run = binary.choose(
            tf.reduce_any(different), tf.argmax(tf.cast(different, tf.int8)), tf.size(different)
        )
        return position + binary.choose(length == 0, 1, run * stride), length == 0

    state = (start + 1, tf.constant(False))
    end, _ = tf.while_loop(lambda _position, ended: ~ended, step, state, maximum_iterations=_RUNS)
    return end


def _bmp(data: tf.Tensor) -> tf.Tensor:
    """An uncompressed BMP.

    TensorFlow's decoder takes palette indices for gray levels and refuses padding after the pixels.
    """
    layout = image_header.bmp_layout(data)
    row_bytes = (layout.width * layout.bits + 31) // 32 * 4
    height = tf.abs(layout.height)
    stored = tf.io.decode_raw(binary.piece(data, layout.offset, row_bytes * height), tf.uint8)
    rows = tf.reshape(stored, tf.stack([height, row_bytes]))
    deep = tf.cast(layout.bits // 8, tf.int32)
    rows = tf.cond(
        deep >= 3, lambda: _bmp_colours(rows, layout), lambda: _bmp_indexed(data, rows, layout)
    )
    return tf.cond(layout.height > 0, lambda: tf.reverse(rows, [0]), lambda: rows)


def _bmp_colours(rows: tf.Tensor, layout: image_header.BmpLayout) -> tf.Tensor:
    deep = layout.bits // 8
    pixels = tf.reshape(rows[:, : layout.width * deep], tf.stack([-1, layout.width, deep]))
    colours = tf.reverse(pixels[..., :3], [-1])
    return tf.cond(layout.alpha == 1, lambda: _on_white(colours, pixels[..., 3:]), lambda: colours)


def _bmp_indexed(data: tf.Tensor, rows: tf.Tensor, layout: image_header.BmpLayout) -> tf.Tensor:
    # the leftmost pixel is in the highest bits
    shifts = tf.cast(tf.range(8 - layout.bits, -1, -layout.bits), tf.uint8)
    mask = tf.cast(2**layout.bits - 1, tf.uint8)
    indices = tf.bitwise.bitwise_and(tf.bitwise.right_shift(rows[..., tf.newaxis], shifts), mask)
    indices = tf.reshape(indices, tf.stack([tf.shape(rows, tf.int64)[0], -1]))[:, : layout.width]
    stored = tf.strings.join(
        [binary.piece(data, layout.palette, layout.entry * 2**layout.bits), b"\0" * 1024]
    )
    stored = tf.io.decode_raw(
        tf.strings.substr(stored, 0, tf.cast(256 * layout.entry, tf.int32)), tf.uint8
    )
    palette = tf.reverse(tf.reshape(stored, tf.stack([256, layout.entry]))[:, :3], [-1])
    return tf.gather(palette, tf.cast(indices, tf.int32))
