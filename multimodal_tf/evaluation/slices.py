"""Errors of a model: the classes it confuses, the worst rows, and the slices with lower accuracy.

All functions take the rows that have a label, and no others. Intervals of shares are Clopper and
Pearson's, comparisons are Fisher's: both are exact for few rows, where a bootstrap of a slice
without errors would have no width. Clustered rows count by `clustered.effective_sample_size`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pydantic
from numpy.typing import ArrayLike
from scipy import stats

from multimodal_tf.metrics.clustered import effective_sample_size, group_codes, share
from multimodal_tf.metrics.metric import Metric

# a numeric column with at most this many different values is sliced by value
FEW_NUMBERS = 10


class Confusion(pydantic.BaseModel):
    """`n` rows of class `truth` were predicted as `predicted`: `share` of the class's rows."""

    truth: str
    predicted: str
    n: int
    share: Metric


class Slice(pydantic.BaseModel):
    """The `n` rows whose `column` has `value`, a word or a range of numbers; None: an empty cell.

    `accuracy` is that of these rows, `difference` is it less that of all other rows. `p` is
    Fisher's, two-sided: the chance of hits as unevenly spread where there is no difference.
    `adjusted_p` is Benjamini and Hochberg's: if slices with at most 0.05 are called different, 5 %
    of these calls are false in the mean.
    """

    column: str
    value: str | None
    n: int
    accuracy: Metric
    difference: float
    p: float
    adjusted_p: float


class Slices(pydantic.BaseModel):
    """Slices, the most significant difference first.

    `small` counts the slices of each column that have too few rows to be listed; `whole` names the
    columns that have one value only.
    """

    n: int
    slices: list[Slice]
    small: dict[str, int]
    whole: list[str]


def confusions(
    labels: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str],
    top: int = 10,
    groups: ArrayLike | None = None,
) -> list[Confusion]:
    """The most frequent confusions, of equally frequent ones that with the larger share first.

    Args:
        labels: int `(rows,)`, index of the right class.
        predicted: int `(rows,)`, index of the predicted class.
        classes: names of the classes.
        top: int, the number of confusions at most.
        groups: as in `slices`.

    Raises:
        ValueError: the shapes disagree, a number is no class, or `top` is below 1.

    Example:
        >>> [found] = confusions([0] * 10 + [1] * 5, [0] * 8 + [1] * 7, ["cat", "dog"])
        >>> found.truth, found.predicted, found.n, found.share.value
        ('cat', 'dog', 2, 0.2)

    Source: that of `clustered.share`.
    """
    truth, chosen = np.asarray(labels), np.asarray(predicted)
    _check_classes(truth, chosen, len(classes))
    _check_top(top)
    codes = group_codes(groups, len(truth))
    wrong = truth != chosen
    pairs, counts = np.unique(np.stack([truth[wrong], chosen[wrong]]), axis=1, return_counts=True)
    totals = np.bincount(truth, minlength=len(classes))
    found = sorted(
        zip(counts.tolist(), pairs.T.tolist()), key=lambda of: (-of[0], totals[of[1][0]], of[1])
    )
    return [
        Confusion(
            truth=classes[i],
            predicted=classes[j],
            n=n,
            share=share(chosen[truth == i] == j, codes[truth == i]),
        )
        for n, (i, j) in found[:top]
    ]


def worst_rows(losses: ArrayLike, top: int = 10) -> np.ndarray:
    """The rows with the highest loss, the highest first, of equal ones the first.

    Args:
        losses: float `(rows,)`, such as `calibration.log_losses`.
        top: int, the number of rows at most.

    Returns:
        int `(top,)`, or fewer where there are fewer rows.

    Raises:
        ValueError: there is no row, the shape differs, a loss is NaN, or `top` is below 1.

    Example:
        >>> worst_rows([0.1, 2.0, 0.3, 2.0], top=3)
        array([1, 3, 2])
    """
    array = np.asarray(losses, dtype=float)
    if array.ndim != 1 or not len(array) or np.isnan(array).any():
        raise ValueError(
            "losses must be numbers of one or more rows, "
            f"received {np.isnan(array).sum()} NaN in the shape {array.shape}"
        )
    _check_top(top)
    return np.argsort(-array, kind="stable")[:top]


