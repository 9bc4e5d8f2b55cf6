"""Patches of an image."""

import numpy as np

from multimodal_tf.corruptions import image_files
from multimodal_tf.evaluation.explanations.parts import Parts

# patches along the longer side
PATCHES = 8


def patches(cell: bytes) -> Parts:
    """Splits an image into roughly square patches.

    A patch that is left out is filled with the mean colour of the image. Results are PNG files of
    the pixels that the served graph sees: upright, on white where transparent.

    Args:
        cell: bytes of an image file.

    Raises:
        ValueError: the image cannot be decoded.

    Example:
        >>> parts = patches(image_files.encode_png(np.zeros((60, 120, 3), np.uint8)))
        >>> parts.shape
        (4, 8)

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    pixels = image_files.decode(cell)
    mean = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
    edges = tuple(_edges(side, max(pixels.shape[:2])) for side in pixels.shape[:2])

    def keep(mask: np.ndarray) -> bytes:
        for axis, edge in enumerate(edges):
            mask = np.repeat(mask, np.diff(edge), axis=axis)
        of_pixels = mask if pixels.ndim == 2 else mask[:, :, None]
        return image_files.encode_png(np.where(of_pixels, pixels, mean))

    return Parts(edges, keep)


def _edges(side: int, longest: int) -> np.ndarray:
    count = min(side, max(1, round(PATCHES * side / longest)))
    return np.linspace(0, side, count + 1).round().astype(int)
