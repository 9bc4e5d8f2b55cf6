"""Average precision as one number per row, so that means over rows and their bootstrap apply."""

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.metrics.per_class import two_sided


def average_precision_rows(truth: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Pseudo-values of rows, whose mean is the macro average precision of these rows.

    A row's value is the average precision plus what it would change if the row counted more. The
    mean of resampled values is to first order the average precision of resampled rows, so an
    interval of the mean is one of the metric.

    Args:
        truth: bool `(rows, labels)`.
        scores: float `(rows, labels)`, higher where the label is more probable.

    Returns:
        float `(rows,)`. The mean is over the labels that some rows bear and others do not; without
        such a label all values are 0.

    Raises:
        ValueError: the shapes are not equal, or a score is NaN.

    Example:
        >>> truth, scores = [[1], [0], [1], [0]], [[0.9], [0.8], [0.7], [0.1]]
        >>> float(average_precision_rows(truth, scores).mean().round(4))  # (1 / 1 + 2 / 3) / 2
        0.8333

    Source: pseudo-values: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections
    11.2 (jackknife) and 22.6 (infinitesimal jackknife).
    """
    positive, given = np.asarray(truth) > 0, np.asarray(scores, dtype=float)
    if positive.ndim != 2 or positive.shape != given.shape or np.isnan(given).any():
        raise ValueError(
            "truth and scores must have the same shape (rows, labels) without NaN, received "
            f"{positive.shape} and {given.shape} with {int(np.isnan(given).sum())} NaN"
        )
    labels = two_sided(positive)
    if not labels:
        return np.zeros(len(positive))
    of_labels = [_of_label(positive[:, label], given[:, label]) for label in labels]
    return np.asarray(np.mean(of_labels, axis=0))


def _of_label(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The average precision of one label, plus rows times its derivative by each row's weight."""
    distinct, level = np.unique(-scores, return_inverse=True)
    # by level of the score, from the highest: rows and positives, and the same above or equal
    count = np.bincount(level, minlength=len(distinct))
    hits = np.bincount(level, positive, minlength=len(distinct))
    rows, precision = np.cumsum(count), np.cumsum(hits) / np.cumsum(count)
    total = hits.sum()
    average = hits @ precision / total
    # a row of more weight changes the precision at its own level and at all below
    gain, loss = (np.cumsum(each[::-1])[::-1] for each in (hits / rows, hits * precision / rows))
    own = np.where(positive, precision[level] - average + gain[level], 0.0)
    return np.asarray(average + len(scores) * (own - loss[level]) / total)
