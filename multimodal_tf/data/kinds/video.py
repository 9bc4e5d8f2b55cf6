"""Lists of image files, or an animated GIF, to evenly spaced frames, in core TensorFlow ops."""

import tensorflow as tf

from multimodal_tf.data.codecs import gif, image
from multimodal_tf.data.codecs.decode_rows import decoded

# the header is well, what follows is not
DAMAGED_FRAME, DAMAGED = "damaged image", "damaged GIF"


class VideoReader(tf.Module):
    """The frames' image files, `part.frames` of them, to uint8 `(batch, frames, height, width,
    channels)`, and that to float32 0..1.

    A row is string `(any,)`, where "" is no frame; a row without frames is missing. Of its n files
    those at the centres of `part.frames` equal stretches are taken (`gif.choose`); fewer files are
    repeated. A GIF that is a row's only file gives the frames that it shows at the centres of equal
    stretches of time. One broken frame makes the whole video broken: its reason names the first
    one, from 1.
    """

    spec = tf.TensorSpec([None, None], tf.string)

    def __init__(self, part, stats):
        super().__init__()
        self._part = part

    def read(self, cells):
        part = self._part
        nothing = tf.zeros([part.frames, part.height, part.width, part.channels], tf.uint8)
        files, numbers, counts = self._files(cells)
        first = files[:, 0]
        moving = (counts == 1) & (tf.strings.substr(first, 0, 4) == b"GIF8")
        pixels, present, reason = self._pictures(
            tf.where(moving[:, tf.newaxis], "", files), numbers
        )

        def animations():
            return decoded(
                tf.where(moving, first, ""),
                lambda data: gif.problem(data, part.max_pixels),
                lambda data: gif.decode(data, part.frames, part.height, part.width, part.channels),
                nothing,
                DAMAGED,
            )

        def none():
            return tf.zeros_like(pixels), tf.zeros_like(present), tf.zeros_like(reason)

        drawn, found, fault = tf.cond(tf.reduce_any(moving), animations, none)
        pixels = tf.where(tf.reshape(moving, [-1, 1, 1, 1, 1]), drawn, pixels)
        return (
            tf.ensure_shape(pixels, [None, *nothing.shape]),
            tf.where(moving, found, present),
            tf.where(moving, fault, reason),
        )

    def model_input(self, tensor):
        return tf.cast(tensor, tf.float32) / 255

    def _files(self, cells):
        """Of each row: the chosen files `(batch, frames)`, their numbers among its files, from 1,
        and how many files it has.
        """
        files = tf.ragged.boolean_mask(cells, cells != "")
        counts = files.row_lengths()
        numbers = gif.choose(tf.maximum(counts, 1), self._part.frames)
        # the last one stands for rows without any
        values = tf.concat([files.values, [""]], 0)
        places = tf.where(
            counts[:, tf.newaxis] > 0,
            files.row_starts()[:, tf.newaxis] + numbers,
            tf.size(values, tf.int64) - 1,
        )
        return tf.gather(values, places), numbers + 1, counts

    def _pictures(self, files, numbers):
        """All frames of all rows decoded at once; a row is present with all of its frames or not at
        all.
        """
        part, shape = self._part, tf.shape(files)
        pixels, there, reasons = decoded(
            tf.reshape(files, [-1]),
            lambda data: image.problem(data, part.max_pixels),
            lambda data: image.decode(data, part.height, part.width, part.channels),
            tf.zeros([part.height, part.width, part.channels], tf.uint8),
            DAMAGED_FRAME,
        )
        present = tf.reduce_all(tf.reshape(there, shape), axis=1)
        pixels = tf.reshape(pixels, tf.stack([shape[0], part.frames, *pixels.shape[1:]]))
        pixels = tf.where(tf.reshape(present, [-1, 1, 1, 1, 1]), pixels, tf.zeros([], tf.uint8))
        return pixels, present, _first(tf.reshape(reasons, shape), numbers)


def _first(reasons, numbers):
    """The first reason of each row, with its number."""
    broken = reasons != ""
    place = tf.argmax(tf.cast(broken, tf.int8), axis=1)
    number, reason = (
        tf.gather(values, place, batch_dims=1)
        for values in (tf.strings.as_string(numbers), reasons)
    )
    return tf.where(
        tf.reduce_any(broken, axis=1), tf.strings.join(["frame ", number, ": ", reason]), ""
    )
