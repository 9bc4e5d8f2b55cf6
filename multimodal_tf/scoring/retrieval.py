"""Ranks of the items that belong to a query, from vectors of length 1."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse, stats

# in memory at a time, 4 bytes each
SCORES = 2**23


def relevance_groups(kinds: Sequence[ArrayLike]) -> np.ndarray:
    """Groups of rows that are relevant to each other: those that have an equal number of one kind.

    Args:
        kinds: ints `(rows,)` each, such as numbers of cells and of groups.

    Returns:
        int `(rows,)`, a number from 0 on for each group.

    Example:
        >>> relevance_groups([[5, 5, 6, 7], [1, 2, 2, 3]])
        array([0, 0, 0, 1], dtype=int32)
    """
    rows = len(np.asarray(kinds[0]))
    each = np.arange(rows)
    ties = sum(
        sparse.coo_array((np.ones(rows), (each, _first_of_its_number(kind))), (rows, rows))
        for kind in map(np.asarray, kinds)
    )
    return np.asarray(sparse.csgraph.connected_components(ties, directed=False)[1])


def _first_of_its_number(codes: np.ndarray) -> np.ndarray:
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def ranks(asked: np.ndarray, known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Four numbers per query, float `(4, queries)`.

    Items ahead of the first relevant one, items level with it, relevant ones among these, and the
    average precision.

    Args:
        asked: queries, float32 `(rows, dim)`, of length 1.
        known: items, of the same shape.
        codes: int `(rows,)` from 0 on: rows of one number are relevant to each other.
    """
    # A matrix product may round equal columns differently: each distinct item is scored once.
    distinct, inverse = np.unique(known, axis=0, return_inverse=True)
    columns: slice | np.ndarray = inverse.ravel()
    if len(distinct) == len(known):
        distinct, columns = known, slice(None)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    found = np.empty((4, len(asked)))
    block = max(1, SCORES // len(known))
    for start in range(0, len(asked), block):
        scores = (asked[start : start + block] @ distinct.T)[:, columns]
        own = [row[members[codes[start + i]]] for i, row in enumerate(scores)]
        scores.sort(axis=1)
        for i, of_relevant in enumerate(own):
            found[:, start + i] = _of_query(scores[i], np.sort(of_relevant)[::-1])
    return found


def recall(k: int, found: np.ndarray) -> np.ndarray:
    """The chance that a relevant item is among the first `k`, over all orders of level ones.

    Args:
        k: int.
        found: what `ranks` returns.

    Returns:
        float `(queries,)`.
    """
    ahead, tied, relevant, _ = found
    return np.asarray(1 - stats.hypergeom.pmf(0, tied, relevant, np.clip(k - ahead, 0, tied)))


def _of_query(scores: np.ndarray, relevant: np.ndarray) -> tuple[float, float, float, float]:
    """The numbers of `ranks`, from all scores, rising, and those of relevant items, falling."""
    ahead = len(scores) - np.searchsorted(scores, relevant[0], side="right")
    # items as good as each relevant one, or better
    level = len(scores) - np.searchsorted(scores, relevant, side="left")
    relevant_level = len(relevant) - np.searchsorted(relevant[::-1], relevant, side="left")
    return ahead, level[0] - ahead, relevant_level[0], (relevant_level / level).mean()
