"""Percentile bootstrap over rows, for figures that are computed a thousand times.

A statistic is made once for the rows at hand (sorting, squaring) and then called with the row
numbers of each resample. It returns the figures by name; NaN where this resample leaves one
undefined.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from collections.abc import Callable, Mapping

import numpy as np

LEVEL = 0.95

Statistic = Callable[[np.ndarray], dict[str, float]]


def resample(
    statistic: Statistic, rows: int, times: int, seed: int, groups: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The statistic on `times` draws of `rows` rows with replacement, or of as many whole groups of
    rows as there are.

    Args:
        statistic: takes int `(rows,)`, returns figures by name.
        rows: int. With fewer than two there is nothing to draw.
        times: int. Number of draws.
        seed: int. Statistics that are drawn with the same seed see the same draws, so their figures
        are paired.
        groups: int `(rows,)`, as `groups.group_codes` gives: rows of one number are drawn together.
        None: each row alone.

    Returns:
        dict of name to float `(times,)`; empty where there are fewer than two rows or groups, or
        `times` is 0.

    Example:
        >>> values = np.array([1.0, 2.0, 4.0])
        >>> resample(lambda index: {"mean": values[index].mean()}, rows=3, times=2, seed=0)
        {'mean': array([2.66666667, 1.        ])}
    """
    units = rows if groups is None or not rows else int(groups.max()) + 1
    if units < 2:
        return {}
    random = np.random.default_rng(seed)
    rows_of = (lambda chosen: chosen) if groups is None else _members(groups)
    drawn = [statistic(rows_of(random.integers(units, size=units))) for _ in range(times)]
    return {
        name: np.array([figures[name] for figures in drawn]) for name in (drawn[0] if drawn else ())
    }


def _members(groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from numbers of groups to the rows of these groups, one after another."""
    order, counts = np.argsort(groups, kind="stable"), np.bincount(groups)
    starts = np.cumsum(counts) - counts

    def rows_of(chosen):
        sizes = counts[chosen]
        shifts = starts[chosen] - (np.cumsum(sizes) - sizes)
        return order[np.arange(sizes.sum()) + np.repeat(shifts, sizes)]

    return rows_of


def interval(samples: np.ndarray) -> tuple[float | None, float | None, int]:
    """The middle 95 % of the samples that are defined, and how many those are.

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
    """The mean of each array of `values`, one number a row."""
    return lambda index: {name: of_rows[index].mean() for name, of_rows in values.items()}


def class_counts(
    truth: np.ndarray, chosen: np.ndarray, classes: int, index: np.ndarray
) -> np.ndarray:
    """Rows per class: those rightly taken for it, those of it, those taken for it.

    Args:
        truth: int `(rows,)`.
        chosen: int `(rows,)`.
        classes: int.
        index: int, the rows to count, with repetition.

    Returns:
        float `(3, classes)`.
    """
    truth, chosen = truth[index], chosen[index]
    return np.stack(
        [np.bincount(of, minlength=classes) for of in (truth[truth == chosen], truth, chosen)]
    ).astype(float)


def label_counts(truth: np.ndarray, chosen: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The same as `class_counts` where `truth` and `chosen` are bool `(rows, labels)`."""
    truth, chosen = truth[index], chosen[index]
    return np.stack([of.sum(axis=0) for of in (truth & chosen, truth, chosen)]).astype(float)


def precision_recall_f1(
    hits: np.ndarray, actual: np.ndarray, said: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 from counts of any shape; 0 where they would be 0 / 0."""
    return ratio(hits, said), ratio(hits, actual), ratio(2 * hits, said + actual)


def averaged(hits: np.ndarray, actual: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Macro, micro and weighted averages of precision, recall and F1, from float `(classes,)`
    counts; NaN where no class counts.
    """
    taking_part = (actual > 0) | (said > 0)
    by_class = precision_recall_f1(hits, actual, said)
    pooled = precision_recall_f1(hits.sum(), actual.sum(), said.sum())
    figures = {}
    for name, values, micro in zip(("precision", "recall", "f1"), by_class, pooled):
        figures[f"{name}_macro"] = mean(values[taking_part])
        figures[f"{name}_micro"] = float(micro) if taking_part.any() else np.nan
        figures[f"{name}_weighted"] = (
            float(ratio(values @ actual, actual.sum())) if taking_part.any() else np.nan
        )
    return figures


def balanced_accuracy(counts: np.ndarray, rows: int) -> float:
    """Mean of recall and specificity, from `label_counts`, over the labels that have rows of both
    kinds; NaN where none has.
    """
    hits, actual, said = counts
    # rows rightly left without the label
    refused = rows - actual - said + hits
    of_label = (ratio(hits, actual) + ratio(refused, rows - actual)) / 2
    return mean(of_label[(actual > 0) & (actual < rows)])


def auroc(positive: np.ndarray, scores: np.ndarray) -> Statistic:
    """Area under the ROC curve, mean over the columns that have rows of both kinds: the share of
    pairs in the right order.

    Args:
        positive: bool `(rows, columns)`.
        scores: float `(rows, columns)`.

    Source: Hanley and McNeil 1982, Radiology 143:29 (equal to the Mann-Whitney statistic; a tie is
    half a pair).
    """
    # A score's place among the distinct ones is found once; a resample then only counts, and never
    # sorts.
    columns = [
        (np.unique(scores[:, c], return_inverse=True)[1], positive[:, c])
        for c in np.flatnonzero(positive.any(axis=0))
    ]

    def statistic(index):
        return {
            "auroc": mean(
                np.array([_pairs_in_order(place[index], kind[index]) for place, kind in columns])
            )
        }

    return statistic


def _pairs_in_order(place, positive):
    size = int(place.max()) + 1
    above = np.bincount(place[positive], minlength=size)
    below = np.bincount(place[~positive], minlength=size)
    pairs = above.sum() * below.sum()
    return above @ (np.cumsum(below) - below / 2) / pairs if pairs else np.nan


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, and 0 where `whole` is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def mean(values: np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN where there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else np.nan
