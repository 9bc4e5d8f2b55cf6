"""Whether two inputs of a row belong together, by their tokens, against hard mismatched pairs."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import CrossModalFusion, TokenMatchingHead
from multimodal_tf.losses import TokenMatchingLoss
from multimodal_tf.models import replicas
from multimodal_tf.models.draws import DrawsPerRow, fingerprints
from multimodal_tf.models.fusion import fuse
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.reread import Reread

# of the similarities by which mismatched pairs are drawn
_TEMPERATURE = 0.1


def output(
    head: TokenMatchingHead,
    stats: None,
    x: Sequence[Reread],
    name: str,
    any_present: None = None,
) -> keras.KerasTensor:
    """Logits of a row's pairs `(batch, 2, 3)`; see `models.heads.output`."""
    flags = [one.given.present for one in x if one.given.present is not None]
    drawn = MismatchedRows(dtype="float32", name=f"{name}_mismatched")
    rows, counts = drawn(
        [one.given.x for one in x], [one.encoding.vector for one in x], flags or None
    )
    encodings, present = {}, {}
    for side, one in enumerate(x):
        own, encoding = one.given.name, one.encoding

        def pairs(tensor: Any, part: str, side: int = side, own: str = own) -> Any:
            return WithMismatched(side, name=f"{name}_{own}_{part}_of_pairs")(tensor, rows)

        encodings[own] = encoding._replace(
            tokens=pairs(encoding.tokens, "tokens"),
            mask=pairs(encoding.mask, "mask"),
            vector=pairs(encoding.vector, "vector"),
            wide=None,
        )
        if one.given.present is not None:
            present[own] = pairs(one.given.present, "present")
    fusion = CrossModalFusion(
        dim=head.dim,
        heads=head.heads,
        mlp_units=2 * head.dim,
        depth=head.depth,
        block_dropout=0,
        dropout=0,
    )
    fused = fuse(fusion, encodings, present, f"{name}_pair")
    logits = layers.Dense(1, dtype="float32", name=f"{name}_logit")(fused.vector)
    return PairLogits(dtype="float32", name=name)(logits, counts)


def prior(head: TokenMatchingHead, stats: None, width: int) -> list[float]:
    """Zeros: a logit of 0."""
    return [0.0] * width


def loss(head: TokenMatchingHead, stats: None) -> keras.losses.Loss:
    """Binary cross-entropies of the row's pair and of its mismatched pairs."""
    return TokenMatchingLoss()


def metrics(head: TokenMatchingHead) -> list[keras.metrics.Metric]:
    """Accuracy on these pairs."""
    return [TokenMatchingAccuracy(name="accuracy")]


