"""Metrics of heads that align the inputs of a row: retrieval of each input by each other."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.metrics.metric import HeadMetrics, Metric
from multimodal_tf.metrics.retrieval import FIRST, retrieval
from multimodal_tf.scoring.retrieval import relevance_groups

METRICS = (*(f"recall_at_{k}" for k in FIRST), "median_rank", "mean_average_precision")


def alignment(
    cells: ArrayLike,
    vectors: ArrayLike,
    inputs: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Retrieval metrics of an alignment head, for each pair of inputs in both directions.

    A metric's name is `{query}_to_{target}_{metric}`, its metric of `metrics.retrieval.Retrieval`.
    Queries and items are the rows that have both inputs. Rows with an equal cell of one of the two
    are relevant to each other, and are drawn together for the intervals, as rows of one group are.

    Args:
        cells: int `(rows, inputs)`, equal numbers for equal cells of an input.
        vectors: float `(rows, inputs, dim + 2)`, as the head's output; zeros where an input is
            missing.
        inputs: their names.
        resamples, seed, groups: as in `classification`.

    Returns:
        `HeadMetrics`; `n` is the number of rows with two inputs or more. A metric is None where
        fewer than two rows, or than its K, have both inputs.

    Raises:
        ValueError: a shape differs, or a number is NaN.

    Example:
        >>> rows = [[[1, 0, 9, 0], [1, 0, 9, 0]], [[0, 1, 9, 0], [0.8, 0.6, 9, 0]]]
        >>> head = alignment([[0, 0], [1, 1]], rows, ["photo", "title"], resamples=0)
        >>> head.metrics["photo_to_title_recall_at_1"].value
        1.0
        >>> head.metrics["title_to_photo_recall_at_1"].value
        0.5
    """
    found, numbers = np.asarray(vectors, dtype=float), np.asarray(cells)
    if found.ndim != 3 or found.shape[1] != len(inputs) or numbers.shape != found.shape[:2]:
        raise ValueError(
            f"predictions must have the shape (rows, {len(inputs)}, dim + 2) and targets "
            f"(rows, {len(inputs)}), received {found.shape} and {numbers.shape}"
        )
    if not np.isfinite(found).all():
        raise ValueError("predictions must be finite numbers, received NaN or infinity")
    found = found[:, :, :-2]
    present = np.asarray(found.any(axis=2))
    clusters = group_codes(groups, len(found))
    metrics: dict[str, Metric] = {}
    for query, target in itertools.permutations(range(len(inputs)), 2):
        rows = np.flatnonzero(present[:, query] & present[:, target])
        drawn = (resamples, seed, clusters[rows])
        own = _of_pair(found[rows], numbers[rows], query, target, drawn)
        prefix = f"{inputs[query]}_to_{inputs[target]}_"
        metrics |= {prefix + name: metric for name, metric in own.items()}
    return HeadMetrics(type="alignment", n=int((present.sum(axis=1) > 1).sum()), metrics=metrics)


def _of_pair(
    vectors: np.ndarray,
    cells: np.ndarray,
    query: int,
    target: int,
    drawn: tuple[int, int, np.ndarray],
) -> dict[str, Metric]:
    n = len(vectors)
    reason = f"only {n} rows have both inputs"
    left_out = {name: Metric(None, n, reason=reason) for name in METRICS}
    if n < 2:
        return left_out
    groups = relevance_groups([cells[:, query], cells[:, target]])
    first = [k for k in FIRST if k <= n]
    found = retrieval(vectors[:, query], vectors[:, target], groups, first, *drawn)
    return left_out | found.metrics
