"""The loss of pairs of inputs that belong together or not."""

from typing import Any, NamedTuple

import keras
from keras import ops

from multimodal_tf.losses.batchwise import BatchwiseLoss
from multimodal_tf.losses.labels import MEAN


@keras.saving.register_keras_serializable("multimodal_tf")
class MatchingLoss(BatchwiseLoss):
    """Cross-entropy of «these two belong together», on a row's own pair and on mismatched pairs.

    Half of it is the row's own pair, half the mean over the row's mismatched pairs: its first
    vector with the second of every other row of the batch. So the learned chance starts at a half
    for any size of batch. Rows that happen to hold the same text or image count as mismatched too.

    Call:
        `y_true` is not read: the two vectors of every row match. `y_pred` is float `(batch, 2,
        dim)`: the scalar product of two vectors is the logit of their belonging together; zeros in
        a row that lacks one of the two. `call` returns float `(batch,)`, nats: 0 for such a row,
        and the first half alone where no other row has both.

    Example:
        >>> loss = MatchingLoss()
        >>> vectors = ops.ones((3, 2, 4)) / 1000
        >>> round(float(loss(ops.ones((3, 1)), vectors)), 3)  # chance level: log(2)
        0.693

    Source: all pairs of a batch, with a sigmoid each: Zhai et al. 2023, arXiv:2303.15343, equation
    2; the equal halves are ours.
    """

    def __init__(self, name: str = "matching", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        own, every, present, mismatched = pairs(y_pred)
        wrong = ops.sum(ops.softplus(every) * mismatched, axis=1) / ops.maximum(
            ops.sum(mismatched, axis=1), 1.0
        )
        return 0.5 * present * (ops.softplus(-own) + wrong)

    def counted(self, y_pred: Any) -> Any:
        """1 for each row that has both inputs, else 0: float `(batch,)`."""
        return ops.cast(ops.any(ops.convert_to_tensor(y_pred) != 0, axis=(1, 2)), "float32")


class Pairs(NamedTuple):
    """The pairs of vectors in a batch.

    `own` `(batch,)` holds the logits of the rows' own pairs, `every` `(batch, batch)` those of each
    row's first with each row's second vector. `present` `(batch,)` is 1 where a row has both
    vectors, `mismatched` `(batch, batch)` 1 where a pair is of two rows that have both; else 0.
    """

    own: Any
    every: Any
    present: Any
    mismatched: Any


def pairs(vectors: Any) -> Pairs:
    """Compares the vectors of a batch.

    Args:
        vectors: float `(batch, 2, dim)`, zeros in a row that lacks one of the two.
    """
    first, second = vectors[:, 0], vectors[:, 1]
    present = ops.cast(ops.any(vectors != 0, axis=(1, 2)), vectors.dtype)
    of_two = 1 - ops.eye(ops.shape(vectors)[0], dtype=vectors.dtype)
    return Pairs(
        own=ops.sum(first * second, axis=1),
        every=ops.matmul(first, ops.transpose(second)),
        present=present,
        mismatched=present[:, None] * present[None, :] * of_two,
    )


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenMatchingLoss(keras.losses.Loss):
    """Cross-entropy of «these two belong together», on a row's pair and its mismatched ones.

    Half of it is the row's own pair, half the mean over the row's mismatched pairs, as in
    `MatchingLoss`.

    Call:
        `y_true` is not read. `y_pred` is float `(batch, 2, 3)`: logits of the row's own pair and of
        two mismatched ones, and 1 for each that counts, else 0. `call` returns float `(batch,)`,
        nats: 0 in a row that lacks one of the two inputs, and the first half alone where no
        mismatched pair counts.

    Example:
        >>> rows = ops.array([[[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]])
        >>> round(float(TokenMatchingLoss()(ops.ones((1, 1)), rows)), 3)  # chance level: log(2)
        0.693

    Source: Li et al. 2021, arXiv:2107.07651, equation 4; the equal halves are ours.
    """

    def __init__(self, name: str = "token_matching", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        logits, counts = y_pred[:, 0], y_pred[:, 1]
        mismatched = ops.sum(ops.softplus(logits[:, 1:]) * counts[:, 1:], axis=1)
        wrong = mismatched / ops.maximum(ops.sum(counts[:, 1:], axis=1), 1.0)
        return 0.5 * counts[:, 0] * (ops.softplus(-logits[:, 0]) + wrong)

    def counted(self, y_pred: Any) -> Any:
        """1 for each row that has both inputs, else 0: float `(batch,)`."""
        return ops.cast(ops.convert_to_tensor(y_pred)[:, 1, 0], "float32")