def slices(
    columns: Mapping[str, ArrayLike],
    hits: ArrayLike,
    bins: int = 4,
    least: int = 10,
    groups: ArrayLike | None = None,
) -> Slices:
    """The accuracy of each slice of each column against that of all other rows.

    p-values are corrected for the number of slices of all columns. Numbers and dates of more than
    10 different values are cut at their quantiles into slices of about equally many rows; other
    columns are sliced by value. An empty cell (None, NaN) is a value, too.

    Args:
        columns: of the table, by name, each `(rows,)`.
        hits: bool `(rows,)`, whether the row is right.
        bins: int, at least 2, slices of a column of numbers.
        least: int, at least 1, the rows that a slice must have.
        groups: `(rows,)`, rows of one value depend on each other, as near-duplicates do; None,
            also in a row: independent rows.

    Raises:
        ValueError: there are fewer than 2 rows, no column, a column of another length, or hits
            other than 0 and 1.

    Example:
        >>> light, hits = ["day"] * 20 + ["night"] * 20, [1] * 20 + [1, 0] * 10
        >>> for each in slices({"light": light}, hits).slices:
        ...     each.value, each.n, each.accuracy.value, each.difference, round(each.adjusted_p, 4)
        ('night', 20, 0.5, -0.5, 0.0004)
        ('day', 20, 1.0, 0.5, 0.0004)

    Source: Fisher 1922, «On the interpretation of chi-squared from contingency tables»; Benjamini
    and Hochberg 1995, «Controlling the false discovery rate».
    """
    right = _checked_hits(hits)
    if not columns or bins < 2 or least < 1:
        raise ValueError(
            "slices need a column, 2 bins and 1 row at least, "
            f"received {len(columns)}, {bins} and {least}"
        )
    codes = group_codes(groups, len(right))
    found: list[Slice] = []
    small: dict[str, int] = {}
    whole: list[str] = []
    for name, cells in columns.items():
        index, values = _cut(name, cells, len(right), bins)
        rows = np.bincount(index, minlength=len(values))
        if len(values) < 2:
            whole.append(name)
            continue
        small[name] = int((rows < least).sum())
        found += [
            _slice(name, value, index == number, right, codes)
            for number, value in enumerate(values)
            if rows[number] >= least
        ]
    return Slices(n=len(right), slices=_adjusted(found), small=small, whole=whole)


def _checked_hits(hits: ArrayLike) -> np.ndarray:
    right = np.asarray(hits, dtype=float)
    if right.ndim != 1 or len(right) < 2 or not np.isin(right, (0, 1)).all():
        raise ValueError(
            "hits must be 0 or 1 in 2 or more rows, "
            f"received {np.unique(right)[:5].tolist()} in the shape {right.shape}"
        )
    return right


def _adjusted(found: list[Slice]) -> list[Slice]:
    if found:
        for of, adjusted in zip(found, stats.false_discovery_control([of.p for of in found])):
            of.adjusted_p = float(adjusted)
    return sorted(found, key=lambda of: (of.adjusted_p, of.p, of.difference))


def _check_classes(truth: np.ndarray, chosen: np.ndarray, classes: int) -> None:
    if (
        truth.ndim != 1
        or truth.shape != chosen.shape
        or not np.isin([truth, chosen], np.arange(classes)).all()
    ):
        numbers = sorted(set(np.ravel(truth).tolist() + np.ravel(chosen).tolist()))[:20]
        raise ValueError(
            f"labels and predicted must be indices below {classes} of as many rows, "
            f"received the shapes {truth.shape} and {chosen.shape} with {numbers}"
        )


def _check_top(top: int) -> None:
    if top < 1:
        raise ValueError(f"top must be at least 1, received {top}")


def _cut(name: str, cells: ArrayLike, rows: int, bins: int) -> tuple[np.ndarray, list[str | None]]:
    """The index of each row's slice, int `(rows,)`, and the slices' names."""
    column = pd.Series(cells).reset_index(drop=True)
    if len(column) != rows:
        raise ValueError(
            f"column {name!r} must have a cell for each of the {rows} rows, received {len(column)}"
        )
    kind = column.dtype
    numeric = (
        pd.api.types.is_datetime64_any_dtype(kind)
        or pd.api.types.is_numeric_dtype(kind)
        and not pd.api.types.is_bool_dtype(kind)
    )
    if numeric and column.nunique() > FEW_NUMBERS:
        column = pd.qcut(column, bins, duplicates="drop")
    index, values = pd.factorize(column, use_na_sentinel=False)
    return index, [None if pd.isna(value) else str(value) for value in values]


def _slice(
    name: str, value: str | None, inside: np.ndarray, right: np.ndarray, codes: np.ndarray
) -> Slice:
    table = [_counts(right[rows], codes[rows]) for rows in (inside, ~inside)]
    p = float(stats.fisher_exact(table).pvalue)
    return Slice(
        column=name,
        value=value,
        n=int(inside.sum()),
        accuracy=share(right[inside], codes[inside]),
        difference=float(right[inside].mean() - right[~inside].mean()),
        p=p,
        adjusted_p=p,
    )


def _counts(right: np.ndarray, codes: np.ndarray) -> tuple[int, int]:
    """Hits and misses of the effective sample size, rounded down."""
    rows = int(effective_sample_size(right, codes) + 1e-9)
    hits = round(right.mean() * rows)
    return hits, rows - hits
