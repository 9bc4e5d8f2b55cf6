"""Bytes of an animated GIF -> evenly spaced frames, in core TensorFlow ops.

`tf.io.decode_gif` holds all frames in memory at once, refuses frames that do not fill the screen
and shows the color that stands for transparent. Here the headers of all frames are read first, and
then each frame is drawn on the one before.
"""

import tensorflow as tf

from multimodal_tf.data.codecs import binary, image, image_header

# frames of a GIF that are read
_MOST = 4096
# the frames that have to be drawn may cost as much as unpacking this many times `max_pixels`: some
# two seconds of one processor. To draw a frame takes half as long for each pixel of the canvas
_COST = 6
# hundredths of a second of a frame whose delay is less than 2, as in browsers and FFmpeg
_NO_DELAY = 10
# those of a frame, and the end of its pixels
_FIELDS = len(image_header.GifFrame._fields) + 1
_TRANSPARENT = image_header.GifFrame._fields.index("transparent")
_WHITE = 255


def choose(counts: tf.Tensor, frames: int) -> tf.Tensor:
    """Indices of the frames at the centers of `frames` equal stretches.

    All frames of the source are shown equally long.

    Args:
        counts: int64 `(...)`, >= 1, frames of the source.
        frames: number to choose.

    Returns:
        int64 `(..., frames)`, in ascending order, with repetitions where the source has fewer.

    Example:
        >>> choose(tf.constant([16, 3], tf.int64), 4).numpy().tolist()
        [[2, 6, 10, 14], [0, 1, 1, 2]]
    """
    return (2 * tf.range(frames, dtype=tf.int64) + 1) * counts[..., tf.newaxis] // (2 * frames)


@tf.autograph.experimental.do_not_convert
def problem(data: tf.Tensor, max_pixels: int, frames: int) -> tf.Tensor:
    """Why the frames of a GIF must not be decoded, from the headers alone.

    Args:
        data: string scalar, the file's bytes.
        max_pixels: the most pixels of one frame. Those that have to be drawn to get the frames may
            have some four times as many together; with transparent colors, twice as many.
        frames: as in `decode`.

    Returns:
        string scalar: "" or the reason. Never raises, whatever the bytes are.
    """
    reason = image.problem(data, max_pixels)
    return tf.cond(reason == "", lambda: _size_problem(data, max_pixels, frames), lambda: reason)


def _size_problem(data: tf.Tensor, max_pixels: int, frames: int) -> tf.Tensor:
    frame_table = _frame_table(data)
    count = tf.shape(frame_table, tf.int64)[0]
    areas = frame_table[:, 3] * frame_table[:, 4]
    width, height = image_header.gif_canvas(image_header.gif_frame(data))

    def needed() -> tf.Tensor:
        chosen = _chosen(frame_table, frames)[:, tf.newaxis]
        starts = _first_needed(frame_table, chosen[:, 0], [height, width])[:, tf.newaxis]
        numbers = tf.range(count)
        return tf.reduce_any((starts <= numbers) & (numbers <= chosen), axis=0)

    is_drawn = tf.cond(count > 0, needed, lambda: tf.zeros([0], tf.bool))
    # one with a transparent color is unpacked twice
    unpacked = binary.choose(frame_table[:, _TRANSPARENT] < 0, areas, 2 * areas)
    twice_cost = tf.reduce_sum(tf.where(is_drawn, 2 * unpacked + width * height, 0))
    numbers = [tf.strings.as_string(number) for number in (count, width, height)]
    reason = tf.strings.join(
        [
            "a GIF of ",
            numbers[0],
            " frames of ",
            numbers[1],
            " x ",
            numbers[2],
            " pixels, more than can be read",
        ]
    )
    most = tf.constant(max_pixels, tf.int64)
    fits = (
        (count < _MOST)
        & (twice_cost <= 2 * _COST * most)
        & (tf.reduce_max(tf.concat([areas, [0]], 0)) <= most)
    )
    return tf.where(
        count == 0, "a GIF that is truncated in its first frame", tf.where(fits, "", reason)
    )


