"""Metrics of rows that come in groups, such as near-duplicates.

A bootstrap draws whole groups. The exact interval of a share is that of the effective sample size.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from scipy import stats

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.known_rows import group_codes
from multimodal_tf.metrics.metric import Metric, estimate

__all__ = ["effective_sample_size", "group_codes", "share", "weighted_metrics"]

Name = TypeVar("Name")


def weighted_metrics(
    statistic: Callable[[np.ndarray], Mapping[Name, float]],
    codes: np.ndarray,
    resamples: int,
    seed: int,
    undefined: str = "not defined on these rows",
) -> dict[Name, Metric]:
    """Metrics of a statistic of weighted rows, with bootstrap intervals over groups.

    Args:
        statistic: takes float `(rows,)`, how often each row counts; returns values by name, NaN
            where one is not defined.
        codes: int `(rows,)`, of `group_codes`.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        undefined: the reason of a metric that is not defined.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> mean = lambda weights: {"mean": np.average(values, weights=weights)}
        >>> weighted_metrics(mean, np.arange(3), 0, 0)["mean"].value
        3.0
    """
    groups = int(codes.max()) + 1

    def drawn(index: np.ndarray) -> Mapping[Name, float]:
        return statistic(np.bincount(index, minlength=groups)[codes].astype(float))

    samples = bootstrap.resample(drawn, groups, resamples, seed)
    return {
        name: estimate(value, len(codes), samples.get(name), undefined)
        for name, value in statistic(np.ones(len(codes))).items()
    }


def effective_sample_size(hits: np.ndarray, codes: np.ndarray) -> float:
    """Effective sample size of a proportion over clustered rows, at most the number of rows.

    It is the number of rows over the design effect: the variance of the proportion between groups
    over that of independent rows. Where all rows are hits, or none is, nothing tells how alike the
    rows of a group are: each group then counts as one row.

    Args:
        hits: bool `(rows,)`, one row or more.
        codes: int `(rows,)`, as of `group_codes`: equal for rows of one group.

    Example:
        >>> hits, codes = np.array([1, 1, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
        >>> round(effective_sample_size(hits, codes), 3)
        2.4

    Source: Rao and Scott 1992, «A simple method for the analysis of clustered binary data»,
    Biometrics 48:577.
    """
    group = np.unique(codes, return_inverse=True)[1]
    sizes, right = np.bincount(group), np.bincount(group, hits)
    rows, groups, proportion = len(hits), len(sizes), float(np.mean(hits))
    if groups == rows:
        return float(rows)
    if proportion in (0, 1) or groups == 1:
        return float(groups)
    between = ((right - sizes * proportion) ** 2).sum() * groups / (groups - 1)
    independent = rows * proportion * (1 - proportion) * rows / (rows - 1)
    return float(np.clip(rows * independent / between, 1, rows)) if between else float(rows)


def share(hits: np.ndarray, codes: np.ndarray) -> Metric:
    """A proportion with its exact 95 % interval for the effective sample size.

    Args:
        hits, codes: as of `effective_sample_size`.

    Example:
        >>> print(share(np.array([True, True, False]), np.arange(3)))
        0.667 (0.094 .. 0.992), n = 3

    Source: Clopper and Pearson 1934, «The use of confidence or fiducial limits illustrated in the
    case of the binomial»; of groups: Korn and Graubard 1998, «Confidence intervals for proportions
    with small expected number of positive counts estimated from survey data».
    """
    value, rows = float(np.mean(hits)), effective_sample_size(hits, codes)
    right, tail = value * rows, (1 - bootstrap.LEVEL) / 2
    low = 0.0 if right == 0 else stats.beta.ppf(tail, right, rows - right + 1)
    high = 1.0 if right == rows else stats.beta.ppf(1 - tail, right + 1, rows - right)
    return Metric(value, len(hits), low=float(low), high=float(high))
