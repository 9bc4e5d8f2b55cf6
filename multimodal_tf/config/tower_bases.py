"""Fields that several towers share."""

from typing import Literal

import pydantic

from multimodal_tf.config.names import (
    AttentionHeads,
    Depth,
    Fraction,
    Milliseconds,
    MLPWidth,
    NonNegative,
    Span,
    Strict,
    Width,
    Widths,
)


class Tower(Strict):
    """The end of every tower: a Dense layer of `dim` units (null: none), then dropout."""

    type: str
    dim: Width | None = None
    dropout: Fraction = 0.0


class PlainTower(Tower):
    """A tower of Keras' core layers, with L2 regularization of its kernels and embeddings."""

    l2: NonNegative = 0.0


class Wide(Strict):
    """`wide`: heads read fixed features of the input, too, beside the fused vector.

    See `models.towers.wide`.
    """

    wide: bool = False


class ConvBlocks(PlainTower):
    """Blocks of convolution, max pooling and batch normalization, then a pooled vector."""

    filters: Widths = [32, 64, 128]
    kernel_size: Span = 3
    padding: Literal["same", "valid"] = "same"
    batch_normalization: bool = True
    pooling: Literal["average", "max", "flatten"] = "average"
    dim: Width | None = 128


class Spectrogram(Tower):
    """The log-mel spectrogram that a tower reads."""

    mel_bins: Span = 64
    window_ms: Milliseconds = 25.0
    hop_ms: Milliseconds = 10.0


class TransformerBlocks(Strict):
    """Blocks of self-attention; `mlp_units` is the width of a block's first Dense layer."""

    depth: Depth = 2
    heads: AttentionHeads = 4
    mlp_units: MLPWidth = 256
    block_dropout: Fraction = 0.1


class SelfAttention(TransformerBlocks, Tower):
    """Blocks of self-attention over tokens that are `units` wide."""

    units: Width = 128

    @pydantic.model_validator(mode="after")
    def _heads_divide(self) -> "SelfAttention":
        if self.units % self.heads:
            raise ValueError(f"heads must divide units ({self.units}), received {self.heads}")
        return self


class Recurrent(Strict):
    """Stacked recurrent layers of `units`.

    `pooling` "last" is the final state; if bidirectional, the final states of both directions.
    """

    type: str
    units: Width = 128
    depth: Depth = 1
    bidirectional: bool = False
    pooling: Literal["last", "average", "max"] = "last"
