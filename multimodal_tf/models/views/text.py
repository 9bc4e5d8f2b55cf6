"""Views of texts: some of their tokens are left out, drawn row by row."""

from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from multimodal_tf.models.draws import DrawsPerRow
from multimodal_tf.models.towers.text import mask_layer, padding_mask
from multimodal_tf.schema import Subwords

# of the tokens, those that are left out
DROPPED = 0.3


def text_view(stats: Any, x: KerasTensor, name: str) -> KerasTensor:
    """A view of texts without `DROPPED` of their tokens.

    Args:
        stats: what the schema holds for the input.
        x: int32 `(batch, max_tokens)`.
        name: of the layer.
    """
    masked = mask_layer(stats, name)
    framed = isinstance(stats, Subwords)
    layer = TextView(
        DROPPED,
        padding=masked.padding,
        ends_with_padding=masked.ends_with_padding,
        starts=int(framed and stats.start is not None),
        ends=int(framed and stats.end is not None),
        dtype="float32",
        name=name,
    )
    return layer(x)


@keras.saving.register_keras_serializable("multimodal_tf")
class TextView(DrawsPerRow):
    """Leaves tokens out; the others move together, and padding fills up.

    Args:
        dropped: float, 0 to 1 (exclusive). The probability of each token. One token stays.
        padding, ends_with_padding: as of `towers.text.PaddingMask`.
        starts, ends: int. How many tokens before and behind a text frame it and stay.
        seed: as of `DrawsPerRow`.

    Call:
        `tokens` is int32 `(batch, length)`. Returns the same.

    Source: Wei and Zou 2019, arXiv:1901.11196, random deletion.
    """

    def __init__(
        self,
        dropped: float,
        padding: int = 0,
        ends_with_padding: bool = False,
        starts: int = 0,
        ends: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dropped, self.padding, self.starts, self.ends = dropped, padding, starts, ends
        self.ends_with_padding = ends_with_padding

    def call(self, tokens: KerasTensor, training: bool | None = None) -> KerasTensor:
        length = tokens.shape[1]
        valid = padding_mask(tokens, self.padding, self.ends_with_padding)
        count = ops.sum(ops.cast(valid, "int32"), axis=1, keepdims=True)
        index = ops.arange(length, dtype="int32")[None]
        inner = ops.logical_and(index >= self.starts, index < count - self.ends)
        drawn = ops.where(inner, self.uniform(tokens, length, training), -1.0)
        highest = drawn == tf.reduce_max(drawn, axis=1, keepdims=True)
        gone = ops.logical_and(
            inner, ops.logical_and(drawn < self.dropped, ops.logical_not(highest))
        )
        # those that stay in their order, then those that go, whose places are padding
        order = ops.argsort(ops.where(gone, index + length, index), axis=1)
        left = length - ops.sum(ops.cast(gone, "int32"), axis=1, keepdims=True)
        moved = ops.take_along_axis(tokens, order, axis=1)
        return ops.where(index < left, moved, self.padding)

    def compute_output_spec(
        self, tokens: KerasTensor, training: bool | None = None
    ) -> keras.KerasTensor:
        return keras.KerasTensor(tokens.shape, tokens.dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("dropped", "padding", "ends_with_padding", "starts", "ends")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
