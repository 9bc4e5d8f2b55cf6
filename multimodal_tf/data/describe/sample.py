"""What `describe` sees of a table: counts of every column, and sampled cells, each opened."""

import collections
import dataclasses
import functools
import re
from typing import Any

from multimodal_tf.config.number_format import Decimal, NumberFormat
from multimodal_tf.data.codecs.dates import looks_like_date
from multimodal_tf.data.describe.date_formats import unix_seconds, written_dates
from multimodal_tf.data.describe.number_formats import ENOUGH, Written, written_numbers

# distinct values are counted up to here
COUNTED = 10_000

# 007 is a code, not seven
_CODE = re.compile(r"[+-]?0\d")


@dataclasses.dataclass
class Cell:
    """One cell that is not missing, opened.

    Attributes:
        row: index of the row in the table, from 0.
        kind: the type of input that it is (a date only as an object, not as a text), "list" or
            "other".
        value: the cell where it is a number, the text of a date, a text (its beginning), a path or
            a list; otherwise None, so that no file stays in memory.
        reason: why the cell cannot be read as its kind; "" if it can.
        opened: whether it is certainly a file of its kind, even if a broken one.
        size: (width, height) in pixels, if it has them.
        length: numbers of a vector, values of a list.
        grey: whether an image has no colours.
        seconds: duration, if it has one.
        rate: samples or frames per second.
        words: of a text, if they have been counted.
    """

    row: int
    kind: str
    value: Any = None
    reason: str = ""
    opened: bool = False
    size: tuple[int, int] | None = None
    length: int | None = None
    grey: bool = False
    seconds: float | None = None
    rate: float | None = None
    words: int | None = None


@dataclasses.dataclass
class Column:
    """A column's name, counts over all rows, and sampled cells.

    Attributes:
        rows: number of rows.
        missing: rows without a value.
        distinct: distinct values, counted up to `COUNTED`.
        cells: the sampled cells that are not missing.
        words: the values of a column that may be the split, as `splits.words_of`.
        decimal: the sign before the fractions of the table's numbers, if it is known.
        gaps: how often each word for a gap occurs, as `gap_words.gap_word`.
    """

    name: str
    rows: int = 0
    missing: int = 0
    distinct: int = 0
    cells: list[Cell] = dataclasses.field(default_factory=list)
    words: dict[str, str] | None = None
    decimal: Decimal | None = None
    gaps: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def repeats(self) -> bool:
        """Whether some value is in two rows; beyond `COUNTED` values, whether that is likely."""
        return self.distinct < min(self.present, COUNTED)

    def share(self, kind: str) -> float:
        """The share of the sampled cells that are of this kind."""
        return sum(cell.kind == kind for cell in self.cells) / max(1, len(self.cells))

    def texts(self) -> list[str]:
        """The sampled cells that are texts or numbers, as stripped texts."""
        return [
            str(cell.value).strip()
            for cell in self.cells
            if cell.kind in ("text", "number") and cell.value is not None
        ]

    @functools.cached_property
    def written(self) -> Written[NumberFormat]:
        """How the sampled cells write numbers."""
        found = [cell.value for cell in self.cells if cell.kind in ("text", "number")]
        texts = [value for value in found if isinstance(value, str)]
        if not texts or len(found) < ENOUGH * len(self.cells):
            return Written()
        return written_numbers(texts, len(found) - len(texts), self.decimal)

    @functools.cached_property
    def dates(self) -> Written[str]:
        """How the sampled cells write dates."""
        found = [cell.value for cell in self.cells if cell.kind in ("text", "number")]
        iso = sum(isinstance(value, str) and looks_like_date(value) for value in found)
        if len(found) < ENOUGH * len(self.cells) or iso >= ENOUGH * len(self.cells) > 0:
            return Written()
        if self.share("number") == 1 and self.written.format is None:
            unix = unix_seconds(self.name, found)
            if unix.format is not None or unix.why:
                return unix
        texts = [value for value in found if isinstance(value, str)]
        return written_dates(texts) if len(texts) == len(found) else Written()

    def date_format(self, is_given: bool) -> str | None:
        """The format of dates; where their type is given, numbers need no name of a time."""
        if self.dates.format is not None or not is_given or self.share("number") < 1:
            return self.dates.format
        return unix_seconds("time", [cell.value for cell in self.cells]).format

    @property
    def holds_numbers(self) -> bool:
        """Whether nearly all sampled cells are numbers, in one format, and no codes."""
        if self.written.format is not None:
            return True
        return self.share("number") >= ENOUGH and not self.has_codes

    @property
    def has_codes(self) -> bool:
        """Whether some sampled cell is a code such as 007, which a number would cut to 7."""
        return any(_CODE.match(text) for text in self.texts())
