"""The loss of two views of one cell, which find each other among those of other cells.

`y_pred` and `y_true` are those of `losses.alignment` with two vectors a row, one for each view, and
the same number for both: that of the cell.
"""

from typing import Any

import keras
from keras import ops

from multimodal_tf.losses.alignment import AlignmentLoss, Compared, compared_inputs, contrasted
from multimodal_tf.losses.labels import MEAN


@keras.saving.register_keras_serializable("multimodal_tf")
class ViewsLoss(AlignmentLoss):
    """NT-Xent: the cross-entropy of finding a view's other one among the views of all rows.

    A view is compared with both views of every row but itself: of N rows, 2 N - 2 views repel it.
    Views of equal cells are positives of each other: the loss is the mean over the positives. A
    missing cell's views neither attract nor repel. With `keys` the first view is compared with the
    second views alone, as MoCo does, whose second views come from another encoder.

    Args:
        queue: int. The last so many rows of `y_true` and `y_pred` are candidates without a loss of
            their own, such as the rows of earlier batches.
        keys: bool. Whether first views are compared with second views only.

    Call:
        As `losses.alignment` says, with two vectors a row. `call` returns float `(batch - queue,)`,
        nats: the mean over a row's views that are compared; 0 in a row whose cell is missing.

    Raises:
        ValueError: `queue` is negative.

    Example:
        >>> rows = ops.array([[[1.0, 0.0, 1.0, 0.0]] * 2] * 2)
        >>> round(float(ViewsLoss()(ops.array([[0, 0], [1, 1]]), rows)), 3)  # log(3)
        1.099

    Source: Chen et al. 2020, arXiv:2002.05709, equation 1; several positives: Khosla et al. 2020,
    arXiv:2004.11362, equation 2; keys and queue: He et al. 2020, arXiv:1911.05722, equation 1.
    """

    def __init__(
        self, queue: int = 0, keys: bool = False, name: str = "views", reduction: str = MEAN
    ) -> None:
        super().__init__(queue, name, reduction)
        self.keys = keys

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        across = [*compared_inputs(y_true, y_pred, self.queue)]
        if self.keys:
            return self.of_queries(across[0]) * across[0].both
        same = [self._without_itself(y_true, y_pred, view) for view in (0, 1)]
        losses = [self.of_queries(_beside(one, other)) for one, other in zip(across, same)]
        return sum(losses) / 2 * across[0].both

    def of_queries(self, compared: Compared) -> Any:
        return contrasted(compared)

    def _without_itself(self, y_true: Any, y_pred: Any, view: int) -> Compared:
        """A view of the rows as queries for the same view of the others."""
        both = ops.stack([y_pred[:, view], y_pred[:, view]], axis=1)
        compared = next(compared_inputs(y_true, both, self.queue))
        rows, candidates = ops.shape(compared.logits)[0], ops.shape(compared.logits)[1]
        other = ops.arange(rows)[:, None] != ops.arange(candidates)[None, :]
        return compared._replace(
            positive=ops.logical_and(compared.positive, other),
            candidate=ops.logical_and(compared.candidate, other),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keys": self.keys}


def _beside(one: Compared, other: Compared) -> Compared:
    """The candidates of both for the same queries."""
    fields = ("cosines", "logits", "positive", "candidate")
    joined = {
        field: ops.concatenate([getattr(one, field), getattr(other, field)], axis=1)
        for field in fields
    }
    return one._replace(**joined)
