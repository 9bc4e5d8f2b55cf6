"""What a model is: one validated configuration, as Python objects or as the same thing in YAML or JSON.

Names: an input's name is the key of the model's `Input`, of its tower and of the served signature. TensorFlow Serving takes only
letters, digits and underscores there, so a column of another spelling keeps its spelling in `column`.
"""

import json
import keyword
import pathlib
import re
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
PRESENT = "_present"  # an input `photo` has its presence flag in the model's input `photo_present`
PROBABILITIES = "_probabilities"  # a served classification head `label` has its probabilities in `label_probabilities`
PROBABILITY = "_probability"  # and `Client.predict` gives the likeliest class's own in the column `label_probability`
SERVED = ("valid", "error", "present")  # what the served signature answers besides the heads
ROW = "row"  # the column with a row's number in a table of predictions
EMBEDDING = "_embedding"  # the tower of an input `photo` ends in a layer `photo_embedding`
FUSED = "fused"  # and the fusion in a layer of this name; the endpoint `embed` answers inputs, FUSED and `error`

Fraction = Annotated[float, Field(ge=0, lt=1)]


class _Strict(pydantic.BaseModel):
    """A part of the configuration: unknown fields are refused, and assignment is validated like construction."""

    model_config = pydantic.ConfigDict(extra="forbid", validate_assignment=True)


class _ConvBlocks(_Strict):
    filters: list[PositiveInt] = Field([32, 64, 128], min_length=1)
    kernel_size: PositiveInt = 3
    padding: Literal["same", "valid"] = "same"
    batch_normalization: bool = True
    pooling: Literal["average", "max", "flatten"] = "average"
    dim: PositiveInt | None = 128  # width of the last Dense layer; null: none
    dropout: Fraction = 0.0


class ConvTower(_ConvBlocks):
    """Blocks of Conv2D, normalisation and max pooling, then one vector (`models.towers.image`)."""

    type: Literal["cnn"] = "cnn"


class BagTower(_Strict):
    """The mean of the words' embeddings, whatever their order: the text tower for small tables (`models.towers.text`)."""

    type: Literal["bag"] = "bag"
    embedding_dim: PositiveInt = 128
    dim: PositiveInt | None = None
    dropout: Fraction = 0.5


class LSTMTower(_Strict):
    """Embedding and LSTM, padding masked (`models.towers.text`)."""

    type: Literal["lstm"] = "lstm"
    embedding_dim: PositiveInt = 128
    units: PositiveInt = 128
    bidirectional: bool = False
    dim: PositiveInt | None = None
    dropout: Fraction = 0.0


class SpectrogramTower(_ConvBlocks):
    """Log-mel spectrogram, computed in the model, then the blocks of `ConvTower` (`models.towers.audio`)."""

    type: Literal["spectrogram_cnn"] = "spectrogram_cnn"
    mel_bins: PositiveInt = 64
    window_ms: PositiveFloat = 25.0
    hop_ms: PositiveFloat = 10.0


class DenseTower(_Strict):
    """Dense layers over a number or over a category's embedding (`models.towers.tabular`)."""

    type: Literal["dense"] = "dense"
    dim: PositiveInt = 16


class _Column(_Strict):
    column: str | None = Field(None, description="the table's column, where it differs from the name")


class ImageInput(_Column):
    """Pixels, resized to `height` x `width`; a larger source than `max_pixels` is refused from its header."""

    type: Literal["image"] = "image"
    height: PositiveInt = 96
    width: PositiveInt = 96
    channels: Literal[1, 3] = 3
    max_pixels: PositiveInt = 50_000_000
    tower: ConvTower = ConvTower()


class TextInput(_Column):
    """Words, at most `max_tokens` a row, from the `vocabulary_size` most frequent of the training split."""

    type: Literal["text"] = "text"
    max_tokens: PositiveInt = 32
    vocabulary_size: PositiveInt = 10_000
    tower: Annotated[BagTower | LSTMTower, Field(discriminator="type")] = BagTower()


class AudioInput(_Column):
    """The first `seconds` of a sound, mono, at `sample_rate` Hz; a shorter one is followed by silence."""

    type: Literal["audio"] = "audio"
    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    seconds: Annotated[float, Field(gt=0, le=600)] = 2.0
    tower: SpectrogramTower = SpectrogramTower()

    @property
    def samples(self):
        """Number of samples that the model reads."""
        return max(1, round(self.sample_rate * self.seconds))


class NumberInput(_Column):
    """A number, normalised by the training split's mean and standard deviation."""

    type: Literal["number"] = "number"
    tower: DenseTower = DenseTower()


class CategoryInput(_Column):
    """One of the values seen in the training split, or unknown."""

    type: Literal["category"] = "category"
    tower: DenseTower = DenseTower()


Input = Annotated[ImageInput | TextInput | AudioInput | NumberInput | CategoryInput, Field(discriminator="type")]


