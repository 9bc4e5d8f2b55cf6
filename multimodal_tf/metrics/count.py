"""Metrics of heads that predict the rate of a count."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from multimodal_tf.metrics.known_rows import column, known_groups, known_rows
from multimodal_tf.metrics.metric import HeadMetrics, mean_metrics
from multimodal_tf.metrics.regression import regression


def count(
    labels: ArrayLike,
    predictions: ArrayLike,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Metrics of a predicted rate.

    Those of `regression`, and `poisson_deviance`, the mean deviance of a Poisson distribution, as
    scikit-learn's `mean_poisson_deviance`: 0 where every rate is its count.

    Args:
        labels: float `(rows,)` or `(rows, 1)`, counts.
        predictions: float `(rows,)` or `(rows, 1)`, rates above 0.
        known, resamples, seed, groups: as in `classification`.

    Returns:
        As `regression`.

    Raises:
        ValueError: as `regression`; or a known label is negative, or its prediction not above 0.

    Example:
        >>> head = count([0.0, 2.0], [1.0, 2.0], resamples=0)
        >>> head.metrics["poisson_deviance"].value, head.metrics["mae"].value
        (1.0, 0.5)

    Source: McCullagh and Nelder 1989, Generalized Linear Models, section 2.3.
    """
    truth, predicted = known_rows(column(labels), (), column(predictions), (), known)
    if len(truth) and truth.min() < 0:
        raise ValueError(f"labels must be counts from 0, received {truth.min():g}")
    if len(truth) and predicted.min() <= 0:
        raise ValueError(f"predictions must be rates above 0, received {predicted.min():g}")
    codes = known_groups(groups, known, len(np.asarray(labels)))
    head = regression(truth, predicted, None, resamples, seed, codes)
    means = mean_metrics(count_scores(truth, predicted), resamples, seed, codes)
    return head.model_copy(update={"type": "count", "metrics": head.metrics | means})


def count_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """By metric, the numbers whose mean `count` adds, float `(rows,)`."""
    return {"poisson_deviance": 2 * (xlogy(truth, truth / predicted) - truth + predicted)}
