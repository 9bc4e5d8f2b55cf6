"""Images: the bytes of a file, "" where missing."""

import contextlib
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import ImageInput
from multimodal_tf.data.codecs import image, image_cost, image_file, image_header
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.file_decoder import FileDecoder
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.files import array_of, open_file, read_bytes
from multimodal_tf.data.kinds.kind import Kind, Reader

_FILE, _SIZE = tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)
# the header is valid, the rest is not
_DAMAGED = "damaged image"
# the graph's reasons against files that Pillow may decode all the same; the others are limits
_CONVERTED = (_DAMAGED, image_cost.MANY_TEXTS, image_cost.LONG_PIXELS, *image_header.UNREADABLE)


class ImageKind(Kind[ImageInput, None]):
    """An image file (`kinds.files.open_file` lists the ways to name one) or an array.

    Arrays are `(height, width)` or `(height, width, 1, 3 or 4)`, 0..255 as integers or 0..1 as
    floats.
    """

    def read(self, value: Any, root: Root) -> bytes:
        """The file's own bytes where the graph decodes its format, otherwise a PNG.

        The graph decodes JPEG, PNG, GIF, uncompressed BMP and WebP.
        """
        return read_image(value, self.config.max_pixels, root)

    def checked(self, cell: Any) -> tuple[bytes, str]:
        """An image that the graph cannot decode, but Pillow can, is converted to PNG."""
        return checked_image(cell, _decoder(self.config), self.config.max_pixels)

    def _problem(self, cell: bytes) -> str:
        return _decoder(self.config).problem(cell)

    def reader(self, stats: None) -> "ImageReader":
        """Needs no statistics."""
        return ImageReader(self.config)

    def example(self, stats: None) -> tf.Tensor:
        """A gray JPEG."""
        return gray_jpeg()


class ImageReader(Reader[ImageInput]):
    """A file's bytes to pixels."""

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """uint8 `(batch, height, width, channels)`."""
        return _decoder(self.config).decode(cells)

    def model_input(self, tensor: tf.Tensor) -> tf.Tensor:
        """float32 0..1."""
        return tf.cast(tensor, tf.float32) / 255


def read_image(value: Any, max_pixels: int, root: Root) -> bytes:
    """The bytes of an image file that the graph decodes; errors as `Kind.read`."""
    array = array_of(value)
    if array is not None:
        return image_file.png(image_file.from_array(array, max_pixels))
    with open_file(value, root, image_file.MAGIC) as file:
        data = read_bytes(file)
    return data if image_file.is_decodable(data) else image_file.convert(data, max_pixels)


def checked_image(data: bytes, decoder: FileDecoder, max_pixels: int) -> tuple[bytes, str]:
    """As `Kind.checked`, for one image file."""
    problem = decoder.problem(data)
    if problem in _CONVERTED:
        # if Pillow fails, the first problem is the better reason
        with contextlib.suppress(CellError):
            converted = image_file.convert(data, max_pixels)
            if not decoder.problem(converted):
                return converted, ""
    return data, problem


@functools.cache
def image_decoder(height: int, width: int, channels: int, max_pixels: int) -> FileDecoder:
    """A decoder to uint8 `(height, width, channels)`; decoders of all sizes share their graphs."""
    decode = _decode(channels)
    return FileDecoder(
        _problem(max_pixels),
        lambda data: decode(data, height, width),
        tf.TensorSpec([height, width, channels], tf.uint8),
        _DAMAGED,
    )


@functools.cache
def _problem(max_pixels: int) -> Any:
    return tf.function(
        lambda data: image.problem(data, max_pixels), input_signature=[_FILE], autograph=False
    )


@functools.cache
def _decode(channels: int) -> Any:
    return tf.function(
        lambda data, height, width: image.decode_to(data, height, width, channels),
        input_signature=[_FILE, _SIZE, _SIZE],
        autograph=False,
    )


def gray_jpeg() -> tf.Tensor:
    """A small image file, string scalar."""
    return tf.io.encode_jpeg(np.full((64, 64, 3), 128, np.uint8))


def _decoder(config: ImageInput) -> FileDecoder:
    return image_decoder(config.height, config.width, config.channels, config.max_pixels)
