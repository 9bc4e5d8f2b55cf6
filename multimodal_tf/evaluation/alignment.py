"""Alignment of the inputs of a row: agreement of embeddings, mismatched rows, a threshold.

A mismatched row is made from a right one: one input is exchanged for that of another row. A missing
input takes no part in a row's score.
"""

import itertools

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.evaluation import ood
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.scoring import agreement as scoring

# of exchanges between pairs of rows: afterwards nothing is left of the initial order
ROUNDS = 20


def agreement(embeddings: ArrayLike, present: ArrayLike | None = None) -> np.ndarray:
    """The mean cosine between the embeddings of a row's inputs, over all pairs that are present.

    Args:
        embeddings: float `(rows, inputs, dim)`, aligned with each other, of any length.
        present: `(rows, inputs)`, 0 where an input is missing. None: an input is present where its
            embedding is not zero.

    Returns:
        float `(rows,)`, -1 to 1, higher where the inputs agree; NaN where there is no pair.

    Raises:
        ValueError: the shapes disagree, there is one input only, or a number is NaN or infinite.

    Example:
        >>> row = [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]
        >>> agreement([row, row], present=[[1, 1, 1], [1, 0, 0]])  # cosines 1, 0, 0; no pair
        array([0.33333333,        nan])

    Source: as `scoring.agreement.agreement`.
    """
    cosines, known = pair_cosines(embeddings, present)
    return np.asarray(scoring.agreement(cosines, known))


def pair_cosines(
    embeddings: ArrayLike, present: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs of inputs, and which are known; arguments as `agreement`.

    Returns:
        float and bool `(rows, pairs)`, the pairs in the order of `itertools.combinations`.
    """
    vectors = np.asarray(embeddings, dtype=float)
    if vectors.ndim != 3 or vectors.shape[1] < 2:
        raise ValueError(
            "embeddings must have the shape (rows, 2 or more inputs, dim), "
            f"received {vectors.shape}"
        )
    flags = np.asarray(vectors.any(axis=2) if present is None else np.asarray(present) > 0)
    if flags.shape != vectors.shape[:2]:
        raise ValueError(f"present must have the shape {vectors.shape[:2]}, received {flags.shape}")
    wrong = (~np.isfinite(vectors).all(axis=2) & flags).any(axis=1)
    if wrong.any():
        raise ValueError(
            "embeddings must be finite numbers, received NaN or infinity "
            f"in {wrong.sum()} of {len(vectors)} rows"
        )
    vectors = np.where(flags[:, :, None], vectors, 0.0)
    first, second = np.array(list(itertools.combinations(range(vectors.shape[1]), 2))).T
    cosines = np.asarray(scoring.cosine(vectors[:, first], vectors[:, second]))
    return cosines, flags[:, first] & flags[:, second]


def exchanged(rows: int, groups: ArrayLike | None = None, seed: int = 0) -> np.ndarray:
    """From which row each row gets its other input.

    Each row gives once, none to itself, and none to a row of its own group.

    Args:
        rows: int.
        groups: `(rows,)` of any type: rows between which an exchange would be no mismatch, such as
            those of one class. A row without one (None, NaN) is a group of its own. None: all are.
        seed: int, of the draw.

    Returns:
        int `(rows,)`.

    Raises:
        ValueError: there are fewer than 2 rows, `groups` has another shape, or a group has more
            than half of the rows.

    Example:
        >>> source = exchanged(4, groups=["cat", "cat", "dog", "dog"], seed=0)
        >>> sorted(source[:2].tolist()), sorted(source[2:].tolist())
        ([2, 3], [0, 1])
    """
    if rows < 2:
        raise ValueError(f"an exchange needs 2 or more rows, received {rows}")
    codes = group_codes(groups, rows)
    largest = int(np.bincount(codes).max())
    if 2 * largest > rows:
        raise ValueError(
            f"an exchange between groups needs groups of at most half of the {rows} rows, "
            f"received one of {largest}"
        )
    random = np.random.default_rng(seed)
    # With the rows sorted by group, a shift by the size of the largest group takes every row out
    # of its own group.
    order = np.argsort(codes, kind="stable")
    source = np.empty(rows, dtype=int)
    source[order] = np.roll(order, largest)
    for _ in range(ROUNDS):
        first, second = random.permutation(rows)[: rows // 2 * 2].reshape(2, -1)
        fits = (codes[source[second]] != codes[first]) & (codes[source[first]] != codes[second])
        first, second = first[fits], second[fits]
        source[first], source[second] = source[second], source[first]
    return source


def threshold(scores: ArrayLike, fpr: float = 0.05) -> float:
    """The score below which a row's inputs do not belong together.

    Args, raises, source: as `ood.threshold`, with scores that are higher where the inputs agree.

    Example:
        >>> threshold(range(19), fpr=0.05)
        0.0
    """
    return -ood.threshold(-np.asarray(scores, dtype=float), fpr)
