"""Corruptions of images, applied alike to every frame where a cell has several.

The five strengths are those of ImageNet-C where it has them: Hendrycks and Dietterich 2019,
arXiv:1903.12261, and its code. They are meant for images of 224 x 224 pixels. Lengths therefore
scale with the shorter side (at least 32 pixels, below which blur would have no effect). The grain
of noise is at least a 224th of the shorter side: resizing would average out noise of single pixels.
"""

import functools
import io
import math
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
from PIL import Image, ImageFilter

from multimodal_tf.corruptions.corruption import Corruption
from multimodal_tf.corruptions.image_files import PixelChange, on_images

# pixels along a side of an ImageNet-C image
_SIDE = 224
# pixels: blur does not scale down below this side
_SMALLEST = 32
# pixels along a side of a JPEG, at most
_JPEG_SIDE = 65_500
_GREY = 128.0


def replace_by_noise(
    height: int,
    width: int,
    cell: bytes | list[bytes],
    strength: object,
    random: np.random.Generator,
) -> bytes | list[bytes]:
    """White noise as PNG in place of an image, or of each frame of a list."""
    if isinstance(cell, list):
        return [_noise_png(height, width, random) if frame else b"" for frame in cell]
    return _noise_png(height, width, random)


def _noise_png(height: int, width: int, random: np.random.Generator) -> bytes:
    file = io.BytesIO()
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _of_images(
    name: str, unit: str, strengths: tuple[Any, Any, Any, Any, Any], change: PixelChange
) -> Corruption:
    return Corruption(name, unit, strengths, functools.partial(on_images, change))


def _gaussian_noise(
    pixels: np.ndarray, deviation: float, random: np.random.Generator
) -> np.ndarray:
    rows, columns = _grains(pixels)
    noise = random.standard_normal(
        (rows[-1] + 1, columns[-1] + 1, *pixels.shape[2:]), dtype=np.float32
    )
    return pixels + (255 * np.float32(deviation)) * _spread(noise, rows, columns)


def _shot_noise(pixels: np.ndarray, photons: float, random: np.random.Generator) -> np.ndarray:
    rows, columns = _grains(pixels)
    light = np.asarray(_resized(pixels, rows[-1] + 1, columns[-1] + 1), np.float32) / 255
    noise = (random.poisson(light * photons) / photons - light).astype(np.float32)
    return np.asarray(pixels + 255 * _spread(noise, rows, columns))


def _gaussian_blur(pixels: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    return np.asarray(
        Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(deviation * _scale(pixels)))
    )


def _defocus_blur(pixels: np.ndarray, radius: float, random: np.random.Generator) -> np.ndarray:
    radius = radius * _scale(pixels)
    offset = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    # about the fraction of each pixel that the disc covers
    disc = np.clip(radius + 0.5 - np.hypot(offset[:, None], offset), 0, 1)
    return _convolved(pixels, disc)


def _motion_blur(
    pixels: np.ndarray, strength: tuple[float, float], random: np.random.Generator
) -> np.ndarray:
    """A half Gaussian along a line, as in ImageMagick, but centred, so that nothing shifts."""
    length, deviation = np.multiply(strength, _scale(pixels))
    angle = np.radians(random.uniform(-45, 45))
    offset = np.linspace(0, length, math.ceil(4 * length) + 2)
    weight = np.exp(-0.5 * (offset / deviation) ** 2)
    offset -= np.average(offset, weights=weight)
    return _convolved(pixels, _line(offset * np.sin(angle), offset * np.cos(angle), weight))


def _jpeg(pixels: np.ndarray, quality: int, random: np.random.Generator) -> bytes:
    file, image = io.BytesIO(), Image.fromarray(pixels)
    image.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _brightness(pixels: np.ndarray, lift: float, random: np.random.Generator) -> np.ndarray:
    """Adds to the value of HSV and keeps hue and saturation. Black becomes grey."""
    values = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    lifted = np.minimum(values + np.float32(255 * lift), 255)
    if pixels.ndim == 2:
        return lifted
    factor = lifted / np.maximum(values, 1).astype(np.float32)
    return np.where(values[..., None] > 0, pixels * factor[..., None], lifted[..., None])


def _contrast(pixels: np.ndarray, kept: float, random: np.random.Generator) -> np.ndarray:
    mean = pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32)
    return np.asarray((pixels - mean) * np.float32(kept) + mean)


