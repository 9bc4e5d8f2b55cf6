"""What each part of a cell is worth to the answer."""

import numpy as np

from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.row import Row


def relevance(row: Row, name: str, parts: Parts) -> np.ndarray:
    """What the score loses when a part is left out alone; below 0 where it gains.

    Args:
        row: `Row`.
        name: the input.
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
    whole, *without = row.scores({name: parts.keep(kept)} for kept in _each_without_one(parts))
    return (whole - np.array(without)).reshape(parts.shape)


def _each_without_one(parts):
    yield np.ones(parts.shape, bool)
    for place in np.ndindex(parts.shape):
        kept = np.ones(parts.shape, bool)
        kept[place] = False
        yield kept
