"""The inputs that a table can have."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, PositiveInt

from multimodal_tf.config.names import Fraction, Strict
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


class Column(Strict):
    """What inputs and heads have in common."""

    type: str
    column: str | None = Field(
        None, description="the table's column, where it differs from the name"
    )


class ImageAugmentation(Strict):
    """Changes of an image, in training only, by Keras' own layers, in this order."""

    flip: Literal["horizontal", "vertical", "both"] | None = None
    # share of height and width that is cut off at a random place; the rest is resized
    crop: Fraction = 0.0
    # strength of RandAugment (Cubuk et al. 2020); 0: none
    rand_augment: Fraction = 0.0
    # largest share of the image that is erased (Zhong et al. 2020); 0: none
    erasing: Fraction = 0.0


class ImageInput(Column):
    """Pixels, resized to `height` x `width`; a larger source than `max_pixels` is refused from its
    header.
    """

    type: Literal["image"] = "image"
    height: PositiveInt = 96
    width: PositiveInt = 96
    channels: Literal[1, 3] = 3
    max_pixels: PositiveInt = 50_000_000
    augmentation: ImageAugmentation = ImageAugmentation()
    tower: ImageTower = ConvTower()


class TextInput(Column):
    """The first `max_tokens` tokens of a text; by default 128 of characters, 256 of n-grams, 32 of
    others.
    """

    type: Literal["text"] = "text"
    max_tokens: PositiveInt = 32
    tokenizer: Tokenizer = WordTokenizer()
    vectors: WordVectors | None = None
    tower: TextTower = BagTower()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _what_goes_together(cls, fields):
        """A pretrained tower brings its tokenizer along, and small tokens are read in larger
        numbers, unless it is said otherwise.
        """
        if not isinstance(fields, dict):
            return fields
        preset = _field(fields.get("tower"), "preset")
        if preset is not None and "tokenizer" not in fields:
            fields = fields | {"tokenizer": {"type": "preset", "preset": preset}}
        many = {"characters": 128, "ngrams": 256}.get(_field(fields.get("tokenizer"), "type"))
        return fields if many is None or "max_tokens" in fields else fields | {"max_tokens": many}

    @pydantic.model_validator(mode="after")
    def _tokenizer_of_the_preset(self):
        preset = self.tower.preset if self.tower.type == "preset" and self.tower.weights else None
        if preset is not None and getattr(self.tokenizer, "preset", None) != preset:
            raise ValueError(
                f"the tokenizer must be {{type: preset, preset: {preset}}}, as the tower's is, received {self.tokenizer.type}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _strings_for_saved_models(self):
        if self.tokenizer.type == "none" and self.tower.type not in ("saved_model", "keras"):
            raise ValueError(
                f"the tokenizer none needs a tower that takes strings, saved_model or keras, received {self.tower.type}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _vectors_of_words(self):
        """Also of characters, whose vectors can be learned in the same way; a pretrained tower has
        its own.
        """
        if self.vectors is not None and self.tokenizer.type not in ("words", "characters"):
            raise ValueError(
                f"vectors need the tokenizer words or characters, received {self.tokenizer.type}"
            )
        if self.vectors is not None and not hasattr(self.tower, "embedding_dim"):
            raise ValueError(
                f"vectors need a tower with embeddings of its own: bag, lstm, gru or transformer, received {self.tower.type}"
            )
        return self


def _field(part, name):
    """A field of a part that may be validated already, or a dict; None where it has no such field."""
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)


class AudioAugmentation(Strict):
    """Changes of a sound, in training only, in this order."""

    # the sound begins up to so much later or earlier
    shift_ms: NonNegativeFloat = 0.0
    # up to so much louder or softer
    gain_db: NonNegativeFloat = 0.0
    # white noise, so many decibels of full scale; null: none
    noise_db: float | None = Field(None, le=0)
    # SpecAugment (Park et al. 2019): how many stretches of time are silenced,
    time_masks: int = Field(0, ge=0)
    # each up to so long,
    time_mask_ms: NonNegativeFloat = 200.0
    # and how many bands of the spectrogram,
    frequency_masks: int = Field(0, ge=0)
    # each up to so wide
    frequency_mask_bins: PositiveInt = 8


class AudioInput(Column):
    """The first `seconds` of a sound, mono, at `sample_rate` Hz; a shorter one is followed by
    silence, which the towers mask.
    """

    type: Literal["audio"] = "audio"
    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    seconds: Annotated[float, Field(gt=0, le=600)] = 2.0
    augmentation: AudioAugmentation = AudioAugmentation()
    tower: AudioTower = SpectrogramTower()

    @pydantic.model_validator(mode="after")
    def _masks_need_a_spectrogram(self):
        masks = {
            name: getattr(self.augmentation, name) for name in ("time_masks", "frequency_masks")
        }
        if any(masks.values()) and not hasattr(self.tower, "mel_bins"):
            raise ValueError(
                f"augmentation: time_masks and frequency_masks need a tower over spectrograms, received {masks} for a {self.tower.type}"
            )
        return self

    @property
    def samples(self):
        """Number of samples that the model reads."""
        return max(1, round(self.sample_rate * self.seconds))


class VideoInput(Column):
    """`frames` evenly spaced frames of a video, resized to `height` x `width`; a shorter video
    repeats frames.
    """

    type: Literal["video"] = "video"
    frames: Annotated[int, Field(ge=1, le=256)] = 8
    height: PositiveInt = 96
    width: PositiveInt = 96
    channels: Literal[1, 3] = 3
    # of one frame
    max_pixels: PositiveInt = 50_000_000
    tower: VideoTower = FramesTower()


class NumberInput(Column):
    """A number, normalised by the training split's mean and standard deviation."""

    type: Literal["number"] = "number"
    tower: DenseTower = DenseTower()


class CategoryInput(Column):
    """One of the values seen in the training split, or unknown.

    Training shows the model a random share `unknown` of the values as unknown, so that it learns
    what to make of one.
    """

    type: Literal["category"] = "category"
    unknown: Fraction = 0.05
    tower: DenseTower = DenseTower()


class BooleanInput(Column):
    """True or false."""

    type: Literal["boolean"] = "boolean"
    tower: DenseTower = DenseTower()


class DateInput(Column):
    """A date, with or without the time of day, in ISO 8601: read as time passed, and as places in
    the day, week, month and year.
    """

    type: Literal["date"] = "date"
    tower: DenseTower = DenseTower()


Input = Annotated[
    ImageInput
    | TextInput
    | AudioInput
    | VideoInput
    | NumberInput
    | CategoryInput
    | BooleanInput
    | DateInput,
    Field(discriminator="type"),
]
TABULAR_TYPES = ("number", "category", "boolean", "date")
