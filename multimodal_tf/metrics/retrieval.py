"""Cross-modal retrieval: finding a row's other input among all rows by cosine similarity.

A row is a relevant item for itself, and so are all rows of its group (photos of one product, images
under one caption). The scores of only a few queries with all items are in memory at a time.
"""

from collections.abc import Sequence

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from sklearn.preprocessing import normalize

from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.scoring.retrieval import ranks, recall, relevance_groups

FIRST = (1, 5, 10)


class Retrieval(pydantic.BaseModel):
    """Retrieval metrics of `n` queries among `n` items, of `groups` groups.

    `recall_at_K`: the share of queries with a relevant item among the first K. `median_rank`: of
    the first relevant item, from 1 on. `mean_average_precision`: over all relevant items.
    """

    n: int
    groups: int
    metrics: dict[str, Metric]


def retrieval(
    queries: ArrayLike,
    items: ArrayLike,
    groups: ArrayLike | None = None,
    first: Sequence[int] = FIRST,
    resamples: int = 1000,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> Retrieval:
    """How well `queries` find `items`; the other direction is another call.

    Items with equal scores could come in any order: a recall is the expected one, and a rank the
    mean, over all orders; the average precision counts them all before its precision, as in
    scikit-learn. Equal items have bit-identical scores.

    Args:
        queries: float `(rows, dim)`, of any length; of the rows that have both inputs.
        items: float `(rows, dim)`, in the same order.
        groups: `(rows,)` of any type; a row without one (None, NaN) is a group of its own. None:
            all are. They are drawn as a whole for the intervals.
        first: the K of `recall_at_K`.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        clusters: `(rows,)` of any type: rows of one value depend on each other without being
            relevant to each other, and are drawn together too. None: groups alone are.

    Raises:
        ValueError: the shapes disagree, there are fewer than 2 rows or than a K, or an embedding is
            zero, NaN or infinite.

    Example:
        >>> found = retrieval(np.eye(3), [[1, 0, 0], [2, 1, 0], [0, 2, 1]], first=[1], resamples=0)
        >>> {name: round(metric.value, 3) for name, metric in found.metrics.items()}
        {'recall_at_1': 0.667, 'median_rank': 1.0, 'mean_average_precision': 0.833}

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.4;
    ties: McSherry and Najork 2008, «Computing information retrieval performance measures
    efficiently in the presence of tied scores».
    """
    asked, known = _unit_rows("queries", queries), _unit_rows("items", items)
    _check(asked, known, first)
    codes = group_codes(groups, len(asked))
    found = ranks(asked, known, codes)
    ahead, tied, relevant, precision = found
    rank = ahead + (tied + 1) / (relevant + 1)
    order = np.argsort(rank)
    recalls = {f"recall_at_{k}": recall(k, found) for k in first}

    def statistic(weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        values = {name: weights @ of_rows / total for name, of_rows in recalls.items()}
        values["median_rank"] = _median(rank[order], np.cumsum(weights[order]))
        return values | {"mean_average_precision": weights @ precision / total}

    drawn = codes
    if clusters is not None:
        drawn = relevance_groups([codes, group_codes(clusters, len(asked))])
    metrics = weighted_metrics(statistic, drawn, resamples, seed)
    return Retrieval(n=len(asked), groups=int(codes.max()) + 1, metrics=metrics)


def _check(asked: np.ndarray, known: np.ndarray, first: Sequence[int]) -> None:
    if asked.shape != known.shape:
        raise ValueError(
            f"queries and items must have the same shape, received {asked.shape} and {known.shape}"
        )
    if not first or min(first) < 1 or max(first) > len(known):
        raise ValueError(
            f"the K of a recall must be from 1 to the {len(known)} rows, received {list(first)}"
        )


def _unit_rows(name: str, embeddings: ArrayLike) -> np.ndarray:
    """float32 `(rows, dim)` of length 1."""
    array = np.asarray(embeddings, dtype=np.float32)
    if array.ndim != 2 or len(array) < 2:
        raise ValueError(
            f"{name} must be of 2 or more rows, with the shape (rows, dim), "
            f"received the shape {array.shape}"
        )
    wrong = ~np.isfinite(array).all(axis=1) | ~array.any(axis=1)
    if wrong.any():
        raise ValueError(
            f"{name} must be finite and not zero, "
            f"received {wrong.sum()} of {len(array)} rows that are not"
        )
    return np.asarray(normalize(array))


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """The median of rising values; `weights` is the running sum of how often each counts."""
    half = weights[-1] / 2
    low = np.searchsorted(weights, half, side="left")
    high = np.searchsorted(weights, half, side="right")
    return float(values[low] + values[high]) / 2
