"""Figures of rows that come in groups, such as near-duplicates: a bootstrap draws groups as a whole."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from multimodal_tf.evaluation import bootstrap
from multimodal_tf.evaluation.metrics import Figure


def group_codes(groups: ArrayLike | None, rows: int) -> np.ndarray:
    """A number from 0 on for each group, int `(rows,)`. A row without one (None, NaN) is a group of its own; `groups` None: all are.

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


def weighted_figures(
    statistic: Callable[[np.ndarray], dict], codes: np.ndarray, resamples: int, seed: int, reason: str | None = None
) -> dict:
    """Figures of a statistic that takes weights of rows, with bootstrap intervals over groups.

    Args:
        statistic: takes float `(rows,)`, how often each row counts; returns figures by name, NaN where one is undefined, by `reason`.
        codes: int `(rows,)`, of `group_codes`.
        resamples: int. For the intervals; 0: no intervals.
        seed: int. The same seed gives the same intervals.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> weighted_figures(lambda weights: {"mean": np.average(values, weights=weights)}, np.arange(3), 0, 0)["mean"].value
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