@keras.saving.register_keras_serializable("multimodal_tf")
class MismatchedRows(DrawsPerRow):
    """Draws for each row two others of the batch: one gives the second input, one the first.

    The batch is that of all replicas.

    A row is the likelier the more its input's vector resembles the row's own, in proportion to
    `exp(cosine / 0.1)`. Rows that lack the input, and rows with a cell that is equal to one of the
    row's, are never drawn.

    Call:
        `cells` and `vectors` are lists of two tensors `(batch, ...)` of numbers and `(batch, dim)`,
        `present` a list of two float `(batch,)`, or None. Returns int32 `(batch, 2)`, the rows of
        all replicas that give the second and the first input, and float32 `(batch, 3)`: 1 where the
        row has both inputs, and where a row was found for it; else 0.

    Source: Li et al. 2021, arXiv:2107.07651, section 3.3 (ALBEF). There an image's similarity to
    the texts of other rows counts, here that of the texts, which needs no common space.
    """

    def call(self, cells: Any, vectors: Any, present: Any = None, training: Any = None) -> Any:
        numbers = [fingerprints(one) for one in cells]
        if present is None:
            present = [ops.ones_like(vectors[0][:, 0])] * 2
        units = [
            ops.normalize(ops.stop_gradient(ops.cast(one, "float32")), axis=1) for one in vectors
        ]
        there = [one > 0.5 for one in present]
        every_number, every_unit, every_there = replicas.every_row((numbers, units, there))
        unequal = ops.logical_not(
            ops.logical_or(
                *(own[:, None] == every[None] for own, every in zip(numbers, every_number))
            )
        )
        both = ops.logical_and(*there)
        drawn = self.uniform(ops.stack(numbers, axis=1), 2, training)
        rows, counts = [], [both]
        for column, side in enumerate((1, 0)):
            candidates = ops.logical_and(both[:, None], every_there[side][None])
            allowed = ops.logical_and(unequal, candidates)
            cosines = ops.matmul(units[side], ops.transpose(every_unit[side]))
            near = ops.exp((cosines - 1) / _TEMPERATURE)
            upto = ops.cumsum(near * ops.cast(allowed, near.dtype), axis=1)
            # rounding must not reach the whole sum
            least = drawn[:, column, None] * (1 - 1e-6) * upto[:, -1:]
            # a column that is never drawn, because there is no maximum of no rows
            reached = ops.pad(ops.cast(upto > least, "int32"), [[0, 0], [0, 1]])
            rows.append(ops.argmax(reached, axis=1))
            counts.append(ops.any(allowed, axis=1))
        return (
            ops.cast(ops.stack(rows, axis=1), "int32"),
            ops.cast(ops.stack(counts, axis=1), "float32"),
        )

    def compute_output_spec(
        self, cells: Any, vectors: Any, present: Any = None, training: Any = None
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        rows = cells[0].shape[0]
        return keras.KerasTensor((rows, 2), "int32"), keras.KerasTensor((rows, 3), "float32")


@keras.saving.register_keras_serializable("multimodal_tf")
class WithMismatched(Layer):
    """One input of all pairs of a batch: the rows' own, those with another second, another first.

    Args:
        side: int. 0 for the first input, 1 for the second.

    Call:
        `x` is `(batch, ...)`, `rows` int32 `(batch, 2)` of `MismatchedRows`. Returns `(3 * batch,
        ...)`. Rows of other replicas get their gradients.
    """

    def __init__(self, side: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side
        # Keras' own mask ends here, without a warning
        self.supports_masking = True

    def compute_mask(self, x: Any, previous_mask: Any = None) -> None:
        # the blocks get one that knows missing inputs, too
        return None

    def call(self, x: Any, rows: Any) -> Any:
        other = ops.take(replicas.every_row(x), rows[:, 1 - self.side], axis=0)
        return ops.concatenate([x, other, x] if self.side else [x, x, other], axis=0)

    def compute_output_spec(self, x: keras.KerasTensor, rows: Any) -> keras.KerasTensor:
        batch = None if x.shape[0] is None else 3 * x.shape[0]
        return keras.KerasTensor((batch, *x.shape[1:]), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "side": self.side}


@keras.saving.register_keras_serializable("multimodal_tf")
class PairLogits(Layer):
    """The logits of each row's pairs, and which of them count.

    Call:
        `logits` is float `(3 * batch, 1)`, in the order of `WithMismatched`; `counts` float
        `(batch, 3)`, 1 or 0. Returns `(batch, 2, 3)`: logits, 0 where they do not count, and
        `counts`.
    """

    def call(self, logits: Any, counts: Any) -> Any:
        of_rows = ops.transpose(ops.reshape(logits, (3, -1)))
        return ops.stack([ops.where(counts > 0.5, of_rows, 0.0), counts], axis=1)

    def compute_output_shape(self, logits_shape: Any, counts_shape: Any) -> Any:
        return (counts_shape[0], 2, 3)


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenMatchingAccuracy(keras.metrics.Mean):
    """Accuracy: half of it on the rows' own pairs, half on their mismatched ones.

    A row of weight 0, or that lacks one of the two inputs, does not count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        logits, counts = y_pred[:, 0], y_pred[:, 1]
        several = ops.sum(counts[:, 1:], axis=1)
        refused = ops.cast(logits[:, 1:] < 0, counts.dtype) * counts[:, 1:]
        accepted = ops.cast(logits[:, 0] > 0, counts.dtype)
        share = ops.sum(refused, axis=1) / ops.maximum(several, 1.0)
        right = ops.where(several > 0, 0.5 * (accepted + share), accepted)
        weight = counts[:, 0]
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        return super().update_state(right, weight)
