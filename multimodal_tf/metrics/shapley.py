"""Modality contributions: the value of every subset of inputs, and Shapley values from these.

A value is a number per row (a hit, a negative loss) that the model reaches with some inputs present
and the others missing. Shapley values are sums of such values with fixed weights. They exist row by
row, so a bootstrap resamples nothing but the means of the subsets.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from scipy import special

from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.metric import Metric

# up to this number of inputs all subsets are evaluated: 63
EXACT = 6
# a gain below this is none
ROUNDING = 1e-9
NO_GAIN = "the inputs together are no better than none"


@dataclasses.dataclass(frozen=True, eq=False)
class Coalitions:
    """The subsets of inputs to evaluate, made by `coalitions`, without the empty one.

    Args:
        names: names of the inputs.
        present: bool `(subsets, inputs)`, small subsets first, the last with all inputs.
        weights: float `(1 + subsets, inputs)`. Turns values, that of the empty set first, into
            Shapley values.
        by_order: float `(permutations, 1 + subsets, inputs)`. The same for each drawn order; None
            where nothing is drawn.
    """

    names: tuple[str, ...]
    present: np.ndarray
    weights: np.ndarray
    by_order: np.ndarray | None


class SubsetMetric(pydantic.BaseModel):
    """The mean value with some inputs present."""

    inputs: list[str]
    metric: Metric


class Contributions(pydantic.BaseModel):
    """What each input contributes, on `n` rows of `groups` groups.

    `none` and `all`: the mean value without and with all inputs. `shapley`: what an input adds, in
    the mean over all orders of the inputs; they add up to `all` - `none`. `share`: the same as a
    part of that difference, no unit; below 0 where the input harms. `drop`: the loss when this
    input alone is left out. `sampling_error`: the standard error that drawing orders adds to
    `shapley`; empty where all orders count. Intervals are over rows or groups, not drawn orders.
    `classes`: the same on the rows of each class; of a model report in log probabilities of the
    class, nats, instead of hits.
    """

    n: int
    groups: int
    none: Metric
    all: Metric
    subsets: list[SubsetMetric]
    shapley: dict[str, Metric]
    share: dict[str, Metric]
    drop: dict[str, Metric]
    sampling_error: dict[str, float] = {}
    classes: dict[str, "Contributions"] = {}


def coalitions(names: Sequence[str], permutations: int = 16, seed: int = 0) -> Coalitions:
    """The subsets of inputs whose values give Shapley values: all subsets of up to 6 inputs.

    For more inputs, `permutations` random orders are drawn. The subsets are those that arise as the
    inputs come in these orders, besides each input alone and each left out. The Shapley values are
    then unbiased estimates.

    Args:
        names: names of the inputs.
        permutations: int, at least 2. Orders to draw, above 6 inputs.
        seed: int, of the draw.

    Raises:
        ValueError: there is no name, one comes twice, or `permutations` is below 2.

    Example:
        >>> coalitions(["photo", "title"]).present
        array([[ True, False],
               [False,  True],
               [ True,  True]])

    Source: Shapley 1953, «A value for n-person games»; drawn orders: Castro, Gómez and Tejada 2009,
    «Polynomial calculation of the Shapley value based on sampling».
    """
    names = tuple(names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"inputs must be one or more different names, received {list(names)}")
    if permutations < 2:
        raise ValueError(f"permutations must be at least 2, received {permutations}")
    if len(names) <= EXACT:
        flags = itertools.product((False, True), repeat=len(names))
        ordered = sorted(flags, key=lambda row: (sum(row), [not flag for flag in row]))
        present = np.array(ordered)
        return Coalitions(names, present[1:], _exact_weights(present), None)
    return _drawn(names, permutations, seed)


def shapley(of: Coalitions, values: ArrayLike, empty: ArrayLike) -> np.ndarray:
    """Shapley values of the inputs.

    Args:
        of: `Coalitions`.
        values: float `(subsets,)` or `(rows, subsets)`, the value of each subset of `of.present`,
            of a model or row by row.
        empty: float, or `(rows,)`: the value without any input.

    Returns:
        float `(inputs,)` or `(rows, inputs)`, in the values' unit.

    Raises:
        ValueError: the shapes disagree, or a value is NaN.

    Example:
        >>> shapley(coalitions(["photo", "title"]), [0.5, 0.8, 0.9], empty=0.3)
        array([0.15, 0.45])

    Source: Shapley 1953, «A value for n-person games».
    """
    return np.asarray(_with_empty(of, values, empty) @ of.weights)


def contributions(
    of: Coalitions,
    values: ArrayLike,
    empty: ArrayLike,
    labels: ArrayLike | None = None,
    classes: Sequence[str] = (),
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Contributions:
    """What each input contributes, with bootstrap intervals over rows or groups of rows.

    Args:
        of: `Coalitions`.
        values: float `(rows, subsets)`, of the rows that have a label: a hit (0 or 1), or another
            score whose mean rates the model, with the subsets of `of.present`.
        empty: float, or `(rows,)`: the same without any input, where the model predicts the class
            priors. Metrics by class need it row by row.
        labels: int `(rows,)`, index in `classes`. None: no metrics by class.
        classes: names of the classes.
        groups: `(rows,)` of any type: rows of one group are drawn together; a row without a group
            (None, NaN) is one of its own.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int. The same seed gives the same intervals.

    Returns:
        `Contributions`; `share` is None where all inputs are no better than none.

    Raises:
        ValueError: there is one row only, the shapes disagree, a value is NaN, or a label is
            outside `classes`.

    Example:
        >>> found = contributions(coalitions(["a", "b"]), [[0, 1, 1], [0, 1, 1]], [0, 0])
        >>> found.shapley["b"].value, found.share["b"].value, found.drop["a"].value
        (1.0, 1.0, 0.0)

    Source: Shapley 1953; groups drawn as a whole: Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 3.8.
    """
    table = _with_empty(of, values, empty)
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(
            "values must be of 2 or more rows, with the shape (rows, subsets), "
            f"received the shape {np.shape(values)}"
        )
    codes = group_codes(groups, len(table))
    found = _contributions(of, table, codes, resamples, seed)
    if labels is None:
        return found
    label = np.asarray(labels)
    if label.shape != (len(table),) or not np.isin(label, np.arange(len(classes))).all():
        raise ValueError(
            f"labels must be {len(table)} indices from 0 to {len(classes) - 1}, received {label!r}"
        )
    for number in np.unique(label).astype(int):
        rows = label == number
        own = group_codes(codes[rows], int(rows.sum()))
        found.classes[classes[number]] = _contributions(of, table[rows], own, resamples, seed)
    return found


def _exact_weights(present: np.ndarray) -> np.ndarray:
    """The weight of each subset's value: positive for subsets with the input, negative without."""
    # inputs that came before this one
    before = present.sum(axis=1, keepdims=True) - present
    chance = 1 / (present.shape[1] * special.comb(present.shape[1] - 1, before))
    return np.asarray(np.where(present, chance, -chance))


