"""Towers: networks that turn one input into tokens and one vector."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from multimodal_tf.config.names import (
    Fraction,
    Milliseconds,
    MLPWidth,
    NonNegative,
    Span,
    Strict,
    Width,
    Widths,
)
from multimodal_tf.config.pretrained_towers import KerasTower, PresetTower, SavedModelTower
from multimodal_tf.config.tower_bases import (
    ConvBlocks,
    PlainTower,
    Recurrent,
    SelfAttention,
    Spectrogram,
    Tower,
    TransformerBlocks,
    Wide,
)

# --- of images


class ConvTower(Wide, ConvBlocks):
    """Blocks of Conv2D, then one vector: the image tower for small tables.

    See `models.towers.image`.
    """

    type: Literal["cnn"] = "cnn"
    filters: Widths = [32, 64, 128, 128]


class ResNetTower(Tower):
    """Residual blocks (He et al. 2016); the stages have `filters`, 2 x, 4 x and 8 x `filters`.

    At depth 18, 64 filters make 11 million parameters, 16 make 0.7 million.
    """

    type: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50] = 18
    filters: Width = 64
    pooling: Literal["average", "max"] = "average"


class ApplicationTower(Tower):
    """A constructor of `keras.applications`, such as EfficientNetB0 or MobileNetV3Small.

    The application's own pixel scaling is used. `weights`: a local file in Keras' format; null:
    random weights from the seed.
    """

    type: Literal["application"] = "application"
    name: str = "EfficientNetB0"
    weights: str | None = None
    trainable: bool = True
    pooling: Literal["average", "max"] = "average"

    @pydantic.model_validator(mode="after")
    def _random_weights_are_trained(self) -> "ApplicationTower":
        if self.weights is None and not self.trainable:
            raise ValueError(
                "trainable must be true if weights is null, since random weights have to be"
                " trained, received false"
            )
        return self


class ViTTower(SelfAttention):
    """Vision transformer on patches of `patch_size` x `patch_size` (Dosovitskiy et al. 2021)."""

    type: Literal["vit"] = "vit"
    patch_size: Span = 16
    pooling: Literal["average", "first"] = "first"


# --- of texts


class BagTower(Wide, PlainTower):
    """The mean of the token embeddings, in any order: the text tower for small tables.

    See `models.towers.text`.
    """

    type: Literal["bag"] = "bag"
    embedding_dim: Width = 128
    dropout: Fraction = 0.5


class LSTMTower(Recurrent, PlainTower):
    """Embedding and LSTMs; padding is masked (`models.towers.text`)."""

    type: Literal["lstm"] = "lstm"
    embedding_dim: Width = 128


class GRUTower(Recurrent, PlainTower):
    """Embedding and GRUs; padding is masked (`models.towers.text`)."""

    type: Literal["gru"] = "gru"
    embedding_dim: Width = 128


class TransformerTower(SelfAttention):
    """Self-attention over tokens and positions; causal (as GPT) or bidirectional (as BERT).

    `pooling` defaults to "last" if `causal`, since only the last token attends to all others; else
    to "average".
    """

    type: Literal["transformer"] = "transformer"
    causal: bool = False
    pooling: Literal["average", "first", "last"] = "average"

    @property
    def embedding_dim(self) -> int:
        """The width of the embeddings, named as in the other text towers."""
        return self.units

    @pydantic.model_validator(mode="before")
    @classmethod
    def _default_pooling(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and fields.get("causal") and "pooling" not in fields:
            return {**fields, "pooling": "last"}
        return fields

    @pydantic.model_validator(mode="after")
    def _causal_pooling(self) -> "TransformerTower":
        if self.causal and self.pooling == "first":
            raise ValueError(
                "pooling must be 'last' or 'average' if causal, since the first token attends to"
                " no other, received 'first'"
            )
        return self


# --- of waveforms


class SpectrogramTower(Wide, ConvBlocks, Spectrogram):
    """Log-mel spectrogram, computed in the model, then blocks of Conv2D."""

    type: Literal["spectrogram_cnn"] = "spectrogram_cnn"


class CRNNTower(Recurrent, ConvBlocks, Spectrogram):
    """Log-mel spectrogram, blocks of Conv2D, then GRUs (Cakir et al. 2017).

    Each block halves the frequency axis; the first `time_pools` blocks halve the time axis too.
    """

    type: Literal["crnn"] = "crnn"
    filters: Widths = [32, 64, 64, 64]
    time_pools: int = Field(2, ge=0, le=200)
    bidirectional: bool = True
    # Its two bases allow different poolings.
    pooling: Literal["last", "average", "max"] = "average"  # type: ignore[assignment]
    dim: Width | None = None


class SpectrogramTransformerTower(Spectrogram, SelfAttention):
    """Log-mel spectrogram in patches of `patch_ms` x `patch_bins`, then self-attention.

    Source: Gong et al. 2021 (AST).
    """

    type: Literal["spectrogram_transformer"] = "spectrogram_transformer"
    patch_ms: Milliseconds = 160.0
    patch_bins: Span = 16
    pooling: Literal["average", "max"] = "average"


class WaveformTower(PlainTower):
    """One-dimensional convolutions on the samples (Dai et al. 2017, M5).

    The first kernel spans `window_ms` and has stride `stride`; every block then pools by `stride`.
    """

    type: Literal["waveform_cnn"] = "waveform_cnn"
    filters: Widths = [32, 64, 128, 128]
    window_ms: Milliseconds = 10.0
    kernel_size: Span = 3
    stride: Span = 4
    pooling: Literal["average", "max"] = "average"
    dim: Width | None = 128


# --- of numbers, categories, booleans and dates


class DenseTower(Wide):
    """A Dense layer over one number, date or boolean, or over a category's embedding.

    If `Config.tabular` is one tower over all of them, only `dim` is used: as the width of a
    category's embedding in an `mlp` (`models.towers.tabular`).
    """

    type: Literal["dense"] = "dense"
    dim: Width = 16
    l2: NonNegative = 0.0


class MLPTower(Wide, PlainTower):
    """Dense layers over all numbers, categories, dates and booleans of the row at once."""

    type: Literal["mlp"] = "mlp"
    hidden: Widths = [128, 128]
    dropout: Fraction = 0.2


class FeatureTransformerTower(SelfAttention):
    """Self-attention over one token per number, category, date or boolean.

    Source: Gorishniy et al. 2021 (FT-Transformer).
    """

    type: Literal["feature_transformer"] = "feature_transformer"
    units: Width = 64
    mlp_units: MLPWidth = 128


ImageTower = Annotated[
    ConvTower
    | ResNetTower
    | ApplicationTower
    | ViTTower
    | PresetTower
    | SavedModelTower
    | KerasTower,
    Field(discriminator="type"),
]
TextTower = Annotated[
    BagTower | LSTMTower | GRUTower | TransformerTower | PresetTower | SavedModelTower | KerasTower,
    Field(discriminator="type"),
]
AudioTower = Annotated[
    SpectrogramTower
    | CRNNTower
    | SpectrogramTransformerTower
    | WaveformTower
    | PresetTower
    | SavedModelTower
    | KerasTower,
    Field(discriminator="type"),
]
TabularTower = Annotated[MLPTower | FeatureTransformerTower, Field(discriminator="type")]


# --- of frames


class Conv3DTower(ConvBlocks):
    """Blocks of Conv3D, then one vector; all blocks but the first halve the time axis."""

    type: Literal["conv3d"] = "conv3d"
    filters: Widths = [16, 32, 64]
    pooling: Literal["average", "max"] = "average"


class FramesAverage(Strict):
    """The mean over the frames."""

    type: Literal["average"] = "average"


class FramesLSTM(Recurrent):
    """LSTMs over the frames (Donahue et al. 2015)."""

    type: Literal["lstm"] = "lstm"


class FramesTransformer(TransformerBlocks):
    """Self-attention over the frames and their positions."""

    type: Literal["transformer"] = "transformer"


class FramesTower(Tower):
    """Any image tower on each frame, then `over` the frames (`models.towers.video`)."""

    type: Literal["frames"] = "frames"
    frame: ImageTower = ConvTower()
    over: Annotated[FramesAverage | FramesLSTM | FramesTransformer, Field(discriminator="type")] = (
        FramesLSTM()
    )


VideoTower = Annotated[Conv3DTower | FramesTower, Field(discriminator="type")]