@tf.autograph.experimental.do_not_convert
def decode(data: tf.Tensor, frames: int, height: int, width: int, channels: int) -> tf.Tensor:
    """Decodes the frames of a GIF at the centers of `frames` equal stretches of time.

    Transparent pixels are white. A truncated GIF is read up to its last complete frame.

    Args:
        data: string scalar, the file's bytes. Call `problem` first.
        frames: number of frames to decode.
        height, width, channels: as in `image.decode`.

    Returns:
        uint8 `(frames, height, width, channels)`.

    Raises:
        tf.errors.InvalidArgumentError: a frame up to the last one that is needed is broken.
    """
    frame_table = _frame_table(data)
    chosen, index = tf.unique(_chosen(frame_table, frames), tf.int64)
    screen = list(image_header.gif_canvas(image_header.gif_frame(data))[::-1])
    blank = tf.fill(tf.stack([*screen, 3]), tf.constant(_WHITE, tf.uint8))
    # the last one is not used
    starts = tf.concat([_first_needed(frame_table, chosen, screen), [0]], 0)
    fitted = tf.TensorArray(tf.uint8, tf.size(chosen), element_shape=[height, width, channels])

    def fit(pixels: tf.Tensor) -> tf.Tensor:
        fits = image.fit(pixels, height, width, channels, tf.cast(tf.stack(screen), tf.float32))
        return tf.ensure_shape(fits, [height, width, channels])

    def step(
        number: tf.Tensor, done: tf.Tensor, canvas: tf.Tensor, fitted: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        *fields, end = tf.unstack(frame_table[number])
        shown, left = _draw(data, image_header.GifFrame(*fields), end, canvas)
        wanted = number == chosen[done]
        fitted = tf.cond(
            wanted, lambda: fitted.write(tf.cast(done, tf.int32), fit(shown)), lambda: fitted
        )
        done += tf.cast(wanted, tf.int64)
        return tf.maximum(number + 1, starts[done]), done, left, fitted

    start = (
        starts[0],
        tf.constant(0, tf.int64),
        tf.ensure_shape(blank, [None, None, 3]),
        fitted,
    )
    *_, fitted = tf.while_loop(lambda number, *_: number <= chosen[-1], step, start)
    return tf.ensure_shape(tf.gather(fitted.stack(), index), [frames, height, width, channels])


def _frame_table(data: tf.Tensor) -> tf.Tensor:
    """The complete frames, up to `_MOST`, as int64 `(count, fields)`.

    Fields are those of `GifFrame`, and the end of its pixels.
    """
    octets, size = image.gif_octets(data), binary.size(data)

    def step(
        count: tf.Tensor, start: tf.Tensor, _going: tf.Tensor, found: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        frame = image_header.gif_frame(data, start)
        end = image.gif_end(octets, frame.pixels)
        whole = (
            (frame.position > 0)
            & (frame.colours > 0)
            & (frame.width > 0)
            & (frame.height > 0)
            & (end <= size)
        )
        row = tf.ensure_shape(tf.stack([*frame, end]), [_FIELDS])
        return count + tf.cast(whole, tf.int32), end, whole, found.write(count, row)

    found = tf.TensorArray(tf.int64, 0, dynamic_size=True, element_shape=[_FIELDS])
    state = (tf.constant(0), tf.constant(0, tf.int64), tf.constant(True), found)
    count, _, _, found = tf.while_loop(
        lambda _count, _start, going, _found: going, step, state, maximum_iterations=_MOST
    )
    return tf.ensure_shape(found.stack()[:count], [None, _FIELDS])


def _chosen(frame_table: tf.Tensor, frames: int) -> tf.Tensor:
    """Indices of the frames at the centers of `frames` equal stretches of time, ascending."""
    delays = frame_table[:, _FIELDS - 3]
    ends = tf.cumsum(binary.choose(delays < 2, _NO_DELAY, delays))
    middles = (2 * tf.range(frames, dtype=tf.int64) + 1) * ends[-1]
    return tf.searchsorted(2 * frames * ends, middles, "right", tf.int64)


def _draw(
    data: tf.Tensor, frame: image_header.GifFrame, end: tf.Tensor, canvas: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(shown, left)`: the canvas with a frame drawn on it, and the canvas of the next frame.

    Parts of the frame outside the canvas are cut off.
    """
    height, width = tf.unstack(tf.shape(canvas, tf.int64)[:2])
    top, left = tf.minimum(frame.top, height), tf.minimum(frame.left, width)

    def decoded(palette: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_gif(image.single_frame(data, frame, end, palette))[0]
        return pixels[: height - top, : width - left]

    def on_canvas(pixels: tf.Tensor, outside: int) -> tf.Tensor:
        rows, columns = tf.unstack(tf.shape(pixels, tf.int64)[:2])

        def margin(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
            return tf.fill(tf.stack([height, width, 3]), tf.constant(outside, tf.uint8))

        # copies whole rows, which tf.pad does not
        sides = margin(rows, left), margin(rows, width - left - columns)
        middle = tf.concat([sides[0], pixels, sides[1]], 1)
        below = margin(height - top - rows, width)
        return tf.concat([margin(top, width), middle, below], 0)

    # two masks of bits are many times as fast as looking up colors: black where the canvas shows
    # through, and there all bits
    palette = image.gif_palette(data, frame)
    colours = decoded(image.with_transparent(palette, frame, b"\0\0\0"))
    behind = tf.cond(
        frame.transparent >= 0,
        lambda: decoded(image.with_transparent(bytes(768), frame, b"\xff\xff\xff")),
        lambda: tf.zeros_like(colours),
    )
    through = tf.bitwise.bitwise_and(canvas, on_canvas(behind, _WHITE))
    shown = tf.bitwise.bitwise_or(on_canvas(colours, 0), through)
    kind = tf.cast(frame.disposal - 1, tf.int32)
    cleared = tf.switch_case(
        tf.where((frame.disposal == 2) | (frame.disposal == 3), kind, 0),
        [
            lambda: shown,
            lambda: tf.bitwise.bitwise_or(
                shown, on_canvas(tf.fill(tf.shape(colours), tf.constant(_WHITE, tf.uint8)), 0)
            ),
            lambda: canvas,
        ],
    )
    return tf.ensure_shape(shown, [None, None, 3]), tf.ensure_shape(cleared, [None, None, 3])


def _first_needed(frame_table: tf.Tensor, chosen: tf.Tensor, screen: list[tf.Tensor]) -> tf.Tensor:
    """For each chosen frame, the one that drawing may start with: it hides all before it."""
    frames = tf.unstack(frame_table[:, : _FIELDS - 1], axis=1)
    frame = image_header.GifFrame(*frames)
    hides = (
        (frame.left == 0)
        & (frame.top == 0)
        & (frame.height >= screen[0])
        & (frame.width >= screen[1])
        & (frame.transparent < 0)
        # what it leaves must not depend on those before it either
        & (frame.disposal != 3)
    )
    numbers = tf.range(tf.shape(frame_table, tf.int64)[0])
    starts = tf.where(hides & (numbers <= chosen[:, tf.newaxis]), numbers, 0)
    return tf.reduce_max(starts, axis=1)
