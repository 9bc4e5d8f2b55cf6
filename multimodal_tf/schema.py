"""What the training split taught, and nothing else did: classes, vocabularies, means."""

import base64
import pathlib
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import upath
from pydantic import Field


class Vectors(pydantic.BaseModel):
    """One vector a word, in the vocabulary's order.

    Example:
        >>> Vectors.of(np.ones([2, 3])).array().shape
        (2, 3)
    """

    dim: int
    # float32, little-endian, row by row, in base64
    data: str

    @classmethod
    def of(cls, array):
        """From float `(words, dim)`."""
        return cls(
            dim=array.shape[1], data=base64.b64encode(np.asarray(array, "<f4").tobytes()).decode()
        )

    def array(self):
        """float32 `(words, dim)`."""
        return np.frombuffer(base64.b64decode(self.data), "<f4").reshape(-1, self.dim)


class Vocabulary(pydantic.BaseModel):
    """The words or characters of a text, or the values of a category, most frequent first, ties in
    code point order.
    """

    type: Literal["vocabulary"] = "vocabulary"
    words: list[str]
    # what an entry is
    tokenizer: Literal["words", "characters"] = "words"
    # of a text's words, where the configuration asks for some
    vectors: Vectors | None = None


class Subwords(pydantic.BaseModel):
    """A tokenizer of subwords, whole: nothing else is needed to run it.

    Ids are 0 to `size` - 1. `start` and `end` frame every text where the pretrained model wants it;
    null: none.
    """

    type: Literal["subwords"] = "subwords"
    tokenizer: Literal["word_piece", "byte_pair", "sentence_piece", "preset"]
    # which one it was taken from
    preset: str | None = None
    # KerasHub's tokenizer, as `keras.saving.serialize_keras_object` gives it
    layer: dict[str, Any]
    # its files by name, in base64
    assets: dict[str, str]
    size: int
    padding: int = 0
    # stands for a text without any token
    unknown: int = 1
    start: int | None = None
    end: int | None = None
    # texts as `data.tokenizers.normalization` has them; null: as they are, or as it was trained
    reads: Literal["lower", "bare"] | None = None


class Moments(pydantic.BaseModel):
    """Mean and standard deviation (population; 1 where all values are equal) of a number, or of a
    date in days since 1970-01-01.
    """

    type: Literal["moments"] = "moments"
    mean: float
    std: float
    # training rows that have it; null: all
    rows: int | None = None


class Classes(pydantic.BaseModel):
    """The classes of a classification or multi-label head, sorted, with the number of training rows
    that bear each.
    """

    type: Literal["classes"] = "classes"
    names: list[str]
    counts: list[int]
    # training rows whose label is known; null: all
    rows: int | None = None


class Schema(pydantic.BaseModel):
    """What was learned, by input and by head; images and sounds teach nothing here.

    Example:
        >>> schema = Schema(rows=2, inputs={"title": Vocabulary(words=["a"])}, heads={"label": Classes(names=["x", "y"], counts=[1, 1])})
        >>> Schema.model_validate_json(schema.model_dump_json()) == schema
        True
    """

    # rows of the training split
    rows: int
    inputs: dict[str, Annotated[Vocabulary | Subwords | Moments, Field(discriminator="type")]]
    heads: dict[str, Annotated[Classes | Moments, Field(discriminator="type")]]

    @classmethod
    def load(cls, path):
        """Reads a JSON file written by `save`.

        Raises:
            ValueError: the file is not such a JSON.
        """
        try:
            return cls.model_validate_json(upath.UPath(path).read_text(encoding="utf-8"))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "document"
            raise ValueError(f"{path} is not a schema: {field}: {first['msg']}") from error

    def save(self, path):
        """Writes JSON."""
        pathlib.Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")
