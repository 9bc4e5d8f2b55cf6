"""Whether the served graph will read a cell, asked eagerly while a table is ingested."""

import functools
import math

import tensorflow as tf

from multimodal_tf.config import VideoInput
from multimodal_tf.data.codecs import image, iso8601, riff
from multimodal_tf.data.kinds.readers import DAMAGED, NOT_A_BOOLEAN, NOT_FINITE
from multimodal_tf.data.kinds.video import VideoReader
from multimodal_tf.data.tokenizers import normalization


def problem(part, data) -> str:
    """Why `Preprocessor.features` would call this cell broken: it decodes the whole cell with the
    same functions.

    Args:
        part: an input of the configuration (`ImageInput`, ...).
        data: bytes, for a video a list of bytes, for a number or a boolean a float; missing ("", []
        or NaN) is no problem.

    Returns:
        "" or the reason.

    Example:
        >>> from multimodal_tf.config import ImageInput, TextInput
        >>> problem(TextInput(), b"caf\\xe9"), problem(TextInput(), "café".encode())
        ('invalid UTF-8', '')
    """
    if part.type == "number":
        return NOT_FINITE if abs(data) == float("inf") else ""
    if part.type == "boolean":
        return "" if data in (0, 1) or math.isnan(data) else NOT_A_BOOLEAN
    if not data:
        return ""
    if part.type == "video":
        return _video(part.model_dump_json(exclude={"tower"}))(tf.constant([data])).numpy().decode()
    if part.type == "image":
        find = _image(part.height, part.width, part.channels, part.max_pixels)
    elif part.type == "audio":
        find = _audio(part.sample_rate, part.samples)
    else:
        find = _date if part.type == "date" else _text
    try:
        return find(tf.constant(data)).numpy().decode()
    except tf.errors.OpError:
        # the graph, too, calls any failure of the decoder a damaged cell
        return DAMAGED[part.type]


_SCALAR = [tf.TensorSpec([], tf.string)]


@functools.cache
def _image(height, width, channels, max_pixels):
    @tf.function(input_signature=_SCALAR)
    def find(data):
        return _read(
            image.problem(data, max_pixels), lambda: image.decode(data, height, width, channels)
        )

    return find


@functools.cache
def _audio(sample_rate, samples):
    @tf.function(input_signature=_SCALAR)
    def find(data):
        return _read(riff.problem(data), lambda: riff.decode(data, sample_rate, samples))

    return find


@functools.cache
def _video(part):
    reader = VideoReader(VideoInput.model_validate_json(part), None)

    @tf.function(input_signature=[reader.spec], autograph=False)
    def find(cells):
        return reader.read(cells)[2][0]

    return find


@tf.function(input_signature=_SCALAR)
def _text(data):
    return normalization.problem(data)


@tf.function(input_signature=_SCALAR)
def _date(data):
    return iso8601.problem(data[tf.newaxis])[0]


def _read(reason, decode):
    """The reason, after a full decode where there is none yet."""

    def decoded():
        with tf.control_dependencies([decode()]):
            return tf.constant("")

    return tf.cond(reason == "", decoded, lambda: reason)
