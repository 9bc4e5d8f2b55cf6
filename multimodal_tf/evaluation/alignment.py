"""Whether the inputs of a row belong together: scores, known mismatches to test them on, and which
input is the odd one out.

A mismatch is made from right rows: one input is exchanged for another row's. An input that is
absent has no part in a row's score.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pydantic
from numpy.typing import ArrayLike

from multimodal_tf.evaluation import ood
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.metrics.supervised import Figure, mean_metrics

# of exchanges between pairs of rows: by then nothing is left of the order from which they start
ROUNDS = 20
NO_THIRD = "no row has three inputs"


class Mismatches(pydantic.BaseModel):
    """How well a score tells `n` right rows from as many in which one input is another row's.

    `auroc` and `fpr_at_95_tpr` as in `novelty.Separation`. With a limit: `detected`, the share of
    mismatches below it, and `false_alarms`, that of right rows. `odd_one_out`: the share of
    mismatches with three inputs or more in which the exchanged one is found, and `odd_rows` is how
    many these are.
    """

    n: int
    odd_rows: int
    figures: dict[str, Figure]


def agreement(embeddings: ArrayLike, present: ArrayLike | None = None) -> np.ndarray:
    """The mean cosine between the embeddings of a row's inputs, over all pairs that are present;
    NaN where there is no pair.

    Args:
        embeddings: float `(rows, inputs, dim)`, aligned with each other, of any length.
        present: `(rows, inputs)`, 0 where an input is absent. None: an input is where its embedding
        is not zero.

    Returns:
        float `(rows,)`, -1 to 1, higher where the inputs agree.

    Raises:
        ValueError: the shapes disagree, there is one input only, or a number is NaN or infinite.

    Example:
        >>> agreement([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])  # cosines 1, 0, 0; no pair
        array([0.33333333,        nan])

    Source: the cosine of Radford et al. 2021, arXiv:2103.00020, section 2.3, in the mean over pairs
    as Girdhar et al. 2023, arXiv:2305.05665, align more than two.
    """
    cosines, pairs = _pairs(*_checked(embeddings, present))
    return _mean_of_pairs(cosines.sum(axis=(1, 2)), pairs.sum(axis=(1, 2)))


def odd_one_out(embeddings: ArrayLike, present: ArrayLike | None = None) -> np.ndarray:
    """The input without which the others agree most, of equal ones the first: int `(rows,)`; -1
    where fewer than three are present.

    Args, raises: as `agreement`.

    Example:
        >>> odd_one_out([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]]])
        array([1])
    """
    vectors, there = _checked(embeddings, present)
    cosines, pairs = _pairs(vectors, there)
    # of the pairs with this input
    lost, fewer = cosines.sum(axis=2) + cosines.sum(axis=1), pairs.sum(axis=2) + pairs.sum(axis=1)
    left = _mean_of_pairs(
        cosines.sum(axis=(1, 2))[:, None] - lost, pairs.sum(axis=(1, 2))[:, None] - fewer
    )
    left = np.where(there & ~np.isnan(left), left, -np.inf)
    return np.where(there.sum(axis=1) >= 3, left.argmax(axis=1), -1)


def exchanged(rows: int, groups: ArrayLike | None = None, seed: int = 0) -> np.ndarray:
    """Which row each row gets its other input from: each row gives once, none to itself, and none
    to a row of its own group.

    Args:
        rows: int.
        groups: `(rows,)` of any type: rows between which an exchange would be no mismatch, as those
            of one class. A row without one (None, NaN) is a group of its own. None: all are.
        seed: int, of the draw.

    Returns:
        int `(rows,)`.

    Raises:
        ValueError: there are fewer than 2 rows, `groups` has another shape, or a group has more
        than half of the rows.

    Example:
        >>> exchanged(4, groups=["cat", "cat", "dog", "dog"], seed=0).tolist() in ([2, 3, 0, 1], [3, 2, 0, 1], [2, 3, 1, 0], [3, 2, 1, 0])
        True
    """
    if rows < 2:
        raise ValueError(f"an exchange needs 2 or more rows, received {rows}")
    codes = group_codes(groups, rows)
    largest = int(np.bincount(codes).max())
    if 2 * largest > rows:
        raise ValueError(
            f"an exchange between groups needs groups of at most half of the {rows} rows, received one of {largest}"
        )
    random = np.random.default_rng(seed)
    # With the groups side by side, a turn by the largest one's size brings every row out of its
    # own, and none back into it.
    order = np.argsort(codes, kind="stable")
    source = np.empty(rows, dtype=int)
    source[order] = np.roll(order, largest)
    for _ in range(ROUNDS):
        first, second = random.permutation(rows)[: rows // 2 * 2].reshape(2, -1)
        fits = (codes[source[second]] != codes[first]) & (codes[source[first]] != codes[second])
        first, second = first[fits], second[fits]
        source[first], source[second] = source[second], source[first]
    return source


def threshold(scores: ArrayLike, false_alarms: float = 0.05) -> float:
    """The score below which a row's inputs do not belong together: a right row's is with a chance
    of at most `false_alarms`.

    Args, raises, source: as `novelty.limit`, with scores that are higher where the inputs agree.

    Example:
        >>> threshold(range(19), false_alarms=0.05)
        0.0
    """
    return -ood.limit(-np.asarray(scores, dtype=float), false_alarms)


def mismatches(
    embeddings: ArrayLike,
    names: Sequence[str],
    present: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    below: float | None = None,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray] = agreement,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Mismatches]:
    """How well a score finds rows in which one input is another row's, by the input that is
    exchanged.

    An input is exchanged among the rows that have it and at least one other.

    Args:
        embeddings: float `(rows, inputs, dim)`.
        names: the inputs' names.
        present: as in `agreement`.
        groups: `(rows,)`, as in `exchanged`.
        below: the limit from `threshold` on other rows; None: no figures that need one.
        score: takes embeddings and presence, returns float `(rows,)`, higher where the inputs
        agree.
        resamples: int. For the intervals, which draw a right row and its mismatch together; 0: no
        intervals.
        seed: int. The same seed gives the same exchanges and intervals.

    Returns:
        dict of input name to `Mismatches`, of the inputs that two rows or more have beside another.

    Raises:
        ValueError: as `agreement` and `exchanged`, the names are not as many as the inputs, no
        input can be exchanged, or a score is NaN.

    Example:
        >>> found = mismatches(np.eye(4)[:, None].repeat(3, axis=1), ["photo", "title", "sound"], resamples=0)
        >>> found["title"].figures["auroc"].value, found["title"].figures["odd_one_out"].value
        (1.0, 1.0)
    """
    vectors, there = _checked(embeddings, present)
    if len(names) != vectors.shape[1]:
        raise ValueError(
            f"names must be one for each of the {vectors.shape[1]} inputs, received {list(names)}"
        )
    codes = group_codes(groups, len(vectors))
    found = {}
    for number, name in enumerate(names):
        rows = np.flatnonzero(there[:, number] & (there.sum(axis=1) >= 2))
        if len(rows) >= 2:
            source = exchanged(len(rows), codes[rows], seed)
            found[name] = _of_input(
                vectors[rows], there[rows], number, source, below, score, resamples, seed
            )
    if not found:
        raise ValueError(
            f"a mismatch needs two rows that have an input beside another, received {len(vectors)} rows without"
        )
    return found


def _of_input(vectors, there, number, source, below, score, resamples, seed):
    wrong = vectors.copy()
    wrong[:, number] = vectors[source, number]
    right_scores, wrong_scores = np.asarray(score(vectors, there)), np.asarray(score(wrong, there))
    figures = ood.separation(-right_scores, -wrong_scores, True, resamples, seed).figures
    if below is not None:
        figures |= mean_metrics(
            {"detected": wrong_scores < below, "false_alarms": right_scores < below},
            resamples,
            seed,
        )
    odd = odd_one_out(wrong, there)
    odd = odd[odd >= 0]
    found = mean_metrics({"odd_one_out": odd == number}, resamples, seed)["odd_one_out"]
    figures["odd_one_out"] = found if len(odd) else Figure(value=None, reason=NO_THIRD)
    return Mismatches(n=len(vectors), odd_rows=len(odd), figures=figures)


def _checked(embeddings, present):
    """float `(rows, inputs, dim)` and bool `(rows, inputs)`."""
    vectors = np.asarray(embeddings, dtype=float)
    if vectors.ndim != 3 or vectors.shape[1] < 2:
        raise ValueError(
            f"embeddings must have the shape (rows, 2 or more inputs, dim), received {vectors.shape}"
        )
    there = np.asarray(vectors.any(axis=2) if present is None else np.asarray(present) > 0)
    if there.shape != vectors.shape[:2]:
        raise ValueError(f"present must have the shape {vectors.shape[:2]}, received {there.shape}")
    wrong = np.asarray((~np.isfinite(vectors).all(axis=2) & there).any(axis=1))
    if wrong.any():
        raise ValueError(
            f"embeddings must be finite numbers, received NaN or infinity in {wrong.sum()} of {len(vectors)} rows"
        )
    return np.where(there[:, :, None], vectors, 0.0), there


def _pairs(vectors, there):
    """Cosines, float `(rows, inputs, inputs)`, 0 but for pairs that are present, once each; and
    which these are.
    """
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    pairs = np.triu(there[:, :, None] & there[:, None, :], 1)
    return np.einsum("rid,rjd->rij", units, units) * pairs, pairs


def _mean_of_pairs(sums, counts):
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)
