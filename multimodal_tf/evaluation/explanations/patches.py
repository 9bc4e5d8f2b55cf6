"""Patches of a picture."""

import numpy as np

from multimodal_tf.corruptions.image_files import pixels, png
from multimodal_tf.evaluation.explanations.parts import Parts

# along the longer side
PATCHES = 8


def patches(cell: bytes) -> Parts:
    """A picture as patches, about square; one that is left out is filled with the mean colour of
    the picture.

    Pictures come out as PNG files with the pixels that the served graph sees: upright, on white
    where transparent.

    Args:
        cell: bytes of an image file.

    Raises:
        ValueError: it cannot be decoded.

    Example:
        >>> parts = patches(png(np.zeros((60, 120, 3), np.uint8)))
        >>> parts.shape
        (4, 8)

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    picture = pixels(cell)
    mean = np.rint(picture.mean(axis=(0, 1))).astype(np.uint8)
    edges = tuple(_edges(side, max(picture.shape[:2])) for side in picture.shape[:2])

    def keep(kept):
        there = kept
        for axis, edge in enumerate(edges):
            there = np.repeat(there, np.diff(edge), axis=axis)
        return png(np.where(there if picture.ndim == 2 else there[:, :, None], picture, mean))

    return Parts(edges, keep)


def _edges(side, longest):
    count = min(side, max(1, round(PATCHES * side / longest)))
    return np.linspace(0, side, count + 1).round().astype(int)
