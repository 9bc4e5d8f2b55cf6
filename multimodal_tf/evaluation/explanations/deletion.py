"""The deletion metric: tests a saliency map by deleting the most relevant parts first."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.row import Row

STEPS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Deletion:
    """The score as more and more parts are deleted.

    Args:
        deleted: float `(points,)`, the fraction of deleted parts, from 0 to 1.
        by_map: float `(points,)`, the score when the most relevant parts are deleted first.
        at_random: float `(orders, points)`, the score when parts are deleted in random orders.
    """

    deleted: np.ndarray
    by_map: np.ndarray
    at_random: np.ndarray

    @property
    def area(self) -> float:
        """Area between the mean random curve and the map's, in the score's unit.

        It is positive if the map finds relevant parts better than chance.
        """
        return float(np.trapezoid(self.at_random.mean(axis=0) - self.by_map, self.deleted))


def deletion(
    row: Row,
    name: str,
    parts: Parts,
    saliency: np.ndarray,
    orders: int = 4,
    seed: int | Sequence[int] = 0,
) -> Deletion:
    """Deletes parts of a cell in the order of a saliency map, and in random orders.

    Args:
        row: `Row`.
        name: name of the input.
        parts: `Parts` of its cell.
        saliency: float of `parts.shape`, from `relevance` or another method.
        orders: int, number of random orders.
        seed: int or several, for the random orders.

    Returns:
        `Deletion` at 11 fractions, the same for every row.

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
    if np.shape(saliency) != parts.shape or orders < 1:
        raise ValueError(
            f"a map must have the shape {parts.shape}, and orders be 1 or more, "
            f"received {np.shape(saliency)} and {orders}"
        )
    random = np.random.default_rng(seed)
    by_map = np.argsort(-np.ravel(saliency), kind="stable")
    deleted = np.linspace(0, 1, STEPS + 1)
    counts, point = np.unique(np.rint(deleted * parts.size).astype(int), return_inverse=True)
    every_order = [by_map, *(random.permutation(parts.size) for _ in range(orders))]
    scores = row.scores(
        {name: parts.keep(_all_but(order[:count], parts))}
        for order in every_order
        for count in counts
    )
    curves = scores.reshape(len(every_order), len(counts))[:, point]
    return Deletion(deleted, curves[0], curves[1:])


def _all_but(indices: np.ndarray, parts: Parts) -> np.ndarray:
    mask = np.ones(parts.size, bool)
    mask[indices] = False
    return mask.reshape(parts.shape)
