"""Losses that bring the vectors of several inputs of a row together in one space.

Their `y_pred` is float `(batch, inputs, dim + 2)`: for each input a vector of length 1, then the
scale and the shift of the logits `scale * cosine + shift`; zeros where the input is missing. Their
`y_true` is int `(batch, inputs)`: equal numbers stand for equal cells of an input.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import ops

from multimodal_tf.losses.batchwise import BatchwiseLoss
from multimodal_tf.losses.labels import MEAN

# a logit below all others
_FAR = -1e9


class Compared(NamedTuple):
    """One input of the rows as queries for another one.

    `cosines` and `logits` are float `(rows, candidates)`. `positive` and `candidate` are bool of
    the same shape: the candidate belongs to the query; both rows have both inputs. `both` is float
    `(rows,)`, 1 where the row has both inputs, else 0.
    """

    cosines: Any
    logits: Any
    positive: Any
    candidate: Any
    both: Any


def compared_inputs(y_true: Any, y_pred: Any, queue: int = 0) -> Iterator[Compared]:
    """Each input as the query for each other one.

    Args:
        y_true, y_pred: as the losses take them.
        queue: the last so many rows are candidates only.
    """
    rows = ops.shape(y_pred)[0] - queue
    vectors, scale, shift = y_pred[:, :, :-2], y_pred[:, :, -2], y_pred[:, :, -1]
    present = scale > 0
    for first, second in itertools.permutations(range(y_pred.shape[1]), 2):
        both = ops.logical_and(present[:, first], present[:, second])
        equal = [y_true[:rows, own, None] == y_true[None, :, own] for own in (first, second)]
        candidate = ops.logical_and(both[:rows, None], both[None, :])
        cosines = ops.matmul(vectors[:rows, first], ops.transpose(vectors[:, second]))
        yield Compared(
            cosines=cosines,
            logits=scale[:rows, first, None] * cosines + shift[:rows, first, None],
            positive=ops.logical_and(candidate, ops.logical_or(*equal)),
            candidate=candidate,
            both=ops.cast(both[:rows], y_pred.dtype),
        )


class AlignmentLoss(BatchwiseLoss):
    """Base class of losses that compare rows.

    The mean over the pairs of inputs that a row has, in both directions; 0 without a pair.
    """

    def __init__(self, queue: int, name: str, reduction: str) -> None:
        super().__init__(name=name, reduction=reduction)
        if queue < 0:
            raise ValueError(f"`queue` must be 0 or more rows, received {queue!r}")
        self.queue = queue

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        # Keras casts targets to float32, in which large numbers that differ would become equal
        return super().__call__(_numbered(y_true), y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        total = count = 0.0
        for one in compared_inputs(y_true, y_pred, self.queue):
            total += self.of_queries(one) * one.both
            count += one.both
        return total / ops.maximum(count, 1.0)

    def counted(self, y_pred: Any) -> Any:
        """1 for each row that has two inputs or more, else 0: float `(batch,)`."""
        return _has_pair(y_pred)

    def of_queries(self, compared: Compared) -> Any:
        """The loss of each query, `(rows,)`; not read where the row lacks one of the inputs."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "queue": self.queue}


@keras.saving.register_keras_serializable("multimodal_tf")
class ContrastiveLoss(AlignmentLoss):
    """InfoNCE: the cross-entropy of finding a row's other input among those of all rows.

    Rows with an equal cell are positives of each other: the loss is the mean over the positives. A
    row takes part in a pair of inputs where it has both. Of more than two inputs the loss is the
    mean over the pairs that the row has.

    Args:
        queue: int. The last so many rows of `y_true` and `y_pred` are candidates without a loss of
            their own, such as the rows of earlier batches.

    Call:
        As `losses.alignment` says. `call` returns float `(batch - queue,)`, nats.

    Raises:
        ValueError: `queue` is negative.

    Example:
        >>> loss, far = ContrastiveLoss(), ops.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
        >>> round(float(loss(ops.array([[0, 0], [1, 1]]), ops.stack([far, far]))), 3)  # log(2)
        0.693

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3; several positives: Khosla et al. 2020,
    arXiv:2004.11362, equation 2; rows of earlier batches: Wang et al. 2020, arXiv:1912.06798.
    """

    def __init__(self, queue: int = 0, name: str = "contrastive", reduction: str = MEAN) -> None:
        super().__init__(queue, name, reduction)

    def of_queries(self, compared: Compared) -> Any:
        return contrasted(compared)


