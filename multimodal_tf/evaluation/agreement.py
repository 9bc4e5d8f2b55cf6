"""Heads that compare two inputs: the agreement of a row's inputs, and the odd one out."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import Config
from multimodal_tf.config.heads import comparing
from multimodal_tf.scoring import agreement as scoring
from multimodal_tf.scoring import presence

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Aligned:
    """Outputs of heads that compare two inputs, per row.

    Args:
        cosines: float `(rows, heads)`, between the two vectors that a head compares; where a model
            serves only the probability of a match, that.
        known: bool `(rows, heads)`: both inputs are present.
        pairs: the two inputs of each head.
    """

    cosines: np.ndarray
    known: np.ndarray
    pairs: tuple[tuple[str, ...], ...]

    @property
    def agreement(self) -> np.ndarray:
        """The mean over the known heads, float `(rows,)`; NaN where none is known."""
        return np.asarray(scoring.agreement(self.cosines, self.known))

    def odd_one_out(self) -> np.ndarray:
        """`scoring.agreement.odd_one_out`, int `(rows,)`: an index into `names`, or -1."""
        return scoring.odd_one_out(self.cosines, self.known, self.pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that any head compares."""
        return scoring.inputs_of(self.pairs)


def aligned(predictions: Arrays, present: ArrayLike, config: Config) -> Aligned:
    """The outputs of heads that compare two inputs; without one nothing is known of any row.

    Args:
        predictions: by head, as `EvalSplit.predictions`.
        present: bool `(rows, inputs)`.
        config: `Config`.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> from multimodal_tf.config.heads import PairHead
        >>> heads = {"match": PairHead(inputs=["a", "b"])}
        >>> config = Config(inputs={"a": TextInput(), "b": TextInput()}, heads=heads)
        >>> first, second = [[3.0, 0.0, 1.0], [0.0, 1.0, 0.5]], [[3.0, 0.0, 1.0], [1.0, 0.0, 0.5]]
        >>> aligned({"match": np.array([first, second])}, np.ones((2, 2)), config).agreement
        array([0., 1.])
    """
    heads = comparing(config.heads)
    flags = vectors_present(present, config)
    cosines = np.zeros((len(np.asarray(present)), len(heads)))
    known = np.zeros_like(cosines, dtype=bool)
    for index, (name, head) in enumerate(heads.items()):
        cosines[:, index] = _cosines(np.asarray(predictions[name], dtype=float))
        known[:, index] = np.all([flags[own] for own in head.inputs], axis=0)
    return Aligned(cosines, known, tuple(tuple(head.inputs) for head in heads.values()))


def vectors_present(present: ArrayLike, config: Config) -> Arrays:
    """By vector that fusion reads: bool `(rows,)`, whether any of its inputs is present."""
    names = config.vectors()
    flags = presence.vectors_present(np.asarray(present, dtype=bool), config.vector_columns(names))
    return dict(zip(names, np.asarray(flags).T))


def _cosines(outputs: np.ndarray) -> np.ndarray:
    """Of an output `(rows, 2, dim + 1)`; a probability `(rows,)` stays.

    The last number of each vector does not belong to it: together they shift the logit.
    """
    if outputs.ndim != 3:
        return outputs.reshape(len(outputs))
    return np.asarray(scoring.cosine(outputs[:, 0, :-1], outputs[:, 1, :-1]))
