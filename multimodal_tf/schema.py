"""What the training split taught, and nothing else did: classes, vocabularies, means."""

import pathlib
from typing import Annotated, Literal

import pydantic
from pydantic import Field


class Vocabulary(pydantic.BaseModel):
    """The words of a text or the values of a category, most frequent first, ties in code point order."""

    type: Literal["vocabulary"] = "vocabulary"
    words: list[str]


class Moments(pydantic.BaseModel):
    """Mean and standard deviation (population; 1 where all values are equal) of a number."""

    type: Literal["moments"] = "moments"
    mean: float
    std: float
    rows: int | None = None  # training rows that have it; null: all


class Classes(pydantic.BaseModel):
    """The classes of a classification or multi-label head, sorted, with the number of training rows that bear each."""

    type: Literal["classes"] = "classes"
    names: list[str]
    counts: list[int]
    rows: int | None = None  # training rows whose label is known; null: all


class Schema(pydantic.BaseModel):
    """What was learnt, by input and by head; images and sounds teach nothing here.

    Example:
        >>> schema = Schema(rows=2, inputs={"title": Vocabulary(words=["a"])}, heads={"label": Classes(names=["x", "y"], counts=[1, 1])})
        >>> Schema.model_validate_json(schema.model_dump_json()) == schema
        True
    """

    rows: int  # rows of the training split
    inputs: dict[str, Annotated[Vocabulary | Moments, Field(discriminator="type")]]
    heads: dict[str, Annotated[Classes | Moments, Field(discriminator="type")]]

    @classmethod
    def load(cls, path):
        """Reads a JSON file written by `save`.

        Raises:
            ValueError: the file is not such a JSON.
        """
        try:
            return cls.model_validate_json(pathlib.Path(path).read_text(encoding="utf-8"))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "document"
            raise ValueError(f"{path} is not a schema: {field}: {first['msg']}") from error

    def save(self, path):
        """Writes JSON."""
        pathlib.Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")
