"""What a model's matching heads say of each row: whether its inputs belong together, and which is
the odd one out.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import TABULAR, Config, MatchingHead

Answers = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Aligned:
    """What matching heads say of each row.

    `cosines` is float `(rows, heads)`, between the two vectors that a head compares, or where a
    model serves only the probability that they belong together, that. `known` is bool of the same
    shape: both inputs are there. `pairs` names each head's two inputs.
    """

    cosines: np.ndarray
    known: np.ndarray
    pairs: tuple[tuple[str, ...], ...]

    @property
    def agreement(self) -> np.ndarray:
        """The mean over the heads that know, float `(rows,)`; NaN where none does."""
        return _mean(self.cosines, self.known)

    def odd_one_out(self) -> np.ndarray:
        """The input without which the others agree most, of equal ones the first, as its place
        among `names`; -1 where without some input no pair is left, since a chain of pairs does not
        say which link is wrong."""
        without = [self.known & [name not in pair for pair in self.pairs] for name in self.names]
        left = np.stack([_mean(self.cosines, rest) for rest in without], axis=1)
        there = np.stack(
            [
                (self.known & [name in pair for pair in self.pairs]).any(axis=1)
                for name in self.names
            ],
            axis=1,
        )
        enough = (there.sum(axis=1) >= 3) & ~(there & np.isnan(left)).any(axis=1)
        return np.where(enough, np.where(there & ~np.isnan(left), left, -np.inf).argmax(axis=1), -1)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that any head compares."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in pair))


def matching_heads(config: Config) -> dict[str, MatchingHead]:
    """The heads that align two inputs, by name."""
    return {name: head for name, head in config.heads.items() if isinstance(head, MatchingHead)}


def aligned(answers: Answers, present: ArrayLike, config: Config) -> Aligned:
    """What the matching heads of a model say; without such a head nothing is known of any row.

    Args:
        answers: by head, as `EvalSplit.answers`.
        present: bool `(rows, inputs)`.
        config: `Config`.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> config = Config(inputs={"a": TextInput(), "b": TextInput()}, heads={"match": MatchingHead(inputs=["a", "b"])})
        >>> vectors = np.array([[[3.0, 0.0, 1.0], [0.0, 1.0, 0.5]], [[3.0, 0.0, 1.0], [1.0, 0.0, 0.5]]])  # the last number is no vector's
        >>> aligned({"match": vectors}, np.ones((2, 2)), config).agreement
        array([0., 1.])
    """
    heads = matching_heads(config)
    there = vectors_present(present, config)
    cosines = np.zeros((len(np.asarray(present)), len(heads)))
    known = np.zeros_like(cosines, dtype=bool)
    for place, (name, head) in enumerate(heads.items()):
        cosines[:, place] = _cosine(np.asarray(answers[name], dtype=float))
        known[:, place] = np.all([there[own] for own in head.inputs], axis=0)
    return Aligned(cosines, known, tuple(tuple(head.inputs) for head in heads.values()))


def members(config: Config) -> dict[str, list[str]]:
    """The inputs behind each vector that fusion reads: itself, or the columns that the tower
    `tabular` reads.
    """
    return {
        name: config.tabular_inputs() if name == TABULAR and name not in config.inputs else [name]
        for name in config.vectors()
    }


def vectors_present(present: ArrayLike, config: Config) -> dict[str, np.ndarray]:
    """By vector that fusion reads: bool `(rows,)`, whether any of its inputs is there."""
    flags = dict(zip(config.inputs, np.asarray(present, dtype=bool).T))
    return {
        name: np.any([flags[own] for own in behind], axis=0)
        for name, behind in members(config).items()
    }


def _cosine(values):
    """Of what a matching head answers, `(rows, 2, dim + 1)`; a probability `(rows,)` stays."""
    if values.ndim != 3:
        return values.reshape(len(values))
    both = values[:, :, :-1]
    lengths = np.linalg.norm(both, axis=2)
    product = lengths[:, 0] * lengths[:, 1]
    return np.divide(
        (both[:, 0] * both[:, 1]).sum(axis=1), product, out=np.zeros(len(both)), where=product > 0
    )


def _mean(values, known):
    count = known.sum(axis=1)
    return np.divide(
        np.where(known, values, 0.0).sum(axis=1),
        count,
        out=np.full(len(values), np.nan),
        where=count > 0,
    )
