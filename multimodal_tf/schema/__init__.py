"""What was learned from the training split: vocabularies, classes, means."""

import base64
import os
import pathlib
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
import upath
from pydantic import Field

from multimodal_tf.config import Config, TextInput
from multimodal_tf.config.heads import Head, ImageHead, TextHead
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.json_files import read_model
from multimodal_tf.config.model import check_config
from multimodal_tf.config.spelling import spelling


class Vectors(pydantic.BaseModel):
    """One vector per word, in the vocabulary's order.

    Example:
        >>> Vectors.of(np.ones([2, 3])).array().shape
        (2, 3)
    """

    dim: int
    # float32, little-endian, row by row, in base64
    data: str

    @classmethod
    def of(cls, array: npt.ArrayLike) -> "Vectors":
        """From float `(words, dim)`."""
        values = np.asarray(array, "<f4")
        return cls(dim=values.shape[1], data=base64.b64encode(values.tobytes()).decode())

    def array(self) -> npt.NDArray[np.float32]:
        """float32 `(words, dim)`."""
        return np.frombuffer(base64.b64decode(self.data), "<f4").reshape(-1, self.dim)


class Vocabulary(pydantic.BaseModel):
    """The words or characters of a text, or the values of a category.

    The most frequent one is first; ties are in code point order.
    """

    type: Literal["vocabulary"] = "vocabulary"
    words: list[str]
    # what an entry is
    tokenizer: Literal["words", "characters"] = "words"
    # of the words of a text, where the configuration asks for vectors
    vectors: Vectors | None = None
    # of a text: training rows that have one, and those in which each word occurs; null and []: not
    # counted
    rows: int | None = None
    documents: list[int] = []


class Subwords(pydantic.BaseModel):
    """A complete subword tokenizer: nothing else is needed to run it.

    Ids are 0 to `size` - 1. `start` and `end` frame every text where the pretrained model expects
    it; null: none.
    """

    type: Literal["subwords"] = "subwords"
    tokenizer: Literal["word_piece", "byte_pair", "sentence_piece", "preset"]
    # the preset that it was taken from
    preset: str | None = None
    # KerasHub's tokenizer, as `keras.saving.serialize_keras_object` returns it
    layer: dict[str, Any]
    # its files by name, in base64
    assets: dict[str, str]
    size: int
    padding: int = 0
    # the only token of a text that has no tokens
    unknown: int = 1
    start: int | None = None
    end: int | None = None
    # a normalization of `data.tokenizers.normalization`; null: that of the tokenizer itself
    reads: Literal["lower", "bare"] | None = None


class Moments(pydantic.BaseModel):
    """Mean and standard deviation of a number, or of a date in days since 1970-01-01.

    The standard deviation is the population's; 1 where all values are equal. The model reads and
    predicts a number less `centre`: the mean, where float32 would not tell the numbers apart, or 0.
    """

    type: Literal["moments"] = "moments"
    mean: float
    std: float
    centre: float = 0.0
    # training rows with a value; null: all
    rows: int | None = None


class VectorMoments(pydantic.BaseModel):
    """Mean and standard deviation of each component of vectors.

    The standard deviation is the population's; 1 where all values are equal.
    """

    type: Literal["vector_moments"] = "vector_moments"
    mean: list[float]
    std: list[float]
    # training rows with a vector
    rows: int


class Classes(pydantic.BaseModel):
    """The classes of a head, sorted, with the number of training rows of each."""

    type: Literal["classes"] = "classes"
    names: list[str]
    counts: list[int]
    # training rows whose label is known; null: all
    rows: int | None = None
    # of a head with `threshold: fitted`, in the order of `names`: from which probability on a label
    # is predicted; `fit` finds them on validation rows
    thresholds: list[float] | None = None


class Texts(pydantic.BaseModel):
    """The target texts of a head: their tokens, and the most frequent one.

    Ids are those of the tokenizer, then one for a text's end and one for its beginning.
    """

    type: Literal["texts"] = "texts"
    tokens: Annotated[Vocabulary | Subwords, Field(discriminator="type")]
    # training rows with a text
    rows: int
    # the most frequent text that can be predicted whole, its ids, its share; "" and [] if none
    commonest: str
    commonest_ids: list[int]
    share: float
    # texts that the head chooses from, their ids and training rows; [] where it writes
    choices: list[str] = []
    choice_ids: list[list[int]] = []
    choice_counts: list[int] = []

    @property
    def offset(self) -> int:
        """What is added to the tokenizer's ids: a preset has none for padding and unknown."""
        return 2 if self.tokens.tokenizer == "preset" else 0

    @property
    def end(self) -> int:
        """The id of a text's end; a preset has its own."""
        if isinstance(self.tokens, Vocabulary):
            return len(self.tokens.words) + 2
        return self.offset + (self.tokens.end or 0) if self.offset else self.tokens.size

    @property
    def size(self) -> int:
        """The number of ids."""
        if isinstance(self.tokens, Subwords) and self.offset:
            return self.offset + self.tokens.size + 1
        return self.end + 2