def _drawn(names: tuple[str, ...], permutations: int, seed: int) -> Coalitions:
    size, random = len(names), np.random.default_rng(seed)
    orders = np.stack([random.permutation(size) for _ in range(permutations)])
    every = frozenset(range(size))
    wanted = {frozenset([i]) for i in every} | {every - {i} for i in every} | {every}
    wanted |= {frozenset(order[:length].tolist()) for order in orders for length in range(size)}
    subsets = sorted(wanted, key=lambda of: (len(of), sorted(of)))
    steps = _steps(subsets, orders)
    present = np.array([[i in of for i in range(size)] for of in subsets[1:]])
    return Coalitions(names, present, steps.mean(axis=0), steps)


def _steps(subsets: list[frozenset[int]], orders: np.ndarray) -> np.ndarray:
    """float `(permutations, subsets, inputs)`, by drawn order.

    1 where the input completes the subset in this order, -1 at the subset before.
    """
    number = {of: row for row, of in enumerate(subsets)}
    steps = np.zeros((len(orders), len(subsets), orders.shape[1]))
    for permutation, order in enumerate(orders.tolist()):
        for index, i in enumerate(order):
            steps[permutation, number[frozenset(order[: index + 1])], i] = 1
            steps[permutation, number[frozenset(order[:index])], i] = -1
    return steps


def _with_empty(of: Coalitions, values: ArrayLike, empty: ArrayLike) -> np.ndarray:
    """The values with that of the empty set in front, after checks."""
    given, base = np.asarray(values, dtype=float), np.asarray(empty, dtype=float)
    if given.ndim not in (1, 2) or given.shape[-1] != len(of.present):
        raise ValueError(
            f"values must have a column for each of the {len(of.present)} subsets, "
            f"received the shape {given.shape}"
        )
    if base.shape not in ((), given.shape[:-1]):
        raise ValueError(
            f"the value of the empty set must be a number or have the shape {given.shape[:-1]}, "
            f"received {base.shape}"
        )
    table = np.concatenate([np.broadcast_to(base, given.shape[:-1])[..., None], given], axis=-1)
    wrong = ~np.isfinite(table)
    if wrong.any():
        raise ValueError(
            "values must be finite numbers, received NaN or infinity "
            f"in {wrong.sum()} of {table.size}"
        )
    return table


def _drop_weights(of: Coalitions) -> np.ndarray:
    """As `Coalitions.weights`, for the loss when one input alone is left out."""
    size = len(of.names)
    rows = [[False] * size, *of.present.tolist()]
    index = {tuple(row): number for number, row in enumerate(rows)}
    weights = np.zeros_like(of.weights)
    weights[-1] = 1
    for i in range(size):
        weights[index[tuple(j != i for j in range(size))], i] = -1
    return weights


def _contributions(
    of: Coalitions, table: np.ndarray, codes: np.ndarray, resamples: int, seed: int
) -> Contributions:
    drop_weights, size = _drop_weights(of), len(of.names)

    def statistic(weights: np.ndarray) -> dict[int, float]:
        means = weights @ table / weights.sum()
        values, gain = means @ of.weights, means[-1] - means[0]
        shares = values / gain if gain > ROUNDING else np.full(size, np.nan)
        return dict(enumerate(np.concatenate([values, shares, means @ drop_weights, means])))

    metrics = list(weighted_metrics(statistic, codes, resamples, seed, NO_GAIN).values())
    values, shares, drops = (dict(zip(of.names, metrics[start:])) for start in (0, size, 2 * size))
    none, *subsets = metrics[3 * size :]
    inputs = [list(itertools.compress(of.names, row)) for row in of.present]
    return Contributions(
        n=len(table),
        groups=int(codes.max()) + 1,
        none=none,
        all=subsets[-1],
        subsets=[SubsetMetric(inputs=of, metric=metric) for of, metric in zip(inputs, subsets)],
        shapley=values,
        share=shares,
        drop=drops,
        sampling_error=_sampling_error(of, table),
    )


def _sampling_error(of: Coalitions, table: np.ndarray) -> dict[str, float]:
    if of.by_order is None:
        return {}
    of_order = np.einsum("s,psi->pi", table.mean(axis=0), of.by_order)
    errors = of_order.std(axis=0, ddof=1) / math.sqrt(len(of_order))
    return dict(zip(of.names, errors.tolist()))
