"""Bytes of an animated GIF -> evenly spaced frames, in core TensorFlow ops.

`tf.io.decode_gif` holds all frames in memory at once, refuses those that do not fill the screen and
shows the colour that stands for transparent. Here the headers of all pictures are read first, and
then one is drawn upon the other.
"""

import tensorflow as tf

from multimodal_tf.data.codecs import binary, image, image_header

# pictures of a GIF that are read
_MOST = 4096
# times `max_pixels` that may be drawn for all pictures together
_AREAS = 8
# hundredths of a second that a picture is shown whose delay is less than 2: so browsers and FFmpeg
# take it
_NO_DELAY = 10
# and the end of its pixels
_FIELDS = len(image_header.GifFrame._fields) + 1
_WHITE = 255
# a palette in which each colour is its own number
_INDICES = bytes(index for index in range(256) for _ in range(3))


def choose(counts, frames):
    """Which of several pictures, each shown equally long, stand for a video: those at the centres
    of `frames` equal stretches.

    Args:
        counts: int64 `(...)`, >= 1.
        frames: Python int.

    Returns:
        int64 `(..., frames)`, rising.

    Example:
        >>> choose(tf.constant([16, 3], tf.int64), 4).numpy().tolist()
        [[2, 6, 10, 14], [0, 1, 1, 2]]
    """
    return (2 * tf.range(frames, dtype=tf.int64) + 1) * counts[..., tf.newaxis] // (2 * frames)


@tf.autograph.experimental.do_not_convert
def problem(data, max_pixels):
    """Says from the headers alone why a GIF's frames can't be used.

    Args:
        data: string scalar, the file's bytes.
        max_pixels: int. The most pixels of one picture; eight times as many may be drawn for all of
        them together.

    Returns:
        string scalar: "" or the reason. Never raises, whatever the bytes are.
    """
    fault = image.problem(data, max_pixels)
    return tf.cond(fault == "", lambda: _too_much(data, max_pixels), lambda: fault)


def _too_much(data, max_pixels):
    pictures = _pictures(data)
    count = tf.shape(pictures, tf.int64)[0]
    areas = pictures[:, 3] * pictures[:, 4]
    width, height = image_header.gif_canvas(image_header.gif_frame(data))
    drawn = tf.reduce_sum(tf.maximum(areas, width * height))
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
        & (drawn <= _AREAS * most)
        & (tf.reduce_max(tf.concat([areas, [0]], 0)) <= most)
    )
    return tf.where(
        count == 0, "a GIF that breaks off in its first frame", tf.where(fits, "", reason)
    )


@tf.autograph.experimental.do_not_convert
def decode(data, frames, height, width, channels):
    """Decodes the frames of a GIF that are shown in the middle of each of `frames` equal stretches
    of time.

    What is transparent shows white. A GIF that breaks off is read as far as it has whole pictures.

    Args:
        data: string scalar, the file's bytes. Ask `problem` first.
        frames: Python int.
        height, width, channels: as `image.decode`.

    Returns:
        uint8 `(frames, height, width, channels)`.

    Raises:
        tf.errors.InvalidArgumentError: a picture up to the last one that is wanted is broken.
    """
    pictures = _pictures(data)
    chosen, place = tf.unique(_chosen(pictures, frames), tf.int64)
    screen = image_header.gif_canvas(image_header.gif_frame(data))[::-1]
    nothing = tf.fill(tf.stack([*screen, 3]), tf.constant(_WHITE, tf.uint8))
    fitted = tf.TensorArray(tf.uint8, tf.size(chosen), element_shape=[height, width, channels])

    def fit(pixels):
        fits = image.fit(pixels, height, width, channels, tf.cast(tf.stack(screen), tf.float32))
        return tf.ensure_shape(fits, [height, width, channels])

    def step(number, done, canvas, fitted):
        *fields, end = tf.unstack(pictures[number])
        shown, left = _draw(data, image_header.GifFrame(*fields), end, canvas)
        wanted = number == chosen[done]
        fitted = tf.cond(
            wanted, lambda: fitted.write(tf.cast(done, tf.int32), fit(shown)), lambda: fitted
        )
        return number + 1, done + tf.cast(wanted, tf.int64), left, fitted

    start = (
        tf.constant(0, tf.int64),
        tf.constant(0, tf.int64),
        tf.ensure_shape(nothing, [None, None, 3]),
        fitted,
    )
    *_, fitted = tf.while_loop(lambda number, *_: number <= chosen[-1], step, start)
    return tf.ensure_shape(tf.gather(fitted.stack(), place), [frames, height, width, channels])


def _pictures(data):
    """int64 `(count, fields)`: of each whole picture, up to `_MOST` of them, a `GifFrame` and the
    end of its pixels.
    """
    octets, size = image.gif_octets(data), binary.size(data)

    def step(count, start, _going, found):
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


def _chosen(pictures, frames):
    """Numbers of the pictures that are shown in the middle of each of `frames` equal stretches of
    time; int64 `(frames,)`, rising.
    """
    delays = pictures[:, _FIELDS - 3]
    ends = tf.cumsum(binary.choose(delays < 2, _NO_DELAY, delays))
    middles = (2 * tf.range(frames, dtype=tf.int64) + 1) * ends[-1]
    return tf.searchsorted(2 * frames * ends, middles, "right", tf.int64)


def _draw(data, frame, end, canvas):
    """`(shown, left)`: the canvas with a picture drawn on it, and what is left of that for the next
    one; parts beyond it are cut off.
    """
    palette = tf.reshape(tf.io.decode_raw(image.gif_palette(data, frame), tf.uint8), [256, 3])
    indices = tf.io.decode_gif(image.single_frame(data, frame, end, _INDICES))[0, ..., 0]
    height, width = tf.unstack(tf.shape(canvas, tf.int64)[:2])
    top, left = tf.minimum(frame.top, height), tf.minimum(frame.left, width)
    indices = tf.cast(indices[: height - top, : width - left], tf.int64)
    rows, columns = tf.unstack(tf.shape(indices, tf.int64))
    margins = tf.stack(
        [tf.stack([top, height - top - rows]), tf.stack([left, width - left - columns])]
    )
    indices = tf.pad(indices, margins, constant_values=-1)
    covered = (indices >= 0)[..., tf.newaxis]
    drawn = covered & (indices != frame.transparent)[..., tf.newaxis]
    shown = tf.where(drawn, tf.gather(palette, tf.maximum(indices, 0)), canvas)
    kept = tf.cond(frame.disposal == 3, lambda: canvas, lambda: shown)
    cleared = tf.cond(
        frame.disposal == 2,
        lambda: tf.where(covered, tf.constant(_WHITE, tf.uint8), shown),
        lambda: kept,
    )
    return shown, tf.ensure_shape(cleared, [None, None, 3])