def _occlusion(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    (top, height), (left, width) = (
        _random_range(size, math.sqrt(share), random) for size in pixels.shape[:2]
    )
    covered = pixels.astype(np.float32)
    covered[top : top + height, left : left + width] = _GREY
    return covered


def _down_scaling(pixels: np.ndarray, kept: float, random: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = kept * min(1, _SIDE / min(height, width))
    small = _resized(pixels, max(1, round(height * factor)), max(1, round(width * factor)))
    return _resized(small, height, width)


def _rotation(pixels: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """About the centre, in a random direction. The uncovered corners repeat the edge."""
    angle = np.radians(degrees) * random.choice((-1, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(pixels.shape[:2]) - 1) / 2
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    turned = [
        scipy.ndimage.affine_transform(plane, turn, centre - turn @ centre, order=1, mode="nearest")
        for plane in planes
    ]
    return np.stack(turned, axis=2).reshape(pixels.shape)


def _scale(pixels: np.ndarray) -> float:
    """Pixels of this image per pixel of an ImageNet-C image."""
    return float(max(min(pixels.shape[:2]), _SMALLEST) / _SIDE)


def _grains(pixels: np.ndarray) -> list[np.ndarray]:
    """The row of grains of each row of pixels, and the column of grains of each column."""
    grain = max(1.0, min(pixels.shape[:2]) / _SIDE)
    return [(np.arange(size) / grain).astype(int) for size in pixels.shape[:2]]


def _spread(grains: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Grains repeated to the size of the image."""
    return grains if grains.shape[:2] == (len(rows), len(columns)) else grains[rows][:, columns]


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _random_range(size: int, share: float, random: np.random.Generator) -> tuple[int, int]:
    """`(start, length)` of a random range that covers `share` of `size`."""
    length = max(1, round(size * share))
    return int(random.integers(size - length + 1)), length


def _line(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A kernel with `weights` at fractional offsets from its centre, spread bilinearly."""
    reach = math.ceil(max(np.abs(rows).max(), np.abs(columns).max())) + 1
    kernel = np.zeros([2 * reach + 1] * 2)
    rows, columns = rows + reach, columns + reach
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    for row, by_row in ((top, 1 - down), (top + 1, down)):
        for column, by_column in ((left, 1 - right), (left + 1, right)):
            np.add.at(kernel, (row, column), weights * by_row * by_column)
    return kernel


def _convolved(pixels: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The pixels convolved with a kernel of odd sides, scaled to a sum of 1. The edge repeats."""
    kernel = (kernel / kernel.sum()).astype(np.float32)
    margins = [(size // 2, size // 2) for size in kernel.shape]
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    padded = (np.pad(plane.astype(np.float32), margins, mode="edge") for plane in planes)
    # one plane at a time: faster, and the transforms of a large photo need much memory
    return np.stack(
        [scipy.signal.fftconvolve(plane, kernel, mode="valid") for plane in padded], axis=2
    ).reshape(pixels.shape)


GAUSSIAN_NOISE = _of_images(
    "gaussian_noise",
    "standard deviation, fraction of full scale",
    (0.08, 0.12, 0.18, 0.26, 0.38),
    _gaussian_noise,
)
SHOT_NOISE = _of_images("shot_noise", "photons per white grain", (60, 25, 12, 5, 3), _shot_noise)
GAUSSIAN_BLUR = _of_images(
    "gaussian_blur",
    "standard deviation, 224ths of the shorter side",
    (1, 2, 3, 4, 6),
    _gaussian_blur,
)
DEFOCUS_BLUR = _of_images(
    "defocus_blur", "radius, 224ths of the shorter side", (3, 4, 6, 8, 10), _defocus_blur
)
MOTION_BLUR = _of_images(
    "motion_blur",
    "length and standard deviation, 224ths of the shorter side",
    ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    _motion_blur,
)
JPEG = _of_images("jpeg", "quality", (25, 18, 15, 10, 7), _jpeg)
BRIGHTNESS = _of_images(
    "brightness",
    "added to the value of HSV, fraction of full scale",
    (0.1, 0.2, 0.3, 0.4, 0.5),
    _brightness,
)
CONTRAST = _of_images(
    "contrast", "fraction of the contrast kept", (0.4, 0.3, 0.2, 0.1, 0.05), _contrast
)
# within the 2 % to 40 % of the area that random erasing covers: Zhong et al. 2020, arXiv:1708.04896
OCCLUSION = _of_images(
    "occlusion",
    "fraction of the area under a grey rectangle",
    (0.05, 0.1, 0.2, 0.3, 0.4),
    _occlusion,
)
DOWN_SCALING = _of_images(
    "down_scaling",
    "fraction of the sides kept, from 224 pixels at most",
    (0.6, 0.5, 0.4, 0.3, 0.25),
    _down_scaling,
)
# up to the 30 degrees in Engstrom et al. 2019, arXiv:1712.02779
ROTATION = _of_images("rotation", "degrees, in either direction", (5, 10, 15, 20, 30), _rotation)

ALL = (
    GAUSSIAN_NOISE,
    SHOT_NOISE,
    GAUSSIAN_BLUR,
    DEFOCUS_BLUR,
    MOTION_BLUR,
    JPEG,
    BRIGHTNESS,
    CONTRAST,
    OCCLUSION,
    DOWN_SCALING,
    ROTATION,
)
