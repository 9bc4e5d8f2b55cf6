"""Heads that compare inputs: the agreement of a row's inputs, and the odd one out."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import Config
from multimodal_tf.config.heads import PairHead, comparing, input_pairs
from multimodal_tf.scoring import agreement as scoring
from multimodal_tf.scoring import presence

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Aligned:
    """Outputs of heads that compare inputs, per row.

    Args:
        cosines: float `(rows, pairs)`, between the two vectors of each pair of inputs that a head
            compares; where a model serves only the probability of a match, that.
        known: bool `(rows, pairs)`: both inputs are present.
        pairs: the two inputs of each pair.
    """

    cosines: np.ndarray
    known: np.ndarray
    pairs: tuple[tuple[str, ...], ...]

    @property
    def agreement(self) -> np.ndarray:
        """The mean over the known pairs, float `(rows,)`; NaN where none is known."""
        return np.asarray(scoring.agreement(self.cosines, self.known))

    def odd_one_out(self) -> np.ndarray:
        """`scoring.agreement.odd_one_out`, int `(rows,)`: an index into `names`, or -1."""
        return scoring.odd_one_out(self.cosines, self.known, self.pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that any head compares."""
        return scoring.inputs_of(self.pairs)


def aligned(predictions: Arrays, present: ArrayLike, config: Config) -> Aligned:
    """The outputs of heads that compare inputs; without one nothing is known of any row.

    Args:
        predictions: by head, as `EvalSplit.predictions`.
        present: bool `(rows, inputs)`.
        config: `Config`.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> from multimodal_tf.config.heads import AlignmentHead
        >>> heads = {"space": AlignmentHead(inputs=["a", "b"], dim=3)}
        >>> config = Config(inputs={"a": TextInput(), "b": TextInput()}, heads=heads)
        >>> first, second = [[3.0, 0.0, 1.0], [0.0, 1.0, 0.5]], [[3.0, 0.0, 1.0], [1.0, 0.0, 0.5]]
        >>> aligned({"space": np.array([first, second])}, np.ones((2, 2)), config).agreement
        array([0., 1.])
    """
    flags = vectors_present(present, config)
    cosines, known, pairs = [], [], []
    for name, head in comparing(config.heads).items():
        outputs = np.asarray(predictions[name], dtype=float)
        for pair in input_pairs(head):
            pairs.append(pair)
            cosines.append(_cosines(outputs, head, pair))
            known.append(flags[pair[0]] & flags[pair[1]])
    shape = (len(np.asarray(present)), len(pairs))
    return Aligned(
        np.reshape(np.transpose(cosines), shape),
        np.reshape(np.transpose(known), shape).astype(bool),
        tuple(pairs),
    )


def vectors_present(present: ArrayLike, config: Config) -> Arrays:
    """By vector that fusion reads: bool `(rows,)`, whether any of its inputs is present."""
    names = config.vectors()
    flags = presence.vectors_present(np.asarray(present, dtype=bool), config.vector_columns(names))
    return dict(zip(names, np.asarray(flags).T))


def _cosines(outputs: np.ndarray, head: PairHead, pair: tuple[str, str]) -> np.ndarray:
    """Of an output `(rows, inputs, numbers)`; a probability `(rows,)` stays.

    The numbers behind each vector do not belong to it: they scale and shift the logit.
    """
    if outputs.ndim != 3:
        return outputs.reshape(len(outputs))
    first, second = (outputs[:, head.inputs.index(own), : head.vector_end] for own in pair)
    return np.asarray(scoring.cosine(first, second))
