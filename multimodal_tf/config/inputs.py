"""The kinds of input that a table can have, and the facts of each."""

from typing import Annotated, Any, ClassVar, Literal, get_args

import pydantic
from pydantic import Field

from multimodal_tf.config.augmentation import AudioAugmentation, ImageAugmentation
from multimodal_tf.config.column import Column
from multimodal_tf.config.date_format import DateFormat
from multimodal_tf.config.names import Fraction, Pixels, Side, StatsType
from multimodal_tf.config.number_format import NumberFormat
from multimodal_tf.config.text import Tokenizer, WordTokenizer, WordVectors
from multimodal_tf.config.towers import (
    AudioTower,
    BagTower,
    ConvTower,
    DenseTower,
    FramesTower,
    ImageTower,
    SpectrogramTower,
    TextTower,
    VideoTower,
)

CellType = Literal["string", "float32", "float64"]
ShownAs = Literal["text", "image", "frame", "player"]


class _Input(Column):
    """The facts of a kind of input. The rest of the package reads them and never asks which kind.

    `cell_dtype` and `cell_shape` describe one cell in a record, `cell_dtype` and `request_shape`
    one in a request to the served model; `model_dtype` and `model_shape` one row of the model's
    input.
    """

    # whether a cell is one file or several, whose bytes have to be decoded
    is_media: ClassVar[bool] = False
    # how a page shows a cell: its text or numbers, an image, the first of its frames, a player
    shown_as: ClassVar[ShownAs] = "text"
    # whether objectives change its cells: there are views of them, and parts that can be hidden
    is_changeable: ClassVar[bool] = False
    # whether `Config.tabular` reads it
    is_tabular: ClassVar[bool] = False
    cell_dtype: ClassVar[CellType] = "string"

    @property
    def cell_shape(self) -> tuple[int | None, ...]:
        """Shape of a cell; None: any number."""
        return ()

    @property
    def is_several(self) -> bool:
        """Whether a cell is any number of files; a request holds them in one string."""
        return None in self.cell_shape

    @property
    def request_shape(self) -> tuple[int, ...]:
        """Shape of a cell in a request: no axis of it is free."""
        return () if self.is_several else tuple(size or 0 for size in self.cell_shape)

    @property
    def model_shape(self) -> tuple[int, ...]:
        """Shape of one row of the model's input."""
        return ()

    @property
    def model_dtype(self) -> str:
        """Data type of the model's input."""
        return "float32"

    @property
    def stats_type(self) -> StatsType | None:
        """Type of the schema entry that the input needs; None: it needs none."""
        return None


class ImageInput(_Input):
    """Pixels, resized to `height` x `width`.

    A source of more than `max_pixels` pixels is refused from its header.
    """

    is_media: ClassVar[bool] = True
    shown_as: ClassVar[ShownAs] = "image"
    is_changeable: ClassVar[bool] = True
    cell_settings: ClassVar[tuple[str, ...]] = ("max_pixels",)

    type: Literal["image"] = "image"
    height: Side = 96
    width: Side = 96
    channels: Literal[1, 3] = 3
    max_pixels: Pixels = 50_000_000
    augmentation: ImageAugmentation = ImageAugmentation()
    tower: ImageTower = ConvTower()

    @property
    def model_shape(self) -> tuple[int, ...]:
        """`(height, width, channels)`."""
        return self.height, self.width, self.channels


