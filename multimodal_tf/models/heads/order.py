"""Whether the halves of a text stand in their order: a classifier on the tower's vector."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import OrderHead
from multimodal_tf.models.draws import DrawsPerRow
from multimodal_tf.models.heads.objective import loss, metrics, prior
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.reread import Reread
from multimodal_tf.models.towers.text import mask_layer, padding_mask
from multimodal_tf.schema import Subwords

__all__ = ["loss", "metrics", "output", "prior"]


def output(
    head: OrderHead,
    stats: None,
    x: Sequence[Reread],
    name: str,
    any_present: None = None,
) -> keras.KerasTensor:
    """The rows' losses and hits `(batch, 3)`; see `models.heads.output`."""
    (text,) = x
    given, learned = text.given, text.given.stats
    masked = mask_layer(learned, given.name)
    framed = isinstance(learned, Subwords)
    halves = SwappedHalves(
        masked.padding,
        masked.ends_with_padding,
        starts=int(framed and learned.start is not None),
        ends=int(framed and learned.end is not None),
        dtype="float32",
        name=f"{name}_halves",
    )
    flags = [] if given.present is None else [given.present]
    tokens, swapped = halves(given.x, *flags)
    vector = text.again(tokens, f"{name}_again").vector
    logit = layers.Dense(1, dtype="float32", name=f"{name}_logit")(vector)
    return BinaryRowLosses(dtype="float32", name=name)(logit, swapped)


@keras.saving.register_keras_serializable("multimodal_tf")
class SwappedHalves(DrawsPerRow):
    """Puts the second half of a text before its first in half of the rows, drawn at random.

    Args:
        padding, ends_with_padding: as of `towers.text.PaddingMask`.
        starts, ends: int. How many tokens before and behind a text frame it and stay where they
            are.
        seed: as of `DrawsPerRow`.

    Call:
        `tokens` is int32 `(batch, length)`; `present`, if given, float `(batch,)`, above 0.5 where
        the text is present. Returns such tokens, and float32 `(batch,)`: 1 where the halves are
        swapped, 0 where they are not, -1 where that would change nothing.
    """

    def __init__(
        self,
        padding: int = 0,
        ends_with_padding: bool = False,
        starts: int = 0,
        ends: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.padding, self.ends_with_padding = padding, ends_with_padding
        self.starts, self.ends = starts, ends

    def call(self, tokens: Any, present: Any = None, training: bool | None = None) -> Any:
        valid = padding_mask(tokens, self.padding, self.ends_with_padding)
        length = ops.sum(ops.cast(valid, "int32"), axis=1, keepdims=True) - self.starts - self.ends
        length = ops.maximum(length, 1)
        index = ops.arange(tokens.shape[1], dtype="int32")[None] - self.starts
        inside = ops.logical_and(index >= 0, index < length)
        source = ops.where(inside, ops.mod(index + length // 2, length), index) + self.starts
        swapped = ops.take_along_axis(tokens, source, axis=1)
        drawn = self.uniform(tokens, 1, training) < 0.5
        undecided = ops.all(swapped == tokens, axis=1)
        if present is not None:
            undecided = ops.logical_or(undecided, present < 0.5)
        order = ops.where(undecided, -1.0, ops.cast(drawn[:, 0], "float32"))
        return ops.where(drawn, swapped, tokens), order

    def compute_output_spec(
        self, tokens: keras.KerasTensor, present: Any = None, training: bool | None = None
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        return (
            keras.KerasTensor(tokens.shape, tokens.dtype),
            keras.KerasTensor(tokens.shape[:1], "float32"),
        )

    def get_config(self) -> dict[str, Any]:
        own = {
            "padding": self.padding,
            "ends_with_padding": self.ends_with_padding,
            "starts": self.starts,
            "ends": self.ends,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("multimodal_tf")
class BinaryRowLosses(Layer):
    """Cross-entropy of a binary target, and whether it was hit.

    Call:
        `logit` is float `(batch, 1)`, `target` float `(batch,)`, 1 or 0, or -1 in a row that
        teaches nothing. Returns `(batch, 3)`: loss in nats, hits and count, zeros in such a row.
    """

    def call(self, logit: Any, target: Any) -> Any:
        logit = logit[:, 0]
        loss = ops.softplus(ops.where(target > 0.5, -logit, logit))
        hit = ops.cast((logit > 0) == (target > 0.5), loss.dtype)
        counts = ops.cast(target >= 0, loss.dtype)
        return ops.where((target >= 0)[:, None], ops.stack([loss, hit, counts], axis=1), 0.0)

    def compute_output_shape(self, logit_shape: Any, target_shape: Any) -> Any:
        return (logit_shape[0], 3)
