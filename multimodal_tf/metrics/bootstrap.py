"""Percentile bootstrap over rows, for metrics that are computed a thousand times.

A statistic is prepared once for the given rows (sorting, squaring) and then called with the row
indices of each resample. It returns values by metric; NaN where this resample does not define one.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

LEVEL = 0.95

Name = TypeVar("Name")

Statistic = Callable[[np.ndarray], dict[str, float]]
# by metric, float `(resamples,)`
Samples = dict[str, np.ndarray]


def resample(
    statistic: Callable[[np.ndarray], Mapping[Name, float]],
    rows: int,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> dict[Name, np.ndarray]:
    """A statistic on resamples: draws of all rows, or of all groups of rows, with replacement.

    Args:
        statistic: takes int `(rows,)`, returns values by metric.
        rows: int. With fewer than two there is nothing to draw.
        resamples: int. Number of draws.
        seed: int. Statistics that are drawn with the same seed see the same draws, so their values
            are paired.
        groups: int `(rows,)`, as `clustered.group_codes` gives: rows of one number are drawn
            together. None: each row alone.

    Returns:
        By metric float `(resamples,)`; empty where there are fewer than two rows or groups, or
        `resamples` is 0.

    Example:
        >>> values = np.array([1.0, 2.0, 4.0])
        >>> resample(lambda index: {"mean": values[index].mean()}, rows=3, resamples=2, seed=0)
        {'mean': array([2.66666667, 1.        ])}
    """
    units = rows if groups is None or not rows else int(groups.max()) + 1
    if units < 2:
        return {}
    random = np.random.default_rng(seed)
    rows_of = (lambda chosen: chosen) if groups is None else _members(groups)
    drawn = [statistic(rows_of(random.integers(units, size=units))) for _ in range(resamples)]
    names = drawn[0] if drawn else ()
    return {name: np.array([values[name] for values in drawn]) for name in names}


def _members(groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from indices of groups to the rows of these groups, one after another."""
    order, counts = np.argsort(groups, kind="stable"), np.bincount(groups)
    starts = np.cumsum(counts) - counts

    def rows_of(chosen: np.ndarray) -> np.ndarray:
        sizes = counts[chosen]
        shifts = starts[chosen] - (np.cumsum(sizes) - sizes)
        return np.asarray(order[np.arange(sizes.sum()) + np.repeat(shifts, sizes)])

    return rows_of


def interval(samples: np.ndarray) -> tuple[float | None, float | None, int]:
    """The middle 95 % of the defined samples, and their number.

    Returns:
        `(low, high, samples used)`; `(None, None, 0)` where no sample is defined.

    Example:
        >>> interval(np.array([np.nan, 3.0, 3.0]))
        (3.0, 3.0, 2)
    """
    defined = samples[np.isfinite(samples)]
    if not defined.size:
        return None, None, 0
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high), int(defined.size)


def row_means(values: Mapping[str, np.ndarray]) -> Statistic:
    """A statistic: the mean of each array of `values`, float `(rows,)`."""
    return lambda index: {name: of_rows[index].mean() for name, of_rows in values.items()}


def class_counts(
    truth: np.ndarray, predicted: np.ndarray, classes: int, index: np.ndarray
) -> np.ndarray:
    """Rows per class: true positives, rows of the class, rows predicted as the class.

    Args:
        truth: int `(rows,)`.
        predicted: int `(rows,)`.
        classes: int.
        index: int, the rows to count, with repetition.

    Returns:
        float `(3, classes)`.
    """
    truth, predicted = truth[index], predicted[index]
    counted = (truth[truth == predicted], truth, predicted)
    return np.stack([np.bincount(of, minlength=classes) for of in counted]).astype(float)


def label_counts(truth: np.ndarray, predicted: np.ndarray, index: np.ndarray) -> np.ndarray:
    """As `class_counts`, where `truth` and `predicted` are bool `(rows, labels)`."""
    truth, predicted = truth[index], predicted[index]
    counted = (truth & predicted, truth, predicted)
    return np.stack([of.sum(axis=0) for of in counted]).astype(float)


