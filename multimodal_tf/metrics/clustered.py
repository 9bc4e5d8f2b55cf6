"""Figures of rows that come in groups, such as near-duplicates: a bootstrap draws groups as a
whole, and a share's exact interval is that of as many rows as the groups are worth."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.supervised import Figure


def group_codes(groups: ArrayLike | None, rows: int) -> np.ndarray:
    """A number from 0 on for each group, int `(rows,)`. A row without one (None, NaN) is a group of
    its own; `groups` None: all are.

    Raises:
        ValueError: `groups` has another shape than `(rows,)`.

    Example:
        >>> group_codes(["a", None, "a", None], 4)
        array([0, 1, 0, 2])
    """
    if groups is None:
        return np.arange(rows)
    given = np.asarray(groups)
    if given.shape != (rows,):
        raise ValueError(f"groups must have the shape {(rows,)}, received {given.shape}")
    codes = pd.factorize(given)[0].astype(int)
    return pd.factorize(np.where(codes < 0, rows + np.arange(rows), codes))[0]


def weighted_metrics(
    statistic: Callable[[np.ndarray], dict],
    codes: np.ndarray,
    resamples: int,
    seed: int,
    reason: str | None = None,
) -> dict:
    """Figures of a statistic that takes weights of rows, with bootstrap intervals over groups.

    Args:
        statistic: takes float `(rows,)`, how often each row counts; returns figures by name, NaN
            where one is undefined, by `reason`.
        codes: int `(rows,)`, of `group_codes`.
        resamples: int. For the intervals; 0: no intervals.
        seed: int. The same seed gives the same intervals.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> weighted_metrics(lambda weights: {"mean": np.average(values, weights=weights)}, np.arange(3), 0, 0)["mean"].value
        3.0
    """
    groups = int(codes.max()) + 1

    def drawn(index):
        return statistic(np.bincount(index, minlength=groups)[codes].astype(float))

    samples = bootstrap.resample(drawn, groups, resamples, seed)
    figures = {}
    for name, value in statistic(np.ones(len(codes))).items():
        low, high, used = bootstrap.interval(samples[name]) if name in samples else (None, None, 0)
        defined = Figure(value=float(value), low=low, high=high, resamples=used)
        figures[name] = Figure(value=None, reason=reason) if np.isnan(value) else defined
    return figures


def effective_sample_size(hits: np.ndarray, codes: np.ndarray) -> float:
    """So many independent rows tell as much of the share of hits as these: their number over the
    design effect, at most their number.

    The design effect is the variance of the share between groups over that of independent rows.
    Where all rows are hits, or none is,
    nothing tells how alike the rows of a group are: they then count as one.

    Args:
        hits: bool `(rows,)`, one row or more.
        codes: int `(rows,)`, as of `group_codes`: equal for rows of one group.

    Example:
        >>> round(effective_sample_size(np.array([1, 1, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])), 3)  # two of a kind
        2.4

    Source: Rao and Scott 1992, «A simple method for the analysis of clustered binary data»,
    Biometrics 48:577.
    """
    place = np.unique(codes, return_inverse=True)[1]
    sizes, right = np.bincount(place), np.bincount(place, hits)
    rows, groups, share = len(hits), len(sizes), float(np.mean(hits))
    if groups == rows:
        return float(rows)
    if share in (0, 1) or groups == 1:
        return float(groups)
    between = ((right - sizes * share) ** 2).sum() * groups / (groups - 1)
    alone = rows * share * (1 - share) * rows / (rows - 1)
    return float(np.clip(rows * alone / between, 1, rows)) if between else float(rows)


def share(hits: np.ndarray, codes: np.ndarray) -> Figure:
    """The share of hits with its 95 % interval: Clopper and Pearson's, for as many rows as
    `effective_sample_size` says.

    Args:
        hits, codes: as of `effective_sample_size`.

    Example:
        >>> found = share(np.array([True, True, False]), np.arange(3))
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (0.667, 0.094, 0.992)

    Source: Clopper and Pearson 1934, «The use of confidence or fiducial limits illustrated in the
    case of the binomial»; of groups: Korn and Graubard 1998, «Confidence intervals for proportions
    with small expected number of positive counts estimated from survey data».
    """
    value, rows = float(np.mean(hits)), effective_sample_size(hits, codes)
    right, tail = value * rows, (1 - bootstrap.LEVEL) / 2
    low = 0.0 if right == 0 else stats.beta.ppf(tail, right, rows - right + 1)
    high = 1.0 if right == rows else stats.beta.ppf(1 - tail, right + 1, rows - right)
    return Figure(value=value, low=float(low), high=float(high))
