"""Damage to images, and to every frame of a video alike.

The five strengths are those of ImageNet-C where it has them: Hendrycks and Dietterich 2019,
arXiv:1903.12261, and its code. They were made for pictures of 224 x 224 pixels. A length in pixels
here is that part of the shorter side (of at least 32 pixels, below which nothing would be blurred),
and the grain of noise is never finer than a 224th of it: on a large photo, noise of single pixels
would be gone after the model's own shrinking.
"""

import functools
import io
import math

import numpy as np
import scipy.ndimage
import scipy.signal
from PIL import Image, ImageFilter

from multimodal_tf.corruptions.corruption import Corruption
from multimodal_tf.corruptions.image_files import on_pictures

# pixels, of the pictures of ImageNet-C
_SIDE = 224
# pixels, below which blur shrinks no further with the picture
_LEAST = 32
# pixels that a JPEG can have along a side
_JPEG_SIDE = 65_500
_GREY = 128.0


def _of_images(name, unit, strengths, change):
    return Corruption(
        name, ("image", "video"), unit, strengths, functools.partial(on_pictures, change)
    )


def _gaussian_noise(pixels, deviation, random):
    rows, columns = _grains(pixels)
    noise = random.standard_normal(
        (rows[-1] + 1, columns[-1] + 1, *pixels.shape[2:]), dtype=np.float32
    )
    return pixels + (255 * np.float32(deviation)) * _spread(noise, rows, columns)


def _shot_noise(pixels, photons, random):
    rows, columns = _grains(pixels)
    light = np.asarray(_resized(pixels, rows[-1] + 1, columns[-1] + 1), np.float32) / 255
    noise = (random.poisson(light * photons) / photons - light).astype(np.float32)
    return pixels + 255 * _spread(noise, rows, columns)


def _gaussian_blur(pixels, deviation, random):
    return np.asarray(
        Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(deviation * _scale(pixels)))
    )


def _defocus_blur(pixels, radius, random):
    radius = radius * _scale(pixels)
    place = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    # about the share of each pixel that the disc covers
    disc = np.clip(radius + 0.5 - np.hypot(place[:, None], place), 0, 1)
    return _convolved(pixels, disc)


def _motion_blur(pixels, strength, random):
    """A half Gaussian along a line, as ImageMagick's, but about its own centre, so that nothing is
    shifted.
    """
    length, deviation = np.multiply(strength, _scale(pixels))
    angle = np.radians(random.uniform(-45, 45))
    place = np.linspace(0, length, math.ceil(4 * length) + 2)
    weight = np.exp(-0.5 * (place / deviation) ** 2)
    place -= np.average(place, weights=weight)
    return _convolved(pixels, _line(place * np.sin(angle), place * np.cos(angle), weight))


def _jpeg(pixels, quality, random):
    file, image = io.BytesIO(), Image.fromarray(pixels)
    image.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _brightness(pixels, lift, random):
    """Lifts the value of HSV and leaves hue and saturation; black becomes grey."""
    values = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    lifted = np.minimum(values + np.float32(255 * lift), 255)
    if pixels.ndim == 2:
        return lifted
    factor = lifted / np.maximum(values, 1).astype(np.float32)
    return np.where(values[..., None] > 0, pixels * factor[..., None], lifted[..., None])


def _contrast(pixels, kept, random):
    mean = pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32)
    return (pixels - mean) * np.float32(kept) + mean


def _occlusion(pixels, share, random):
    (top, height), (left, width) = (
        _stretch(size, math.sqrt(share), random) for size in pixels.shape[:2]
    )
    covered = pixels.astype(np.float32)
    covered[top : top + height, left : left + width] = _GREY
    return covered


def _down_scaling(pixels, kept, random):
    height, width = pixels.shape[:2]
    factor = kept * min(1, _SIDE / min(height, width))
    small = _resized(pixels, max(1, round(height * factor)), max(1, round(width * factor)))
    return _resized(small, height, width)