@keras.saving.register_keras_serializable("multimodal_tf")
class PairwiseSigmoidLoss(AlignmentLoss):
    """SigLIP: a binary cross-entropy for each pair of rows, summed over a row's pairs.

    Rows with an equal cell are positives of each other. A row takes part in a pair of inputs where
    it has both. Of more than two inputs the loss is the mean over the pairs that the row has.

    Args:
        queue: as of `ContrastiveLoss`.

    Call:
        As `losses.alignment` says. `call` returns float `(batch - queue,)`, nats.

    Raises:
        ValueError: `queue` is negative.

    Example:
        >>> rows = ops.stack([ops.array([[1.0, 0.0, 1.0, 0.0]] * 2)] * 2)
        >>> loss = PairwiseSigmoidLoss()(ops.array([[0, 0], [1, 1]]), rows)
        >>> round(float(loss), 3)  # log(1 + exp(-1)) + log(1 + exp(1))
        1.627

    Source: Zhai et al. 2023, arXiv:2303.15343, equation 2.
    """

    def __init__(
        self, queue: int = 0, name: str = "pairwise_sigmoid", reduction: str = MEAN
    ) -> None:
        super().__init__(queue, name, reduction)

    def of_queries(self, compared: Compared) -> Any:
        signed = ops.where(compared.positive, -compared.logits, compared.logits)
        return ops.sum(ops.where(compared.candidate, ops.softplus(signed), 0.0), axis=1)


@keras.saving.register_keras_serializable("multimodal_tf")
class PairedDistance(keras.losses.Loss):
    """The squared distance between the vectors of a row, the mean over the pairs that it has.

    Nothing repels: towers that learn may give the same vector to every row.

    Call:
        As `losses.alignment` says, but for `y_true`, which is not read. `call` returns float
        `(batch,)`, 0 to 4: 2 less twice the cosine; 0 in a row without two inputs.

    Example:
        >>> row = ops.array([[[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]])
        >>> float(PairedDistance()(ops.array([[0, 0]]), row))
        2.0
    """

    def __init__(self, name: str = "paired_distance", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        vectors, present = y_pred[:, :, :-2], ops.cast(y_pred[:, :, -2] > 0, y_pred.dtype)
        total = count = 0.0
        for first, second in itertools.combinations(range(y_pred.shape[1]), 2):
            both = present[:, first] * present[:, second]
            apart = ops.sum(ops.square(vectors[:, first] - vectors[:, second]), axis=1)
            total, count = total + both * apart, count + both
        return total / ops.maximum(count, 1.0)

    def counted(self, y_pred: Any) -> Any:
        """1 for each row that has two inputs or more, else 0: float `(batch,)`."""
        return _has_pair(y_pred)


def _has_pair(y_pred: Any) -> Any:
    present = ops.cast(ops.convert_to_tensor(y_pred)[:, :, -2] > 0, "float32")
    return ops.cast(ops.sum(present, axis=1) > 1, "float32")


def contrasted(compared: Compared) -> Any:
    """The cross-entropy of finding a positive among the candidates, `(rows,)`, nats.

    Its mean over the positives; not read where a row lacks one of the inputs.
    """
    logits = ops.where(compared.candidate, compared.logits, _FAR)
    likelihood = logits - ops.logsumexp(logits, axis=1, keepdims=True)
    positive = ops.cast(compared.positive, logits.dtype)
    found = ops.sum(ops.where(compared.positive, likelihood, 0.0), axis=1)
    return -found / ops.maximum(ops.sum(positive, axis=1), 1.0)


def _numbered(y_true: Any) -> Any:
    """Small numbers in place of those of `y_true` `(rows, inputs)`, equal where those are equal."""
    y_true = ops.convert_to_tensor(y_true)
    columns = [y_true[:, index] for index in range(y_true.shape[1])]
    return ops.stack([ops.searchsorted(ops.sort(one), one) for one in columns], axis=1)