def precision_recall_f1(
    hits: np.ndarray, actual: np.ndarray, predicted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 from counts of any shape; 0 where they would be 0 / 0."""
    return ratio(hits, predicted), ratio(hits, actual), ratio(2 * hits, predicted + actual)


def averaged(hits: np.ndarray, actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Macro, micro and weighted averages of precision, recall and F1; NaN without a class.

    Args:
        hits, actual, predicted: float `(classes,)`, as `class_counts`.
    """
    counted = (actual > 0) | (predicted > 0)
    by_class = precision_recall_f1(hits, actual, predicted)
    pooled = precision_recall_f1(hits.sum(), actual.sum(), predicted.sum())
    found = {}
    for name, values, micro in zip(("precision", "recall", "f1"), by_class, pooled):
        weighted = ratio(values @ actual, actual.sum())
        found[f"{name}_macro"] = mean(values[counted])
        found[f"{name}_micro"] = float(micro) if counted.any() else np.nan
        found[f"{name}_weighted"] = float(weighted) if counted.any() else np.nan
    return found


def balanced_accuracy(counts: np.ndarray, rows: int) -> float:
    """Mean of recall and specificity over the labels that have rows of both kinds.

    Args:
        counts: float `(3, labels)`, as `label_counts`.
        rows: int.

    Returns:
        float; NaN where no label has rows of both kinds.
    """
    hits, actual, predicted = counts
    true_negatives = rows - actual - predicted + hits
    of_label = (ratio(hits, actual) + ratio(true_negatives, rows - actual)) / 2
    return mean(of_label[(actual > 0) & (actual < rows)])


def auroc(positive: np.ndarray, scores: np.ndarray) -> Statistic:
    """A statistic: the area under the ROC curve, the share of pairs in the right order.

    It is the mean over the columns that have rows of both kinds.

    Args:
        positive: bool `(rows, columns)`.
        scores: float `(rows, columns)`.

    Source: Hanley and McNeil 1982, Radiology 143:29 (equal to the Mann-Whitney statistic; a tie is
    half a pair).
    """
    # Scores are ranked once; a resample then only counts, and never sorts.
    columns = [
        (np.unique(scores[:, c], return_inverse=True)[1], positive[:, c])
        for c in np.flatnonzero(positive.any(axis=0))
    ]

    def statistic(index: np.ndarray) -> dict[str, float]:
        areas = [_pairs_in_order(rank[index], kind[index]) for rank, kind in columns]
        return {"auroc": mean(np.array(areas))}

    return statistic


def average_precision(positive: np.ndarray, scores: np.ndarray) -> Statistic:
    """A statistic: average precision, as `average_precision_macro` and `average_precision_micro`.

    The first is the mean over the columns that have rows of both kinds, the second that of all
    cells together.

    Args:
        positive: bool `(rows, columns)`.
        scores: float `(rows, columns)`.
    """
    columns = [np.unique(one, return_inverse=True)[1] for one in scores.T]
    every = np.unique(scores, return_inverse=True)[1].reshape(scores.shape)

    def statistic(index: np.ndarray) -> dict[str, float]:
        drawn = positive[index]
        found = [_precision(rank[index], kind) for rank, kind in zip(columns, drawn.T)]
        return {
            "average_precision_macro": mean(np.array(found)),
            "average_precision_micro": _precision(every[index].ravel(), drawn.ravel()),
        }

    return statistic


def _precision(rank: np.ndarray, positive: np.ndarray) -> float:
    """Average precision, from the rank of each score; NaN without rows of both kinds."""
    size = int(rank.max()) + 1
    # from the highest score down
    hits = np.bincount(rank[positive], minlength=size)[::-1]
    rows = np.bincount(rank, minlength=size)[::-1]
    total = hits.sum()
    if not 0 < total < len(positive):
        return np.nan
    return float(hits @ ratio(np.cumsum(hits), np.cumsum(rows)) / total)


def _pairs_in_order(rank: np.ndarray, positive: np.ndarray) -> float:
    size = int(rank.max()) + 1
    above = np.bincount(rank[positive], minlength=size)
    below = np.bincount(rank[~positive], minlength=size)
    pairs = above.sum() * below.sum()
    return float(above @ (np.cumsum(below) - below / 2) / pairs) if pairs else np.nan


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """`numerator / denominator`, and 0 where the denominator is 0."""
    above, below = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    found = np.zeros_like(above)
    np.divide(above, below, out=found, where=below > 0)
    return found


def mean(values: np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN where there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else np.nan
