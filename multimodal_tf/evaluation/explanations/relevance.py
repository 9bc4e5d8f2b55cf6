"""The relevance of each part of a cell to the prediction."""

from collections.abc import Iterator

import numpy as np

from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.row import Row


def relevance(row: Row, name: str, parts: Parts) -> np.ndarray:
    """How much the score drops when one part alone is left out; negative if it rises.

    Args:
        row: `Row`.
        name: name of the input.
        parts: `Parts` of its cell.

    Returns:
        float64 of `parts.shape`, in the score's unit.

    Example:
        >>> from multimodal_tf.evaluation.explanations.words import words
        >>> def red(raw):
        ...     return np.array([b"red" in cell for cell in raw["title"]])
        >>> row = Row({"title": np.array([b"a red shoe"], object)}, lambda raw: raw, red)
        >>> relevance(row, "title", words(b"a red shoe"))
        array([0., 1., 0.])

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2 (patches); Li, Monroe and Jurafsky
    2016, arXiv:1612.08220 (words).
    """
    full, *without = row.scores({name: parts.keep(mask)} for mask in _leave_one_out(parts))
    return np.asarray((full - np.array(without)).reshape(parts.shape))


def _leave_one_out(parts: Parts) -> Iterator[np.ndarray]:
    """A mask of all parts, then masks of all parts but one."""
    yield np.ones(parts.shape, bool)
    for index in np.ndindex(parts.shape):
        mask = np.ones(parts.shape, bool)
        mask[index] = False
        yield mask
