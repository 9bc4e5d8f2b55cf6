"""How well scores rank the rows of each class: areas under curves, by class and as means.

`metrics` shows them, and training chooses an epoch by them.
"""

from collections.abc import Callable

import numpy as np
from sklearn import metrics

Score = Callable[[np.ndarray, np.ndarray], float]


def by_class(score: Score, positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """A score of each class against all others, float `(classes,)`; NaN where it is not defined.

    Args:
        score: `auroc` or `average_precision`.
        positive: bool `(rows, classes)`.
        scores: float `(rows, classes)`.
    """
    return np.array([score(*columns) for columns in zip(positive.T, scores.T)])


def mean(score: Score, positive: np.ndarray, scores: np.ndarray) -> float:
    """The mean of `by_class` over the classes for which it is defined; NaN where none is.

    Example:
        >>> mean(auroc, np.array([[True, False], [False, False]]), np.array([[0.9, 0], [0.1, 0]]))
        1.0
    """
    found = by_class(score, positive, scores)
    defined = found[~np.isnan(found)]
    return float(defined.mean()) if defined.size else np.nan


def micro(score: Score, positive: np.ndarray, scores: np.ndarray) -> float:
    """A score over all pairs of a row and a class together."""
    return score(positive.ravel(), scores.ravel())


def auroc(positive: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve, of bool and float `(rows,)`; NaN without rows of both kinds."""
    if not 0 < positive.sum() < len(positive):
        return np.nan
    return float(metrics.roc_auc_score(positive, scores))


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Average precision of bool and float `(rows,)`; NaN without rows of both kinds.

    Source: `sklearn.metrics.average_precision_score`: precisions weighted by the rise of recall.
    """
    if not 0 < positive.sum() < len(positive):
        return np.nan
    return float(metrics.average_precision_score(positive, scores))