class Images(pydantic.BaseModel):
    """The target images of a head: their mean over the training rows.

    Example:
        >>> Images.of(np.zeros([2, 3, 1]), rows=5).array().shape
        (2, 3, 1)
    """

    type: Literal["images"] = "images"
    # height, width and channels
    shape: tuple[int, int, int]
    # uint8, row by row, in base64
    mean: str
    # training rows with an image
    rows: int

    @classmethod
    def of(cls, mean: npt.ArrayLike, rows: int) -> "Images":
        """From the mean `(height, width, channels)`, 0 to 255."""
        pixels = np.rint(np.asarray(mean)).astype(np.uint8)
        height, width, channels = pixels.shape
        data = base64.b64encode(pixels.tobytes()).decode()
        return cls(shape=(height, width, channels), mean=data, rows=rows)

    def array(self) -> npt.NDArray[np.uint8]:
        """uint8 `(height, width, channels)`."""
        return np.frombuffer(base64.b64decode(self.mean), np.uint8).reshape(self.shape)


InputStats = Vocabulary | Subwords | Moments | VectorMoments
HeadStats = Classes | Moments | Texts | Images


class Schema(pydantic.BaseModel):
    """What was learned for each input and head; inputs that need no statistics have no entry.

    Example:
        >>> schema = Schema(
        ...     rows=2,
        ...     inputs={"title": Vocabulary(words=["a"])},
        ...     heads={"label": Classes(names=["x", "y"], counts=[1, 1])},
        ... )
        >>> Schema.model_validate_json(schema.model_dump_json()) == schema
        True
    """

    # rows of the training split
    rows: int
    inputs: dict[str, Annotated[InputStats, Field(discriminator="type")]]
    heads: dict[str, Annotated[HeadStats, Field(discriminator="type")]]

    @classmethod
    def load(cls, path: str | os.PathLike[str] | upath.UPath) -> "Schema":
        """Reads a JSON file written by `save`.

        Raises:
            ValueError: the file is not such a JSON.
        """
        return read_model(upath.UPath(path), cls, "a schema")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON."""
        pathlib.Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")


def check_schema(config: Config, schema: Schema) -> None:
    """Checks that a schema was learned for a configuration.

    Raises:
        ValueError: it was not; the message names the input or head.

    Example:
        >>> from multimodal_tf.config import NumberInput, RegressionHead
        >>> config = Config(inputs={"size": NumberInput()}, heads={"price": RegressionHead()})
        >>> moments = Moments(mean=0.0, std=1.0)
        >>> check_schema(config, Schema(rows=1, inputs={"size": moments}, heads={"price": moments}))
    """
    check_config(config)
    if not isinstance(schema, Schema):
        raise ValueError(
            f"schema must be a Schema, such as Schema.load(path), received {schema!r:.80}"
        )
    check_input_stats(config, schema)
    for name, head in config.heads.items():
        _check_head(name, head, config.column(name), schema.heads.get(name))


def thresholds(name: str, head: Head, stats: HeadStats | None) -> list[float]:
    """From which probability on each label of a head of several labels is predicted.

    Args:
        name: of the head, for the message.
        head: its configuration.
        stats: its entry in the schema.

    Returns:
        A number for each class; none for other heads.

    Raises:
        ValueError: the head's thresholds are to be fitted, and are not in the schema.

    Example:
        >>> from multimodal_tf.config import ClassificationHead
        >>> thresholds("label", ClassificationHead(), Classes(names=["a", "b"], counts=[2, 1]))
        []
    """
    threshold = getattr(head, "threshold", None)
    if threshold is None or not isinstance(stats, Classes):
        return []
    if threshold != "fitted":
        return [float(threshold)] * len(stats.names)
    if stats.thresholds is None:
        raise ValueError(
            f"heads.{name}.threshold is fitted, but the schema has no thresholds: "
            "pass the schema of the run, which fit returns and load_run reads"
        )
    return stats.thresholds


def check_class_weight(name: str, head: Head, stats: HeadStats | None) -> None:
    """Checks that the classes that a head weighs are those of the training split.

    Raises:
        ValueError: one is not.
    """
    weighed = getattr(head, "class_weight", None)
    if not isinstance(weighed, dict) or not isinstance(stats, Classes):
        return
    unknown = sorted(set(weighed) - {spelling(one) for one in stats.names})
    if unknown:
        raise ValueError(
            f"heads.{name}.class_weight must name classes of the training split {stats.names}, "
            f"received {unknown[0]!r}"
        )


def check_input_stats(config: Config, schema: Schema) -> None:
    """Checks the entries of the inputs alone; errors as `check_schema`."""
    for name, input_config in config.inputs.items():
        _check_input(f"inputs.{name}", input_config, schema.inputs.get(name))


def _check_input(field: str, input_config: Input, stats: InputStats | None) -> None:
    _check_type(field, input_config.type, input_config.stats_type, stats)
    match input_config, stats:
        case TextInput(), Vocabulary() | Subwords() if input_config.stats_type is not None:
            _check_tokenizer(field, input_config, stats)


def _check_type(
    field: str, kind: str, wanted: str | None, stats: InputStats | HeadStats | None
) -> None:
    if wanted is not None and (stats is None or stats.type != wanted):
        received = "nothing" if stats is None else stats.type
        raise ValueError(
            f"{field}: the schema must hold {wanted} for a {kind}, received {received}:"
            " configuration and schema are not of one table"
        )


def _check_tokenizer(field: str, text: TextInput, stats: Vocabulary | Subwords) -> None:
    if text.tokenizer.type != stats.tokenizer:
        raise ValueError(
            f"{field}.tokenizer: must be {stats.tokenizer!r}, which the schema was learned with,"
            f" received {text.tokenizer.type!r}"
        )
    if isinstance(stats, Vocabulary):
        return
    if text.tokenizer.type == "preset" and stats.preset != text.tokenizer.preset:
        raise ValueError(
            f"{field}.tokenizer.preset: must be {stats.preset!r}, which the schema was taken from,"
            f" received {text.tokenizer.preset!r}"
        )
    framing = sum(end is not None for end in (stats.start, stats.end))
    if text.max_tokens <= framing:
        raise ValueError(
            f"{field}.max_tokens: must be more than the {framing} ids that frame every text of its"
            f" preset, received {text.max_tokens}"
        )


def _check_target_tokenizer(field: str, head: TextHead, stats: Texts) -> None:
    if head.tokenizer.type != stats.tokens.tokenizer:
        raise ValueError(
            f"{field}.tokenizer: must be {stats.tokens.tokenizer!r}, which the schema was learned"
            f" with, received {head.tokenizer.type!r}"
        )
    preset, learned = getattr(head.tokenizer, "preset", None), getattr(stats.tokens, "preset", None)
    if preset != learned:
        raise ValueError(
            f"{field}.tokenizer.preset: must be the schema's {learned!r}, received {preset!r}"
        )


def _check_target_shape(field: str, head: ImageHead, stats: Images) -> None:
    if stats.shape != head.target_shape:
        raise ValueError(
            f"{field}: height, width and channels must be {stats.shape}, which the schema was "
            f"learned with, received {head.target_shape}"
        )


# the type of a head's entry, by its target type; others have classes
_STATS = {"number": "moments", "text": "texts", "image": "images", None: None}


def _check_head(name: str, head: Head, column: str, stats: HeadStats | None) -> None:
    field = f"heads.{name}"
    wanted = _STATS.get(head.target_type, "classes")
    _check_type(field, head.type, wanted, stats)
    if isinstance(head, TextHead) and isinstance(stats, Texts):
        _check_target_tokenizer(field, head, stats)
    if isinstance(head, ImageHead) and isinstance(stats, Images):
        _check_target_shape(field, head, stats)
    if not isinstance(stats, Classes):
        return
    if len(stats.names) < head.min_classes:
        raise ValueError(
            f"{field}: a {head.type} needs {head.min_classes} or more classes in the training"
            f" split, column {column!r} has {stats.names}"
        )
    # those of an earlier version may be written as 1.0
    if head.declared_classes not in (None, stats.names, [spelling(one) for one in stats.names]):
        raise ValueError(
            f"{field}.classes: must be those of the schema, {stats.names}, received"
            f" {head.declared_classes}: ingest again"
        )
    if stats.thresholds is not None and len(stats.thresholds) != len(stats.names):
        raise ValueError(
            f"{field}: the schema must hold a threshold for each of its {len(stats.names)} classes,"
            f" received {len(stats.thresholds)}"
        )
