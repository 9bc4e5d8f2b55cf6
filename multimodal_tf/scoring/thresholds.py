"""From which probability on a label is predicted: thresholds that validation rows give."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from sklearn import metrics

# a label that fewer rows bear gets the threshold of all labels together
FEWEST = 5
# without any row that bears a label
DEFAULT = 0.5


def fit_thresholds(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The threshold of each label with the best F1.

    A label that fewer than five rows bear gets the threshold with the best F1 over all labels
    together, because so few rows tell too little.

    Args:
        positive: bool `(rows, labels)`.
        scores: float `(rows, labels)`, 0 to 1.

    Returns:
        float `(labels,)`, half way to the next lower score: a label is predicted from it on.

    Example:
        >>> fit_thresholds(np.array([[True]] * 5 + [[False]]), np.array([[0.3]] * 5 + [[0.1]]))
        array([0.2])

    Source: Lipton, Elkan and Narayanaswamy 2014, arXiv:1402.1892; few rows: Lewis et al. 2004,
    «RCV1: A New Benchmark Collection for Text Categorization Research», section 5.3.
    """
    shared = _best(positive.ravel(), scores.ravel())
    return np.array(
        [
            _best(kind, score) if kind.sum() >= FEWEST else shared
            for kind, score in zip(positive.T, scores.T)
        ]
    )


def tempered_thresholds(thresholds: ArrayLike, temperature: float) -> np.ndarray:
    """The thresholds of probabilities whose logits are divided by a temperature.

    The same labels stay predicted.

    Example:
        >>> tempered_thresholds([0.5, 0.9], 2.0).round(4)
        array([0.5 , 0.75])
    """
    return np.asarray(special.expit(special.logit(np.asarray(thresholds, float)) / temperature))


def _best(positive: np.ndarray, scores: np.ndarray) -> float:
    if not positive.any():
        return DEFAULT
    precision, recall, found = metrics.precision_recall_curve(positive, scores)
    # the last pair belongs to no threshold
    both = (precision + recall)[:-1]
    f1 = np.divide(2 * (precision * recall)[:-1], both, out=np.zeros_like(both), where=both > 0)
    best = int(f1.argmax())
    return float((found[best] + (found[best - 1] if best else 0.0)) / 2)
