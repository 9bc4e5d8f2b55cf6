"""Whether a map is right: what it marks is deleted first, against random orders."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.row import Row

STEPS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Deletion:
    """The score as more and more parts are left out: `deleted`, float `(points,)`, is their share
    from 0 to 1.

    `by_map`, float `(points,)`: the parts that the map marks most first; `at_random`, float
    `(orders, points)`.
    """

    deleted: np.ndarray
    by_map: np.ndarray
    at_random: np.ndarray

    @property
    def area(self) -> float:
        """Between the mean random curve and that of the map, in the score's unit; above 0 where the
        map finds what matters.
        """
        return float(np.trapezoid(self.at_random.mean(axis=0) - self.by_map, self.deleted))


def deletion(
    row: Row,
    name: str,
    parts: Parts,
    marked: np.ndarray,
    orders: int = 4,
    seed: int | Sequence[int] = 0,
) -> Deletion:
    """Deletes parts of a cell in the order of a map, and in random orders.

    Args:
        row: `Row`.
        name: the input.
        parts: `Parts` of its cell.
        marked: float of `parts.shape`, the map: of `relevance`, or another.
        orders: int, random ones.
        seed: int or several, of these.

    Returns:
        `Deletion` at 11 shares, the same for every row.

    Raises:
        ValueError: the map has another shape, or `orders` is below 1.

    Example:
        >>> from multimodal_tf.evaluation.explanations.words import words
        >>> def red(raw):
        ...     return np.array([b"red" in cell for cell in raw["title"]])
        >>> row = Row({"title": np.array([b"a red shoe"], object)}, lambda raw: raw, red)
        >>> deletion(row, "title", words(b"a red shoe"), np.array([0, 1, 0])).by_map[[0, 3, 10]]
        array([1., 0., 0.])

    Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421, section 4.
    """
    if np.shape(marked) != parts.shape or orders < 1:
        raise ValueError(
            f"a map must have the shape {parts.shape}, and orders be 1 or more, received {np.shape(marked)} and {orders}"
        )
    random = np.random.default_rng(seed)
    first = np.argsort(-np.ravel(marked), kind="stable")
    deleted = np.linspace(0, 1, STEPS + 1)
    counts, point = np.unique(np.rint(deleted * parts.size).astype(int), return_inverse=True)
    chosen = [first, *(random.permutation(parts.size) for _ in range(orders))]
    scores = row.scores(
        {name: parts.keep(_all_but(order[:count], parts))} for order in chosen for count in counts
    )
    curves = scores.reshape(len(chosen), len(counts))[:, point]
    return Deletion(deleted, curves[0], curves[1:])


def _all_but(places, parts):
    kept = np.ones(parts.size, bool)
    kept[places] = False
    return kept.reshape(parts.shape)
