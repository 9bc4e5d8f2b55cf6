"""Intervals and tests of metrics from repeated cross-validation.

Folds are not independent: any two share most training rows. The variance over folds covers the test
rows of a fold, but not what the shared training rows have in common. Nadeau and Bengio add a term
for it, `test rows / training rows` of a fold: 1 / (folds - 1).
"""

import math

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from scipy import stats

from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.metrics.metric import Metric


class PairedTest(pydantic.BaseModel):
    """The mean difference of two configurations on the same `n` folds, first less second.

    `t` has `n - 1` degrees of freedom. `p` is two-sided: the chance of a difference as large where
    there is none. Where all differences are equal `t` is None, and `p` is 0, or 1 where they are
    all 0.
    """

    difference: Metric
    t: float | None
    p: float
    n: int


def interval(scores: ArrayLike) -> Metric:
    """The mean of a metric over all folds, with its 95 % interval.

    Args:
        scores: float `(repeats, folds)`, the metric on each held-out fold.

    Returns:
        `Metric`, in the scores' unit; its `n` is the size of `scores`. The bounds are not those of
        resamples, and can lie beyond the range of the metric.

    Raises:
        ValueError: the shape differs, there are fewer than 2 folds, or a score is NaN or infinite.

    Example:
        >>> print(interval([[0.8, 0.9, 0.7, 0.8, 0.8]]))  # 0.8 +- 2.776 sqrt((1/5 + 1/4) 0.005)
        0.800 (0.668 .. 0.932), n = 5

    Source: Nadeau and Bengio 2003, «Inference for the generalization error»; repeated folds:
    Bouckaert and Frank 2004, «Evaluating the replicability of significance tests for comparing
    learning algorithms».
    """
    of_folds = _checked("scores", scores)
    half = float(stats.t.ppf((1 + LEVEL) / 2, of_folds.size - 1)) * _error(of_folds)
    value = float(of_folds.mean())
    return Metric(value, of_folds.size, low=value - half, high=value + half)


def paired_test(first: ArrayLike, second: ArrayLike) -> PairedTest:
    """Whether two configurations differ on the same folds.

    Args:
        first, second: float `(repeats, folds)`, the metric of each on the same held-out folds in
            the same order.

    Raises:
        ValueError: the shapes disagree, there are fewer than 2 folds, or a score is NaN or
            infinite.

    Example:
        >>> found = paired_test([[0.8, 0.9, 0.7, 0.8, 0.8]], [[0.7, 0.7, 0.7, 0.7, 0.7]])
        >>> round(found.difference.value, 3), round(found.t, 3), round(found.p, 3)
        (0.1, 2.108, 0.103)

    Source: as `interval`.
    """
    one, other = _checked("first", first), _checked("second", second)
    if one.shape != other.shape:
        raise ValueError(
            "both configurations must have the same folds, "
            f"received scores of the shapes {one.shape} and {other.shape}"
        )
    differences = one - other
    mean, error, n = interval(differences), _error(differences), differences.size
    # nothing but rounding
    if error <= 1e-12 * max(np.abs(one).max(), np.abs(other).max()):
        return PairedTest(difference=mean, t=None, p=float(np.allclose(differences, 0)), n=n)
    t = float(differences.mean()) / error
    return PairedTest(difference=mean, t=t, p=float(2 * stats.t.sf(abs(t), n - 1)), n=n)


def _checked(name: str, scores: ArrayLike) -> np.ndarray:
    array = np.asarray(scores, dtype=float)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise ValueError(
            f"{name} must have the shape (1 or more repeats, 2 or more folds), "
            f"received {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite numbers, received NaN or infinity "
            f"in {(~np.isfinite(array)).sum()} of {array.size} folds"
        )
    return array


def _error(of_folds: np.ndarray) -> float:
    """The corrected standard error of the mean."""
    factor = 1 / of_folds.size + 1 / (of_folds.shape[1] - 1)
    return math.sqrt(factor * float(of_folds.var(ddof=1)))
