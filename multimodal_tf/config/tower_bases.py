"""Fields that several towers share."""

from typing import Literal

import pydantic
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from multimodal_tf.config.names import Fraction, Strict


class Tower(Strict):
    """The end of every tower: a Dense layer of `dim` units (null: none), then dropout."""

    type: str
    dim: PositiveInt | None = None
    dropout: Fraction = 0.0


class PlainTower(Tower):
    """A tower of Keras' core layers, with L2 regularization of its kernels and embeddings."""

    l2: NonNegativeFloat = 0.0


class ConvBlocks(PlainTower):
    """Blocks of convolution, max pooling and batch normalization, then a pooled vector."""

    filters: list[PositiveInt] = Field([32, 64, 128], min_length=1)
    kernel_size: PositiveInt = 3
    padding: Literal["same", "valid"] = "same"
    batch_normalization: bool = True
    pooling: Literal["average", "max", "flatten"] = "average"
    dim: PositiveInt | None = 128


class Spectrogram(Tower):
    """The log-mel spectrogram that a tower reads."""

    mel_bins: PositiveInt = 64
    window_ms: PositiveFloat = 25.0
    hop_ms: PositiveFloat = 10.0


class TransformerBlocks(Strict):
    """Blocks of self-attention; `mlp_units` is the width of a block's first Dense layer."""

    depth: PositiveInt = 2
    heads: PositiveInt = 4
    mlp_units: PositiveInt = 256
    block_dropout: Fraction = 0.1


class SelfAttention(TransformerBlocks, Tower):
    """Blocks of self-attention over tokens that are `units` wide."""

    units: PositiveInt = 128

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
    units: PositiveInt = 128
    depth: PositiveInt = 1
    bidirectional: bool = False
    pooling: Literal["last", "average", "max"] = "last"
