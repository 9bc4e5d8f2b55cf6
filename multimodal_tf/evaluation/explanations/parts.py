"""A cell split into parts that can be left out."""

import dataclasses
from collections.abc import Callable

import numpy as np

from multimodal_tf.corruptions.corruption import Cell


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A cell split into parts that can be left out.

    Args:
        edges: for each axis of the map, the starts of the parts and the end of the last: rows and
            columns of pixels for an image; Hz and seconds for a waveform; characters for a text;
            frames for a list of images.
        keep: function of a bool mask of the map's shape to the cell with only these parts. With
            all parts the content is unchanged, but the file may differ.

    Example:
        >>> from multimodal_tf.evaluation.explanations.words import words
        >>> parts = words(b"a red shoe")
        >>> parts.shape, parts.edges, parts.keep(np.array([True, False, True]))
        ((3,), (array([ 0,  2,  6, 10]),), b'a shoe')
    """

    edges: tuple[np.ndarray, ...]
    keep: Callable[[np.ndarray], Cell]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the map."""
        return tuple(len(edge) - 1 for edge in self.edges)

    @property
    def size(self) -> int:
        """Number of parts."""
        return int(np.prod(self.shape))
