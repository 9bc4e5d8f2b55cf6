"""Metrics of heads that predict a number: regression and quantile heads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.bootstrap import Samples
from multimodal_tf.metrics.known_rows import column, known_groups, known_rows
from multimodal_tf.metrics.metric import NO_SPREAD, HeadMetrics, mean_metrics, named_metrics

METRICS = ("mae", "rmse", "r2")


def regression(
    labels: ArrayLike,
    predictions: ArrayLike,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Metrics of a predicted number: `mae` and `rmse` in the label's unit, `r2` without unit.

    Args:
        labels: float `(rows,)` or `(rows, 1)`.
        predictions: float `(rows,)` or `(rows, 1)`.
        known, resamples, seed, groups: as in `classification`.

    Returns:
        `HeadMetrics`; without known rows all metrics are None, and `r2` is None where all labels
        are equal.

    Raises:
        ValueError: the shapes disagree, or a prediction or known label is NaN.

    Example:
        >>> head = regression([1.0, 3.0], [1.0, 2.0], resamples=0)
        >>> head.metrics["mae"].value, head.metrics["r2"].value
        (0.5, 0.5)
    """
    truth, predicted = known_rows(column(labels), (), column(predictions), (), known)
    values = {}
    if len(truth):
        values = {
            "mae": metrics.mean_absolute_error(truth, predicted),
            "rmse": metrics.root_mean_squared_error(truth, predicted),
            "r2": metrics.r2_score(truth, predicted) if np.ptp(truth) > 0 else np.nan,
        }
    codes = known_groups(groups, known, len(np.asarray(labels)))
    samples = number_samples(truth, predicted, resamples, seed, codes)
    return HeadMetrics(
        type="regression",
        n=len(truth),
        metrics=named_metrics(METRICS, len(truth), values, samples, NO_SPREAD),
    )


def number_samples(
    truth: np.ndarray,
    predicted: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Samples:
    """The metrics of `regression` on resamples of known rows, by name.

    Args:
        truth, predicted: float `(rows,)`.
        resamples, seed, groups: as in `bootstrap.resample`.
    """
    # centred: squares of large numbers would cancel
    centred, errors = truth - truth.mean() if len(truth) else truth, predicted - truth

    def statistic(index: np.ndarray) -> dict[str, float]:
        squares, spread = (errors[index] ** 2).mean(), centred[index].var()
        return {
            "mae": np.abs(errors[index]).mean(),
            "rmse": np.sqrt(squares),
            "r2": 1 - squares / spread if spread > 0 else np.nan,
        }

    return bootstrap.resample(statistic, len(truth), resamples, seed, groups)


def quantile(
    labels: ArrayLike,
    predictions: ArrayLike,
    quantiles: Sequence[float],
    point_index: int,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Metrics of predicted quantiles of a number.

    Those of `regression` for the quantile `point_index`; `pinball`, the mean quantile loss over the
    quantiles; `coverage`, the share of rows between the lowest and the highest quantile; `width`,
    the mean distance of these two. All but `r2` and `coverage` are in the label's unit.

    Args:
        labels: float `(rows,)` or `(rows, 1)`.
        predictions: float `(rows, quantiles)`.
        quantiles: probabilities of the quantiles, rising.
        point_index: index of the quantile nearest to the median, as `QuantileHead.point_index`.
        known, resamples, seed, groups: as in `classification`.

    Returns, raises: as `regression`.

    Example:
        >>> rows = [[0.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
        >>> head = quantile([1.0, 9.0], rows, [0.1, 0.5, 0.9], 1, resamples=0)
        >>> head.metrics["coverage"].value, head.metrics["width"].value, head.metrics["mae"].value
        (0.5, 2.5, 2.5)
    """
    truth, predicted = known_rows(column(labels), (), predictions, (len(quantiles),), known)
    codes = known_groups(groups, known, len(np.asarray(labels)))
    head = regression(truth, predicted[:, point_index], None, resamples, seed, codes)
    means = mean_metrics(quantile_scores(truth, predicted, quantiles), resamples, seed, codes)
    return head.model_copy(update={"type": "quantile", "metrics": head.metrics | means})


def quantile_scores(
    truth: np.ndarray, predicted: np.ndarray, quantiles: Sequence[float]
) -> dict[str, np.ndarray]:
    """By metric, the numbers whose mean `quantile` adds, float `(rows,)`."""
    above, levels = truth[:, None] - predicted, np.array(quantiles)
    return {
        "pinball": np.maximum(levels * above, (levels - 1) * above).mean(axis=1),
        "coverage": (truth >= predicted[:, 0]) & (truth <= predicted[:, -1]),
        "width": predicted[:, -1] - predicted[:, 0],
    }