def _rotation(pixels, degrees, random):
    """About the centre, to a side that is drawn; what comes into the picture continues its edge."""
    angle = np.radians(degrees) * random.choice((-1, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(pixels.shape[:2]) - 1) / 2
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    turned = [
        scipy.ndimage.affine_transform(plane, turn, centre - turn @ centre, order=1, mode="nearest")
        for plane in planes
    ]
    return np.stack(turned, axis=2).reshape(pixels.shape)


def _scale(pixels):
    return max(min(pixels.shape[:2]), _LEAST) / _SIDE


def _grains(pixels):
    """For each row and each column of pixels: which row and which column of grains it is in."""
    grain = max(1.0, min(pixels.shape[:2]) / _SIDE)
    return [(np.arange(size) / grain).astype(int) for size in pixels.shape[:2]]


def _spread(grains, rows, columns):
    return grains if grains.shape[:2] == (len(rows), len(columns)) else grains[rows][:, columns]


def _resized(pixels, height, width):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _stretch(size, share, random):
    """`(start, length)` of a part of `size`, wherever it fits."""
    length = max(1, round(size * share))
    return int(random.integers(size - length + 1)), length


def _line(rows, columns, weights):
    """A kernel with `weights` at places between its pixels, given from its centre."""
    reach = math.ceil(max(np.abs(rows).max(), np.abs(columns).max())) + 1
    kernel = np.zeros([2 * reach + 1] * 2)
    rows, columns = rows + reach, columns + reach
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    for row, by_row in ((top, 1 - down), (top + 1, down)):
        for column, by_column in ((left, 1 - right), (left + 1, right)):
            np.add.at(kernel, (row, column), weights * by_row * by_column)
    return kernel


def _convolved(pixels, kernel):
    """The pixels under a kernel of odd sides, whose sum is brought to 1; beyond the edge the edge
    goes on.
    """
    kernel = (kernel / kernel.sum()).astype(np.float32)
    margins = [(size // 2, size // 2) for size in kernel.shape]
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    padded = (np.pad(plane.astype(np.float32), margins, mode="edge") for plane in planes)
    # plane by plane, which is faster, and the transforms of a large photo need much memory
    return np.stack(
        [scipy.signal.fftconvolve(plane, kernel, mode="valid") for plane in padded], axis=2
    ).reshape(pixels.shape)


GAUSSIAN_NOISE = _of_images(
    "gaussian_noise",
    "standard deviation, of full scale",
    (0.08, 0.12, 0.18, 0.26, 0.38),
    _gaussian_noise,
)
SHOT_NOISE = _of_images("shot_noise", "photons of a white grain", (60, 25, 12, 5, 3), _shot_noise)
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
JPEG = _of_images(
    "jpeg", "quality, whose blocks are 8 pixels in an image of any size", (25, 18, 15, 10, 7), _jpeg
)
BRIGHTNESS = _of_images(
    "brightness", "added to the value of HSV, of full scale", (0.1, 0.2, 0.3, 0.4, 0.5), _brightness
)
CONTRAST = _of_images(
    "contrast", "share of the contrast that is left", (0.4, 0.3, 0.2, 0.1, 0.05), _contrast
)
# within the 2 to 40 % of the area of random erasing: Zhong et al. 2020, arXiv:1708.04896
OCCLUSION = _of_images(
    "occlusion", "share of the area under a grey rectangle", (0.05, 0.1, 0.2, 0.3, 0.4), _occlusion
)
DOWN_SCALING = _of_images(
    "down_scaling",
    "share of the sides, of 224 pixels at most, that is left",
    (0.6, 0.5, 0.4, 0.3, 0.25),
    _down_scaling,
)
# up to the 30 degrees of Engstrom et al. 2019, arXiv:1712.02779
ROTATION = _of_images("rotation", "degrees, to either side", (5, 10, 15, 20, 30), _rotation)

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