class TextInput(_Input):
    """The first `max_tokens` tokens of a text.

    The default of `max_tokens` is 128 for characters, 256 for n-grams and 32 for other tokens.
    """

    is_changeable: ClassVar[bool] = True

    type: Literal["text"] = "text"
    max_tokens: Annotated[int, Field(gt=0, le=131_072)] = 32
    tokenizer: Tokenizer = WordTokenizer()
    vectors: WordVectors | None = None
    tower: TextTower = BagTower()

    @property
    def model_shape(self) -> tuple[int, ...]:
        """`(max_tokens,)`; `()` without a tokenizer."""
        return () if self.tokenizer.type == "none" else (self.max_tokens,)

    @property
    def model_dtype(self) -> str:
        """Token ids are int32; without a tokenizer the model reads strings."""
        return "string" if self.tokenizer.type == "none" else "int32"

    @property
    def stats_type(self) -> StatsType | None:
        """It depends on the tokenizer."""
        return self.tokenizer.stats_type

    @pydantic.model_validator(mode="before")
    @classmethod
    def _dependent_defaults(cls, fields: Any) -> Any:
        """A pretrained tower brings its tokenizer; small tokens are read in larger numbers."""
        if not isinstance(fields, dict):
            return fields
        preset = _field(fields.get("tower"), "preset")
        if preset is not None and "tokenizer" not in fields:
            fields = fields | {"tokenizer": {"type": "preset", "preset": preset}}
        many = {"characters": 128, "ngrams": 256}.get(_field(fields.get("tokenizer"), "type"))
        return fields if many is None or "max_tokens" in fields else fields | {"max_tokens": many}

    @pydantic.model_validator(mode="after")
    def _tokenizer_of_the_preset(self) -> "TextInput":
        preset = self.tower.preset if self.tower.type == "preset" and self.tower.weights else None
        if preset is not None and getattr(self.tokenizer, "preset", None) != preset:
            raise ValueError(
                f"the tokenizer must be {{type: preset, preset: {preset}}}, as the tower's is,"
                f" received {self.tokenizer.type}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _strings_for_saved_models(self) -> "TextInput":
        if self.tokenizer.type == "none" and self.tower.type not in ("saved_model", "keras"):
            raise ValueError(
                "the tokenizer none needs a tower that takes strings, saved_model or keras,"
                f" received {self.tower.type}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _vectors_of_a_vocabulary(self) -> "TextInput":
        if self.vectors is not None and self.tokenizer.stats_type != "vocabulary":
            raise ValueError(
                f"vectors need the tokenizer words or characters, received {self.tokenizer.type}"
            )
        # a pretrained tower has its own
        if self.vectors is not None and not hasattr(self.tower, "embedding_dim"):
            raise ValueError(
                "vectors need a tower with embeddings of its own: bag, lstm, gru or transformer,"
                f" received {self.tower.type}"
            )
        return self


def _field(config: Any, name: str) -> Any:
    """A field of a configuration or of a dict; None where it has no such field."""
    return config.get(name) if isinstance(config, dict) else getattr(config, name, None)


class AudioInput(_Input):
    """The first `seconds` of a clip, mono, at `sample_rate` Hz.

    A shorter clip is padded with silence, which the towers mask.
    """

    is_media: ClassVar[bool] = True
    shown_as: ClassVar[ShownAs] = "player"
    is_changeable: ClassVar[bool] = True
    cell_settings: ClassVar[tuple[str, ...]] = ("sample_rate", "seconds")

    type: Literal["audio"] = "audio"
    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    seconds: Annotated[float, Field(gt=0, le=600)] = 2.0
    augmentation: AudioAugmentation = AudioAugmentation()
    tower: AudioTower = SpectrogramTower()

    @pydantic.model_validator(mode="after")
    def _masks_need_a_spectrogram(self) -> "AudioInput":
        masks = {
            name: getattr(self.augmentation, name) for name in ("time_masks", "frequency_masks")
        }
        if any(masks.values()) and not hasattr(self.tower, "mel_bins"):
            raise ValueError(
                "augmentation: time_masks and frequency_masks need a tower over spectrograms,"
                f" received {masks} for a {self.tower.type}"
            )
        return self

    @property
    def samples(self) -> int:
        """Number of samples that the model reads."""
        return max(1, round(self.sample_rate * self.seconds))

    @property
    def model_shape(self) -> tuple[int, ...]:
        """`(samples,)`."""
        return (self.samples,)


class VideoInput(_Input):
    """`frames` evenly spaced frames of a video, resized to `height` x `width`.

    A video of fewer frames repeats some.
    """

    is_media: ClassVar[bool] = True
    shown_as: ClassVar[ShownAs] = "frame"
    cell_settings: ClassVar[tuple[str, ...]] = ("frames", "height", "max_pixels", "width")

    type: Literal["video"] = "video"
    frames: Annotated[int, Field(ge=1, le=256)] = 8
    height: Side = 96
    width: Side = 96
    channels: Literal[1, 3] = 3
    # of one frame
    max_pixels: Pixels = 50_000_000
    tower: VideoTower = FramesTower()

    @property
    def cell_shape(self) -> tuple[int | None, ...]:
        """The files of the frames."""
        return (None,)

    @property
    def model_shape(self) -> tuple[int, ...]:
        """`(frames, height, width, channels)`."""
        return self.frames, self.height, self.width, self.channels


class ValueInput(_Input):
    """Base class of the kinds whose cell is one value, without parts to be explained."""


class NumberInput(ValueInput):
    """A number, normalized by the training split's mean and standard deviation.

    `format` says how texts write it, where that is not as programs do: `1 234,5`, `$12.50`.
    """

    is_tabular: ClassVar[bool] = True
    cell_dtype: ClassVar[CellType] = "float64"

    cell_settings: ClassVar[tuple[str, ...]] = ("format",)

    type: Literal["number"] = "number"
    format: NumberFormat = NumberFormat()
    tower: DenseTower = DenseTower()

    @property
    def stats_type(self) -> StatsType | None:
        """Mean and standard deviation."""
        return "moments"


class CategoryInput(ValueInput):
    """One of the values of the training split, or unknown.

    In training a random share `unknown` of the values is replaced by the unknown value, so that the
    model learns to handle it.
    """

    is_tabular: ClassVar[bool] = True

    type: Literal["category"] = "category"
    unknown: Fraction = 0.05
    tower: DenseTower = DenseTower()

    @property
    def model_dtype(self) -> str:
        """Index of the value; 0: unknown."""
        return "int32"

    @property
    def stats_type(self) -> StatsType | None:
        """The values."""
        return "vocabulary"


class BooleanInput(ValueInput):
    """True or false."""

    is_tabular: ClassVar[bool] = True
    cell_dtype: ClassVar[CellType] = "float32"

    type: Literal["boolean"] = "boolean"
    tower: DenseTower = DenseTower()


class DateInput(ValueInput):
    """A date in ISO 8601, with or without the time of day, or as `format` writes it.

    `format` is one of Python's `strptime`, such as `%d.%m.%Y` or `%m/%d/%Y %I %p`, or `unix`
    (seconds since 1970-01-01) or `unix_ms`. ISO 8601 is read in any case. The model reads the time
    passed and the position in the day, week, month and year.
    """

    is_tabular: ClassVar[bool] = True

    cell_settings: ClassVar[tuple[str, ...]] = ("format",)

    type: Literal["date"] = "date"
    format: DateFormat | None = None
    tower: DenseTower = DenseTower()

    @property
    def model_shape(self) -> tuple[int, ...]:
        """Days since 1970-01-01 and seconds of the day."""
        return (2,)

    @property
    def model_dtype(self) -> str:
        """Whole days and seconds."""
        return "int32"

    @property
    def stats_type(self) -> StatsType | None:
        """Mean and standard deviation of the days."""
        return "moments"


class VectorInput(ValueInput):
    """`dim` numbers a cell, such as an embedding or measurements.

    Each component is standardized by its mean and standard deviation in the training split.
    """

    cell_dtype: ClassVar[CellType] = "float32"
    cell_settings: ClassVar[tuple[str, ...]] = ("dim",)

    type: Literal["vector"] = "vector"
    dim: Annotated[int, Field(ge=8, le=4096)]
    tower: DenseTower = DenseTower(dim=64)

    @property
    def cell_shape(self) -> tuple[int | None, ...]:
        """`(dim,)`."""
        return (self.dim,)

    @property
    def model_shape(self) -> tuple[int, ...]:
        """`(dim,)`."""
        return (self.dim,)

    @property
    def stats_type(self) -> StatsType | None:
        """Mean and standard deviation of each component."""
        return "vector_moments"


Input = Annotated[
    ImageInput
    | TextInput
    | AudioInput
    | VideoInput
    | NumberInput
    | CategoryInput
    | BooleanInput
    | DateInput
    | VectorInput,
    Field(discriminator="type"),
]
# the class of each kind, by its type
INPUTS: dict[str, type[Input]] = {
    kind.model_fields["type"].default: kind for kind in get_args(get_args(Input)[0])
}
TABULAR_TYPES = tuple(name for name, kind in INPUTS.items() if kind.is_tabular)
