"""The towers that can be chosen: one input to tokens and a vector."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from multimodal_tf.config.names import Fraction, Strict


class Tower(Strict):
    """What every tower has at its end: `dim` units of a Dense layer over the pooled vector (null:
    none), then dropout.
    """

    type: str
    dim: PositiveInt | None = None
    dropout: Fraction = 0.0


class _Plain(Tower):
    """A tower of Keras' plain layers; `l2` times the sum of the squares of their kernels and
    embeddings is added to the loss.
    """

    l2: NonNegativeFloat = 0.0


class _ConvBlocks(_Plain):
    filters: list[PositiveInt] = Field([32, 64, 128], min_length=1)
    kernel_size: PositiveInt = 3
    padding: Literal["same", "valid"] = "same"
    batch_normalization: bool = True
    pooling: Literal["average", "max", "flatten"] = "average"
    dim: PositiveInt | None = 128


class _Spectrogram(Tower):
    mel_bins: PositiveInt = 64
    window_ms: PositiveFloat = 25.0
    hop_ms: PositiveFloat = 10.0


class _Transformer(Tower):
    """Blocks of self-attention; `units` is the width of a token, `mlp_units` that between a block's
    two Dense layers.
    """

    units: PositiveInt = 128
    depth: PositiveInt = 2
    heads: PositiveInt = 4
    mlp_units: PositiveInt = 256
    block_dropout: Fraction = 0.1

    @pydantic.model_validator(mode="after")
    def _heads_divide(self):
        if self.units % self.heads:
            raise ValueError(f"heads must divide units ({self.units}), received {self.heads}")
        return self


class _Recurrent(Strict):
    """Recurrent layers of `units`, each over the one before; `pooling` "last" is the final state,
    or both ends' if bidirectional.
    """

    type: str
    units: PositiveInt = 128
    depth: PositiveInt = 1
    bidirectional: bool = False
    pooling: Literal["last", "average", "max"] = "last"


# of the images that a network was trained with
PixelRange = Literal["0..1", "-1..1", "0..255"]


class _Pretrained(Tower):
    """Frozen, it runs as in inference; `pooling` is over its tokens."""

    trainable: bool = False
    pooling: Literal["average", "max", "first", "last"] = "average"


class SavedModelTower(_Pretrained):
    """A TensorFlow SavedModel: a folder, a `.tar.gz`, or a TF-Hub handle, which the extra `tfhub`
    resolves (`models.towers.saved_model`).

    `signature` and `output` may be left out where there is only one. The `.keras` file carries a
    copy.
    """

    type: Literal["saved_model"] = "saved_model"
    path: str
    pixels: PixelRange = "0..1"
    signature: str | None = None
    output: str | None = None


class KerasTower(_Pretrained):
    """A saved `.keras` model up to a layer; `layer` null: up to its output
    (`models.towers.keras_file`).
    """

    type: Literal["keras"] = "keras"
    path: str
    pixels: PixelRange = "0..1"
    layer: str | None = None


class PresetTower(_Pretrained):
    """A KerasHub backbone from a preset: a folder, or a handle such as `kaggle://...` or `hf://...`
    (`models.towers.preset`).

    Of one with several parts (T5, CLIP) the encoder of such an input; CLIP's own `pooling` is
    "first" of an image, "last" of a text. What the preset expects (tokenizer, pixel scale, a
    sound's features) comes with it. `weights` false: its architecture, drawn anew.
    """

    type: Literal["preset"] = "preset"
    preset: str
    weights: bool = True

    @pydantic.model_validator(mode="after")
    def _learns(self):
        if not self.weights and not self.trainable:
            raise ValueError(
                "trainable must be true where weights is false, since nothing else would teach them, received false"
            )
        return self


# --- images


class ConvTower(_ConvBlocks):
    """Blocks of Conv2D, normalisation and max pooling, then one vector (`models.towers.image`): the
    image tower for small tables.
    """

    type: Literal["cnn"] = "cnn"
    filters: list[PositiveInt] = Field([32, 64, 128, 128], min_length=1)


class ResNetTower(Tower):
    """Residual blocks (He et al. 2016); the stages have `filters`, 2 x, 4 x and 8 x `filters`.

    At depth 18, 64 filters make 11 million parameters, 16 make 0.7 million.
    """

    type: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50] = 18
    filters: PositiveInt = 64
    pooling: Literal["average", "max"] = "average"


class ApplicationTower(Tower):
    """Any constructor of `keras.applications`, such as EfficientNetB0, MobileNetV3Small or
    ConvNeXtTiny, with its own scaling of pixels.

    `weights`: a local file in Keras' format; null: drawn by the seed.
    """

    type: Literal["application"] = "application"
    name: str = "EfficientNetB0"
    weights: str | None = None
    trainable: bool = True
    pooling: Literal["average", "max"] = "average"

    @pydantic.model_validator(mode="after")
    def _something_teaches(self):
        if self.weights is None and not self.trainable:
            raise ValueError(
                "trainable must be true where weights is null, since nothing else would teach them, received false"
            )
        return self


class ViTTower(_Transformer):
    """Vision transformer over patches of `patch_size` x `patch_size` pixels (Dosovitskiy et al.
    2021).
    """

    type: Literal["vit"] = "vit"
    patch_size: PositiveInt = 16
    pooling: Literal["average", "first"] = "first"


# --- texts


class BagTower(_Plain):
    """The mean of the tokens' embeddings, whatever their order: the text tower for small tables
    (`models.towers.text`).
    """

    type: Literal["bag"] = "bag"
    embedding_dim: PositiveInt = 128
    dropout: Fraction = 0.5


class LSTMTower(_Recurrent, _Plain):
    """Embedding and LSTMs, padding masked (`models.towers.text`)."""

    type: Literal["lstm"] = "lstm"
    embedding_dim: PositiveInt = 128


class GRUTower(_Recurrent, _Plain):
    """Embedding and GRUs, padding masked (`models.towers.text`)."""

    type: Literal["gru"] = "gru"
    embedding_dim: PositiveInt = 128


class TransformerTower(_Transformer):
    """Self-attention over tokens and positions: every token sees all (as BERT), or with `causal`
    itself and those before it (as GPT).

    `pooling` is "last" by default if `causal`, since the last token alone has seen all; else
    "average".
    """

    type: Literal["transformer"] = "transformer"
    causal: bool = False
    pooling: Literal["average", "first", "last"] = "average"

    @property
    def embedding_dim(self):
        """As the other towers of a text have it."""
        return self.units

    @pydantic.model_validator(mode="before")
    @classmethod
    def _last_has_seen_all(cls, fields):
        if isinstance(fields, dict) and fields.get("causal") and "pooling" not in fields:
            return fields | {"pooling": "last"}
        return fields

    @pydantic.model_validator(mode="after")
    def _first_has_seen_nothing(self):
        if self.causal and self.pooling == "first":
            raise ValueError(
                "pooling must be 'last' or 'average' if causal, since the first token sees no other, received 'first'"
            )
        return self


# --- sounds


class SpectrogramTower(_ConvBlocks, _Spectrogram):
    """Log-mel spectrogram, computed in the model, then blocks as of `ConvTower`
    (`models.towers.audio`).
    """

    type: Literal["spectrogram_cnn"] = "spectrogram_cnn"


class CRNNTower(_Recurrent, _ConvBlocks, _Spectrogram):
    """Log-mel spectrogram, blocks that each halve the pitch, and the first `time_pools` the time
    too, then GRUs (Cakir et al. 2017).
    """

    type: Literal["crnn"] = "crnn"
    filters: list[PositiveInt] = Field([32, 64, 64, 64], min_length=1)
    time_pools: int = Field(2, ge=0)
    bidirectional: bool = True
    pooling: Literal["last", "average", "max"] = "average"  # type: ignore[assignment]
    dim: PositiveInt | None = None


class SpectrogramTransformerTower(_Spectrogram, _Transformer):
    """Log-mel spectrogram in patches of `patch_ms` by `patch_bins`, then self-attention (Gong et
    al. 2021, AST).
    """

    type: Literal["spectrogram_transformer"] = "spectrogram_transformer"
    patch_ms: PositiveFloat = 160.0
    patch_bins: PositiveInt = 16
    pooling: Literal["average", "max"] = "average"


class WaveformTower(_Plain):
    """One-dimensional convolutions on the samples themselves (Dai et al. 2017, M5).

    The first has a kernel of `window_ms` and goes by `stride`; every block then pools by `stride`.
    """

    type: Literal["waveform_cnn"] = "waveform_cnn"
    filters: list[PositiveInt] = Field([32, 64, 128, 128], min_length=1)
    window_ms: PositiveFloat = 10.0
    kernel_size: PositiveInt = 3
    stride: PositiveInt = 4
    pooling: Literal["average", "max"] = "average"
    dim: PositiveInt | None = 128


# --- numbers, categories, dates, booleans


class DenseTower(Strict):
    """A Dense layer over one number, date or boolean, or over a category's embedding
    (`models.towers.tabular`).

    Where `Config.tabular` is one tower over all of them, what counts of this is an `mlp`'s
    embedding of a category, of width `dim`.
    """

    type: Literal["dense"] = "dense"
    dim: PositiveInt = 16
    l2: NonNegativeFloat = 0.0


class MLPTower(_Plain):
    """Dense layers over all numbers, categories, dates and booleans of the row at once."""

    type: Literal["mlp"] = "mlp"
    hidden: list[PositiveInt] = Field([128, 128], min_length=1)
    dropout: Fraction = 0.2


class FeatureTransformerTower(_Transformer):
    """Self-attention over one token a number, category, date or boolean (Gorishniy et al. 2021,
    FT-Transformer).
    """

    type: Literal["feature_transformer"] = "feature_transformer"
    units: PositiveInt = 64
    mlp_units: PositiveInt = 128


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


# --- videos


class Conv3DTower(_ConvBlocks):
    """Blocks of Conv3D, normalisation and max pooling, then one vector (`models.towers.video`); all
    but the first block halve the time.
    """

    type: Literal["conv3d"] = "conv3d"
    filters: list[PositiveInt] = Field([16, 32, 64], min_length=1)
    pooling: Literal["average", "max"] = "average"  # type: ignore[assignment]


class FramesAverage(Strict):
    """The mean over the frames."""

    type: Literal["average"] = "average"


class FramesLSTM(_Recurrent):
    """LSTMs over the frames (Donahue et al. 2015)."""

    type: Literal["lstm"] = "lstm"


class FramesTransformer(Strict):
    """Self-attention over the frames and their positions."""

    type: Literal["transformer"] = "transformer"
    depth: PositiveInt = 2
    heads: PositiveInt = 4
    mlp_units: PositiveInt = 256
    block_dropout: Fraction = 0.1


class FramesTower(Tower):
    """Any image tower on each frame, then `over` the frames (`models.towers.video`)."""

    type: Literal["frames"] = "frames"
    frame: ImageTower = ConvTower()
    over: Annotated[FramesAverage | FramesLSTM | FramesTransformer, Field(discriminator="type")] = (
        FramesLSTM()
    )


VideoTower = Annotated[Conv3DTower | FramesTower, Field(discriminator="type")]
