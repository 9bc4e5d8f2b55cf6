"""A cell as parts that can be left out."""

import dataclasses
from collections.abc import Callable

import numpy as np

from multimodal_tf.corruptions.corruption import Cell


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A cell as parts that can be left out.

    Args:
        edges: by axis of the map, where its parts begin and, last, end: rows and columns of pixels
            of a picture; Hz and seconds of a sound; characters of a text; frames of a video.
        keep: function of bool, of the shape of the map, to the cell with these parts only. With all
            of them the cell is the same, but may be another file.

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
        """Of the map."""
        return tuple(len(edge) - 1 for edge in self.edges)

    @property
    def size(self) -> int:
        """How many parts there are."""
        return int(np.prod(self.shape))