class Concatenation(_Strict):
    """The towers' vectors side by side, then Dense layers, if any (`models.fusion`). Without any, each head adds up what each input says,
    which suits small tables. `dropout` acts on the vectors side by side and on every Dense layer.

    With `presence`, an absent input's vector is zero, with zero gradient, and the flags are concatenated too. Without, the model is the
    plain graph of Keras tutorials: it has no presence inputs, and an absent input is all zeros. `modality_dropout` is the share of rows in
    which training treats a present input as absent, so that no input learns to lean on the others.
    """

    type: Literal["concatenation"] = "concatenation"
    presence: bool = True
    hidden: list[PositiveInt] = []
    dropout: Fraction = 0.5
    modality_dropout: Fraction = 0.0

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        if self.modality_dropout and not self.presence:
            raise ValueError(f"fusion.modality_dropout needs fusion.presence, received {self.modality_dropout} with presence false")
        return self


class _Head(_Column):
    weight: NonNegativeFloat = 1.0  # of this head's loss in the total


class ClassificationHead(_Head):
    """One class out of several: softmax and cross-entropy."""

    type: Literal["classification"] = "classification"
    class_weight: Literal["balanced"] | dict[str, NonNegativeFloat] | None = None
    label_smoothing: Fraction = 0.1  # share of the target that is spread evenly over all classes


class MultiLabelHead(_Head):
    """Any number of labels a row: sigmoids and binary cross-entropy. A cell is a list, or labels joined by `separator`."""

    type: Literal["multi_label"] = "multi_label"
    separator: str = Field(";", min_length=1)


class RegressionHead(_Head):
    """A number, in its own unit; the squared error is divided by the training split's variance."""

    type: Literal["regression"] = "regression"


Head = Annotated[ClassificationHead | MultiLabelHead | RegressionHead, Field(discriminator="type")]


class Split(_Strict):
    """How rows fall into train, validation and test.

    `column` names a column that says it (`train`, `validation` or `val`, `test`). Otherwise rows are drawn by the seed: no value of the
    column `group` stands on two sides, and the values of the column `stratify` keep their proportions.
    """

    column: str | None = None
    group: str | None = None
    stratify: str | None = None
    validation: Fraction = 0.1
    test: Fraction = 0.2

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        if self.column is not None and (self.group is not None or self.stratify is not None):
            raise ValueError("split.column gives the split, so split.group and split.stratify must be absent")
        if self.validation + self.test >= 1:
            raise ValueError(f"split.validation + split.test must leave rows to train on, received {self.validation} + {self.test}")
        return self


class Training(_Strict):
    """How `training.fit` trains."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 1e-4
    momentum: Fraction = 0.9  # sgd only
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 1.0
    epochs: PositiveInt = 40
    batch_size: PositiveInt = 32
    patience: PositiveInt | None = 15  # epochs without a better validation loss before training stops; null: never


class Config(_Strict):
    """The whole model: what comes in, how it meets, what is asked.

    Example:
        >>> config = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
        >>> Config.from_yaml(config.to_yaml()) == config
        True
    """

    inputs: dict[str, Input] = Field(min_length=1)
    heads: dict[str, Head] = Field(min_length=1)
    fusion: Concatenation = Concatenation()
    split: Split = Split()
    training: Training = Training()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @pydantic.model_validator(mode="after")
    def _names(self):
        for name in [*self.inputs, *self.heads]:
            if not NAME.fullmatch(name) or keyword.iskeyword(name) or name == "self":  # Python's TensorFlow calls a signature by keywords
                raise ValueError(
                    f"a name must be a letter followed by letters, digits or underscores and no Python keyword, received {name!r}: "
                    "choose such a name and give the table's spelling in `column`"
                )
        own = [*self.inputs, *(name + suffix for name in self.inputs for suffix in (PRESENT, EMBEDDING)), FUSED]
        served = [*self.heads, *(name + suffix for name in self.heads for suffix in (PROBABILITIES, PROBABILITY)), *SERVED, ROW]
        for taken, where in (([*own, "error"], "input keys"), (served, "head keys"), ([*own, *self.heads], "layers")):
            twice = sorted({key for key in taken if taken.count(key) > 1})
            if twice:
                raise ValueError(f"two {where} would be called {twice[0]!r}: choose another name and give the table's in `column`")
        return self

    def column(self, name):
        """The table's column that an input or head of this name reads."""
        part = self.inputs[name] if name in self.inputs else self.heads[name]
        return name if part.column is None else part.column

    def to_yaml(self):
        """The configuration as YAML text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text):
        """The configuration in a YAML or JSON text (JSON is YAML).

        Raises:
            ValueError: the text is not YAML, or breaks a rule; one line per fault, with the field and what was received.
        """
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(f"the configuration is not YAML: {' '.join(str(error).split())}") from error
        except pydantic.ValidationError as error:
            raise ValueError("the configuration is wrong: " + "; ".join(map(_sentence, error.errors()))) from error

    @classmethod
    def load(cls, path):
        """Reads a `.yaml` or `.json` file; errors as `from_yaml`, with the file's name."""
        try:
            return cls.from_yaml(pathlib.Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, path):
        """Writes YAML, or JSON where `path` ends in `.json`."""
        path = pathlib.Path(path)
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) if path.suffix == ".json" else self.to_yaml()
        path.write_text(text, encoding="utf-8")


def _sentence(fault):
    field = ".".join(str(part) for part in fault["loc"]) or "configuration"
    if fault["type"] == "value_error":  # our own rules already say what was received
        return f"{field}: {fault['ctx']['error']}"
    return f"{field}: {fault['msg']}, received {fault['input']!r:.80}"
