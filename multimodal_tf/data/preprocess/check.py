"""Whether the served graph will read a cell, asked eagerly while a table is ingested."""

import functools

import tensorflow as tf

from multimodal_tf.data.preprocess import audio, image, text
from multimodal_tf.data.preprocess.rows import DAMAGED, NOT_FINITE


def problem(part, data) -> str:
    """Why `Preprocessor.features` would call this cell broken: it decodes the whole cell with the same functions.

    Args:
        part: an input of the configuration (`ImageInput`, ...).
        data: bytes, or for a number a float; missing ("" or NaN) is no problem.

    Returns:
        "" or the reason.

    Example:
        >>> from multimodal_tf.config import ImageInput, TextInput
        >>> problem(TextInput(), b"caf\\xe9"), problem(TextInput(), "café".encode())
        ('invalid UTF-8', '')
    """
    if part.type == "number":
        return NOT_FINITE if abs(data) == float("inf") else ""
    if not data:
        return ""
    if part.type == "image":
        find = _image(part.height, part.width, part.channels, part.max_pixels)
    elif part.type == "audio":
        find = _audio(part.sample_rate, part.samples)
    else:
        find = _text
    try:
        return find(tf.constant(data)).numpy().decode()
    except tf.errors.OpError:  # the graph, too, calls any failure of the decoder a damaged cell
        return DAMAGED[part.type]


_SCALAR = [tf.TensorSpec([], tf.string)]


@functools.cache
def _image(height, width, channels, max_pixels):
    @tf.function(input_signature=_SCALAR)
    def find(data):
        return _read(image.problem(data, max_pixels), lambda: image.decode(data, height, width, channels))

    return find


@functools.cache
def _audio(sample_rate, samples):
    @tf.function(input_signature=_SCALAR)
    def find(data):
        return _read(audio.problem(data), lambda: audio.decode(data, sample_rate, samples))

    return find


@tf.function(input_signature=_SCALAR)
def _text(data):
    return text.problem(data)


def _read(reason, decode):
    """The reason, after a full decode where there is none yet."""

    def decoded():
        with tf.control_dependencies([decode()]):
            return tf.constant("")

    return tf.cond(reason == "", decoded, lambda: reason)
