"""Checks of labels and predictions, and the choice of the rows that count, and their groups."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def known_rows(
    labels: ArrayLike,
    label_shape: tuple[int, ...],
    predictions: ArrayLike,
    prediction_shape: tuple[int, ...],
    known: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The labels and predictions of the rows whose label is known, float64.

    Args:
        labels: `(rows, *label_shape)`.
        label_shape: the shape of one label.
        predictions: float `(rows, *prediction_shape)`.
        prediction_shape: the shape of one prediction.
        known: `(rows,)`, 0 where the label is unknown. None: all are known.

    Raises:
        ValueError: the shapes disagree, a shape holds 0, or a number is NaN or infinite.
    """
    targets, outputs = np.asarray(labels), np.asarray(predictions, dtype=float)
    rows = len(targets)
    chosen = np.ones(rows, dtype=bool) if known is None else np.asarray(known) > 0
    for name, array, shape in (
        ("labels", targets, label_shape),
        ("predictions", outputs, prediction_shape),
        ("known", chosen, ()),
    ):
        if array.shape != (rows, *shape):
            raise ValueError(f"{name} must have the shape {(rows, *shape)}, received {array.shape}")
    if 0 in prediction_shape:
        raise ValueError("a head needs at least one class, received none")
    targets, outputs = targets[chosen].astype(float), outputs[chosen]
    for name, array in (("labels", targets), ("predictions", outputs)):
        wrong = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        if wrong.any():
            raise ValueError(
                f"{name} must be finite numbers, received NaN or infinity "
                f"in {wrong.sum()} of {len(array)} rows"
            )
    return targets, outputs


def known_groups(groups: ArrayLike | None, known: ArrayLike | None, rows: int) -> np.ndarray | None:
    """The groups of the known rows as numbers from 0 on, int `(known rows,)`; None without groups.

    Args:
        groups: `(rows,)` of any type: rows of one value depend on each other. A row without one
            (None, NaN) is a group of its own. None: all rows are.
        known: `(rows,)`, 0 where the label is unknown. None: all are known.
        rows: int.

    Raises:
        ValueError: `groups` has another shape than `(rows,)`.
    """
    if groups is None:
        return None
    given = np.asarray(groups)
    if given.shape != (rows,):
        raise ValueError(f"groups must have the shape {(rows,)}, received {given.shape}")
    chosen = given if known is None else given[np.asarray(known) > 0]
    return group_codes(chosen, len(chosen))


def group_codes(groups: ArrayLike | None, rows: int) -> np.ndarray:
    """A number from 0 on for each group, int `(rows,)`.

    Args:
        groups: `(rows,)` of any type. A row without one (None, NaN) is a group of its own. None:
            all rows are.
        rows: int.

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


def column(values: ArrayLike) -> np.ndarray:
    """float `(rows,)`, of `(rows,)` or `(rows, 1)`; another shape stays."""
    array = np.asarray(values, dtype=float)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
