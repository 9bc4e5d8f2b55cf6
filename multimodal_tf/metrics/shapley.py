"""What each input gives to a model: the value of every subset of inputs, and Shapley values from
these.

A value is a number a row (a hit, a negative loss) that the model reaches with some inputs present
and the others absent. Shapley values are
sums of such values with fixed weights: they exist row by row, and a bootstrap resamples nothing but
the means of the subsets.
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
from multimodal_tf.metrics.supervised import Figure

# inputs up to which all subsets are taken: 63
EXACT = 6
# a gain below this is none
ROUNDING = 1e-9
NO_GAIN = "the inputs together are no better than none"


@dataclasses.dataclass(frozen=True, eq=False)
class Coalitions:
    """The subsets of inputs that are to be evaluated, by `coalitions`, without the empty one.

    `present` is bool `(subsets, inputs)`, small subsets first, the last with all. `weights`, float
    `(1 + subsets, inputs)`, turns values, that of the empty set first, into Shapley values;
    `by_order`, `(permutations, 1 + subsets, inputs)`, does so for each drawn order: None where
    nothing is drawn.
    """

    names: tuple[str, ...]
    present: np.ndarray
    weights: np.ndarray
    by_order: np.ndarray | None


class SubsetFigure(pydantic.BaseModel):
    inputs: list[str]
    figure: Figure


class Shares(pydantic.BaseModel):
    """What each input gives, on `n` rows of `groups` groups.

    `nothing` and `everything`: the mean value without and with all inputs. `shapley`: what an input
    adds, in the mean over all orders in which the inputs could come; these add up to the difference
    of the two. `share`: the same as a part of that difference, without unit; below 0 where the
    input harms. `drop`: what is lost when this one alone is left out. `sampling_error`: the
    standard error that drawing orders, instead of taking all, adds to `shapley`; empty where all
    were taken. Intervals are of rows or groups, not of drawn orders.
    """

    n: int
    groups: int
    nothing: Figure
    everything: Figure
    subsets: list[SubsetFigure]
    shapley: dict[str, Figure]
    share: dict[str, Figure]
    drop: dict[str, Figure]
    sampling_error: dict[str, float] = {}
    classes: dict[str, "Shares"] = {}


def coalitions(names: Sequence[str], permutations: int = 16, seed: int = 0) -> Coalitions:
    """The subsets of inputs whose values give Shapley values: up to 6 inputs all.

    Of more, `permutations` random orders are drawn, and the subsets are those that arise as the
    inputs come in these orders, besides each
    input alone and each left out: the Shapley values are then unbiased estimates.

    Args:
        names: of the inputs.
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
    size = len(names)
    if size <= EXACT:
        present = np.array(
            sorted(
                itertools.product((False, True), repeat=size),
                key=lambda row: (sum(row), [not there for there in row]),
            )
        )
        return Coalitions(names, present[1:], _exact_weights(present), None)
    random = np.random.default_rng(seed)
    orders = np.stack([random.permutation(size) for _ in range(permutations)])
    every = frozenset(range(size))
    wanted = {frozenset([i]) for i in every} | {every - {i} for i in every} | {every}
    wanted |= {frozenset(order[:length].tolist()) for order in orders for length in range(size)}
    subsets = sorted(wanted, key=lambda of: (len(of), sorted(of)))
    steps = _steps(subsets, orders)
    return Coalitions(
        names,
        np.array([[i in of for i in range(size)] for of in subsets[1:]]),
        steps.mean(axis=0),
        steps,
    )


def shapley(of: Coalitions, values: ArrayLike, empty: ArrayLike) -> np.ndarray:
    """Shapley values of the inputs.

    Args:
        of: `Coalitions`.
        values: float `(subsets,)` or `(rows, subsets)`, the value of each subset of `of.present`,
        of a model or row by row.
        empty: float, or `(rows,)`: the value where nothing is present.

    Returns:
        float `(inputs,)` or `(rows, inputs)`, in the values' unit; ValueError where the shapes
        disagree or a value is NaN.

    Example:
        >>> shapley(coalitions(["photo", "title"]), [0.5, 0.8, 0.9], empty=0.3)  # the second alone is right more often
        array([0.15, 0.45])

    Source: Shapley 1953, «A value for n-person games».
    """
    return _with_empty(of, values, empty) @ of.weights


