"""The description of one column."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pydantic

from multimodal_tf.config import Input
from multimodal_tf.config.heads import Head
from multimodal_tf.config.number_format import NumberFormat
from multimodal_tf.data.describe.class_shares import ClassShares
from multimodal_tf.data.describe.heads import proposed_head


class Spread(pydantic.BaseModel):
    """The distribution of a measure over the sampled cells."""

    min: float
    median: float
    p95: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """From the value of each cell; None without any."""
        if not values:
            return None
        low, median, p95, high = np.percentile(values, [0, 50, 95, 100])
        return cls(min=low, median=median, p95=p95, max=high)


class Rejection(pydantic.BaseModel):
    """A cell that cannot be read as its column's type: its row in the table, from 0, and why."""

    row: int
    reason: str


class ColumnDescription(pydantic.BaseModel):
    """One column.

    `missing` and `distinct` count all rows (`distinct` up to 10,000); the measures and rejections
    are of the sampled cells.
    """

    # valid in a configuration and in a served signature
    name: str
    column: str
    # of an input or head; or "split", "group", "ignored"
    type: str
    # why it has this type
    why: str
    missing: int
    distinct: int
    # pixels
    width: Spread | None = None
    height: Spread | None = None
    # of numbers
    range: Spread | None = None
    # numbers of a vector
    length: Spread | None = None
    # whether no image has colours
    grey: bool = False
    # duration, counted up to 30 seconds for sound
    seconds: Spread | None = None
    # Hz
    sample_rate: Spread | None = None
    # frames per second
    frame_rate: Spread | None = None
    words: Spread | None = None
    # whether the texts are written without spaces, as in Chinese
    unspaced: bool = False
    # of labels that a text joins
    separator: str | None = None
    # of several labels: what a missing cell says
    empty: Literal["unknown", "none"] = "unknown"
    rejected: int = 0
    rejections: list[Rejection] = []
    # of a column of splits that has values of its own
    split: dict[str, str] | None = None
    # of a label that is a class or several
    classes: ClassShares | None = None
    # of numbers that are not written as programs do, and of dates that are not in ISO 8601
    format: NumberFormat | str | None = None
    # of a column that is an input
    input: Input | None = None
    # its tower, and why this one
    tower: str = ""

    def config(self) -> Input | Head:
        """The configuration of this input or head, with `column` where it differs from the name."""
        config: Input | Head = (
            proposed_head(self.type, self.separator, self.classes, self.empty)
            if self.input is None
            else self.input.model_copy()
        )
        if self.name != self.column:
            config.column = self.column
        if self.format is not None:
            config = config.model_copy(update={"format": self.format})
        return config
