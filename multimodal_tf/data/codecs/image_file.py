"""Any image file or array -> bytes of an image file that the served graph decodes."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from multimodal_tf.data.codecs import image_cost, tiff_segments
from multimodal_tf.data.codecs.cell import CellError

MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|BM|RIFF....WEBP|II[*+]\0|MM\0[*+]|\0\0\0\x0cjP  |"
    rb"....ftypavi[fs]|P[1-7]\s",
    re.DOTALL,
)
# Pillow's modes that a PNG holds without conversion
_PNG_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16", "I;16B")
# Pillow would start Ghostscript for the first, and knows no size of the others
_UNSAFE = {"EPS", "WMF", "FITS"}
# what the messages of Pillow quote of a file
_QUOTED = re.compile(r"b?'[^']*'|b?\"[^\"]*\"")
_JPEG = b"\xff\xd8\xff"
# Pillow reads headers piece by piece, and some formats pixel by pixel in Python. The comments of a
# GIF take the square of their pieces: two seconds for so many; as many pixels take twenty
_HEADER_READS, _READS = 30_000, 20_000_000
_PIECES = "an image file of too many small pieces"


def is_decodable(data: bytes) -> bool:
    """Whether the served graph decodes this format: JPEG, PNG, GIF, WebP and most BMP."""
    if data[:2] == b"BM":
        bits, compression = data[28:30], data[30:34]
        return int.from_bytes(bits, "little") in (1, 4, 8, 24, 32) and compression == bytes(4)
    return (
        data[:3] == _JPEG
        or data[:4] in (b"\x89PNG", b"GIF8")
        or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    )


def convert(data: bytes, max_pixels: int) -> bytes:
    """Converts an image of any format that Pillow reads to PNG.

    The PNG holds the first frame with the EXIF orientation applied, at most 16 bits a channel.

    Raises:
        CellError: Pillow cannot read the image, or it has more than `max_pixels` pixels, which is
            known from the header, before decoding.
    """
    with opened(data, max_pixels) as image:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tiff_segments.check(image, data, max_pixels)
        return png(ImageOps.exif_transpose(image))


@contextlib.contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """An image of any format that Pillow reads, not decoded yet.

    Raises:
        CellError: as `convert`. Whatever Pillow raises inside the context becomes one, too.
    """
    if data[:3] == _JPEG and _has_many_scans(tf.constant(data)):
        raise CellError(image_cost.MANY_SCANS)
    try:
        file = _BoundedFile(data)
        with Image.open(file, formats=_formats()) as image:
            _check_pixels(*image.size, max_pixels)
            file.reads_left = _READS
            yield image
    except UnidentifiedImageError:
        raise CellError("not an image of a format that is read") from None
    except Image.DecompressionBombError:
        # Pillow's own limit, which it checks before it gives the size
        bound = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise CellError(f"more pixels than max_pixels = {min(bound, max_pixels)}") from None
    except CellError:
        raise
    # each of some forty formats has a decoder of its own, which may raise anything
    except Exception as error:  # noqa: BLE001
        raise CellError(f"a broken image: {_reason(error)}") from error


class _BoundedFile(io.BytesIO):
    """A file in memory that is read a bounded number of times.

    Args:
        data: its bytes.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads_left = _HEADER_READS

    def read(self, size: int | None = -1, /) -> bytes:
        # no call of a method: a format that is read pixel by pixel calls this millions of times
        self.reads_left -= 1
        if self.reads_left < 0:
            raise CellError(_PIECES)
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise CellError(_PIECES)
        return super().readline(size)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _has_many_scans(data: tf.Tensor) -> tf.Tensor:
    return image_cost.has_many_scans(data)


def _reason(error: Exception) -> str:
    """The error's message without what it quotes of the file, or else its type."""
    # messages of other types quote the file without marks
    said = str(error) if isinstance(error, (OSError, RuntimeError)) else ""
    return " ".join(_QUOTED.sub("...", said).split()) or type(error).__name__


def from_array(array: npt.NDArray[Any], max_pixels: int) -> Image.Image:
    """A Pillow image of an array.

    Args:
        array: `(height, width)` or `(height, width, 1, 3 or 4)`; integers or 0..255, floats 0..1.
        max_pixels: the most pixels, height x width.

    Raises:
        CellError: another shape or range, or more than `max_pixels` pixels.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise CellError(
            "an image array must be (height, width) or (height, width, 1, 3 or 4), received"
            f" {array.shape}"
        )
    _check_pixels(array.shape[1], array.shape[0], max_pixels)
    top = 1 if array.dtype.kind in "bf" else 255
    # false for NaN, too
    if not (array.min() >= 0 and array.max() <= top):
        raise CellError(
            f"an image array of {array.dtype} must lie in 0..{top}, received"
            f" {array.min()}..{array.max()}"
        )
    pixels = (
        np.rint(array * np.float64(255)).astype(np.uint8) if top == 1 else array.astype(np.uint8)
    )
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def png(image: Image.Image) -> bytes:
    """A Pillow image as PNG, without loss up to 16 bits a channel.

    Raises:
        CellError: integers beyond 0..65535, or floats beyond 0..1.
    """
    if image.mode == "F":
        image = _quantized(image)
    # Pillow holds some 16-bit images as 32-bit integers
    if image.mode == "I":
        low, high = _extrema(image)
        if low < 0 or high > 65535:
            raise CellError(f"an image of integers must lie in 0..65535, received {low}..{high}")
        image = image.convert("I;16")
    if image.mode not in _PNG_MODES:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    file = io.BytesIO()
    image.save(file, format="PNG", icc_profile=None)
    return file.getvalue()


def _quantized(image: Image.Image) -> Image.Image:
    low, high = _extrema(image)
    # false for NaN, too
    if not (low >= 0 and high <= 1):
        raise CellError(f"an image of floats must lie in 0..1, received {low}..{high}")
    return Image.fromarray(np.rint(np.asarray(image) * 255.0).astype(np.uint8))


def _extrema(image: Image.Image) -> tuple[float, float]:
    """The lowest and the highest value of an image of one channel."""
    return cast("tuple[float, float]", image.getextrema())


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise CellError(f"{width} x {height} pixels, more than max_pixels = {max_pixels}")


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in _UNSAFE]