def shares(
    of: Coalitions,
    values: ArrayLike,
    empty: ArrayLike,
    labels: ArrayLike | None = None,
    classes: Sequence[str] = (),
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Shares:
    """What each input gives to a model, with bootstrap intervals over rows, or over groups of rows.

    Args:
        of: `Coalitions`.
        values: float `(rows, subsets)`, of the rows that have a label: a hit (0 or 1), or another
            number of which the mean tells how good the model is, with the subsets of `of.present`.
        empty: float, or `(rows,)`: the same where nothing is present, as a model answers that knows
            the training split's shares of classes only. The figures by class need it row by row.
        labels: int `(rows,)`, index in `classes`. None: no figures by class.
        classes: the classes' names.
        groups: `(rows,)` of any type: rows of one group are drawn together; a row without a group
        (None, NaN) is one of its own.
        resamples: int. For the intervals; 0: no intervals.
        seed: int. The same seed gives the same intervals.

    Returns:
        `Shares`; `share` is None where all inputs are no better than none. ValueError where there
        is one row only, the shapes disagree, a value is NaN, or a label is outside `classes`.

    Example:
        >>> found = shares(coalitions(["photo", "title"]), [[0, 1, 1], [0, 1, 1]], empty=[0, 0], resamples=0)
        >>> found.shapley["title"].value, found.share["title"].value, found.drop["photo"].value
        (1.0, 1.0, 0.0)

    Source: Shapley 1953; groups drawn as a whole: Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 3.8.
    """
    table = _with_empty(of, values, empty)
    if table.ndim != 2 or len(table) < 2:
        raise ValueError(
            f"values must be of 2 or more rows, with the shape (rows, subsets), received the shape {np.shape(values)}"
        )
    codes = group_codes(groups, len(table))
    found = _shares(of, table, codes, resamples, seed)
    if labels is None:
        return found
    label = np.asarray(labels)
    if label.shape != (len(table),) or not np.isin(label, np.arange(len(classes))).all():
        raise ValueError(
            f"labels must be {len(table)} indices from 0 to {len(classes) - 1}, received {label!r}"
        )
    for number in np.unique(label).astype(int):
        rows = label == number
        found.classes[classes[number]] = _shares(
            of, table[rows], group_codes(codes[rows], int(rows.sum())), resamples, seed
        )
    return found


def _exact_weights(present):
    """The weight of each subset's value in each input's Shapley value: of one that holds the input
    above 0, of another below.
    """
    # inputs that came before this one
    before = present.sum(axis=1, keepdims=True) - present
    chance = 1 / (present.shape[1] * special.comb(present.shape[1] - 1, before))
    return np.where(present, chance, -chance)


def _steps(subsets, orders):
    """float `(permutations, subsets, inputs)`: 1 where the input completes the subset in this
    order, -1 at the subset before.
    """
    number = {of: row for row, of in enumerate(subsets)}
    steps = np.zeros((len(orders), len(subsets), orders.shape[1]))
    for permutation, order in enumerate(orders.tolist()):
        for place, i in enumerate(order):
            steps[permutation, number[frozenset(order[: place + 1])], i] = 1
            steps[permutation, number[frozenset(order[:place])], i] = -1
    return steps


def _with_empty(of, values, empty):
    """The values with that of the empty set in front, after checking that they fit."""
    values, empty = np.asarray(values, dtype=float), np.asarray(empty, dtype=float)
    if values.ndim not in (1, 2) or values.shape[-1] != len(of.present):
        raise ValueError(
            f"values must have a column for each of the {len(of.present)} subsets, received the shape {values.shape}"
        )
    if empty.shape not in ((), values.shape[:-1]):
        raise ValueError(
            f"the value of the empty set must be a number or have the shape {values.shape[:-1]}, received {empty.shape}"
        )
    table = np.concatenate([np.broadcast_to(empty, values.shape[:-1])[..., None], values], axis=-1)
    if not np.isfinite(table).all():
        raise ValueError(
            f"values must be finite numbers, received NaN or infinity in {(~np.isfinite(table)).sum()} of {table.size}"
        )
    return table


def _drop_weights(of):
    """As `Coalitions.weights`, for what is lost when one input alone is left out."""
    size = len(of.names)
    place = {
        tuple(row): number for number, row in enumerate([[False] * size, *of.present.tolist()])
    }
    weights = np.zeros_like(of.weights)
    weights[-1] = 1
    for i in range(size):
        weights[place[tuple(j != i for j in range(size))], i] = -1
    return weights


def _shares(of, table, codes, resamples, seed):
    drop_weights = _drop_weights(of)

    def statistic(weights):
        means = weights @ table / weights.sum()
        given, gain = means @ of.weights, means[-1] - means[0]
        parts = given / gain if gain > ROUNDING else np.full(len(given), np.nan)
        return dict(enumerate(np.concatenate([given, parts, means @ drop_weights, means])))

    figures = list(weighted_metrics(statistic, codes, resamples, seed, NO_GAIN).values())
    given, parts, drops = (
        dict(zip(of.names, figures[start:])) for start in (0, len(of.names), 2 * len(of.names))
    )
    nothing, *subsets = figures[3 * len(of.names) :]
    inputs = [[name for name, there in zip(of.names, row) if there] for row in of.present]
    return Shares(
        n=len(table),
        groups=int(codes.max()) + 1,
        nothing=nothing,
        everything=subsets[-1],
        subsets=[
            SubsetFigure(inputs=those, figure=figure) for those, figure in zip(inputs, subsets)
        ],
        shapley=given,
        share=parts,
        drop=drops,
        sampling_error=_sampling_error(of, table),
    )


def _sampling_error(of, table):
    if of.by_order is None:
        return {}
    of_order = np.einsum("s,psi->pi", table.mean(axis=0), of.by_order)
    return dict(zip(of.names, (of_order.std(axis=0, ddof=1) / math.sqrt(len(of_order))).tolist()))
