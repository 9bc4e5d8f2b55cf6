"""What a page holds. Plain values, checked when they are made: what is wrong is said where it was
written, not when the page is saved.
"""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number with what is needed to judge it.

    Args:
        value: None where the figure is not defined; `reason` then says why.
        n: rows that it rests on.
        unit: what it is a number of, such as "accuracy", "AUROC" or "ms".
        low, high: the bounds of its interval; both None where there is none.
        digits: after the decimal point, where it is shown.
        reason: why there is no value, a few words.

    Raises:
        ValueError: a number is not finite, only one bound is given, the bounds are in the wrong
            order, `n` is negative, or there is neither a value nor a reason.

    Example:
        >>> print(Figure(0.8471, 471, "accuracy", 0.803, 0.887))
        0.847 (0.803 .. 0.887), n = 471, accuracy
        >>> print(Figure(None, 12, "AUROC", reason="one class only"))
        not defined (one class only), n = 12, AUROC
    """

    value: float | None
    n: int
    unit: str
    low: float | None = None
    high: float | None = None
    digits: int = 3
    reason: str = ""

    def __post_init__(self):
        for name in ("value", "low", "high"):
            _check_finite(f"{name} of a figure", getattr(self, name))
        neither = self.low is None and self.high is None
        if not neither and (self.low is None or self.high is None or self.low > self.high):
            raise ValueError(
                f"low and high of a figure must be two numbers in order or both None, received {self.low} and {self.high}"
            )
        if self.n < 0:
            raise ValueError(f"n of a figure must be 0 or more, received {self.n}")
        if self.value is None and not self.reason:
            raise ValueError("a figure without a value must say why in reason, received ''")

    @property
    def shown(self) -> str:
        """The value alone."""
        return "not defined" if self.value is None else f"{self.value:.{self.digits}f}"

    @property
    def interval(self) -> str:
        """The interval in brackets, or the reason where there is no value."""
        if self.value is None:
            return f"({self.reason})"
        return (
            "(no interval)"
            if self.low is None
            else f"({self.low:.{self.digits}f} .. {self.high:.{self.digits}f})"
        )

    def __str__(self):
        return f"{self.shown} {self.interval}, n = {self.n:,}, {self.unit}"


# None: nothing is known here
Cell = str | int | float | Figure | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table. One of kind "number" holds numbers and `Figure`s; their unit and n are
    theirs, `unit` is for bare numbers.
    """

    name: str
    kind: Literal["text", "number"] = "text"
    unit: str = ""
    # of bare numbers that are not whole
    digits: int = 3


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of texts, numbers and figures, which the reader can sort by any column.

    Raises:
        ValueError: there is no column, a row has more or fewer cells, a cell is not of its column's
        kind, or a number is not finite.

    Example:
        >>> table = Table("Classes", [Column("class"), Column("recall", "number")], [["boots", Figure(0.91, 33, "recall", 0.8, 0.97)]])
        >>> Table("Classes", [Column("class")], [["boots", 1]])
        Traceback (most recent call last):
        ...
        ValueError: table 'Classes', row 0: a row must have 1 cells, received 2
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self):
        if not self.columns:
            raise ValueError(f"table {self.title!r} must have at least one column, received none")
        for number, row in enumerate(self.rows):
            where = f"table {self.title!r}, row {number}"
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{where}: a row must have {len(self.columns)} cells, received {len(row)}"
                )
            for column, cell in zip(self.columns, row):
                _check_cell(f"{where}, column {column.name!r}", column, cell)


@dataclasses.dataclass(frozen=True)
class Figures:
    """The few figures that matter most, by name, set large."""

    title: str
    figures: Mapping[str, Figure]

    def __post_init__(self):
        _check_some(f"figures {self.title!r}", "figure", self.figures)


@dataclasses.dataclass(frozen=True)
class Bars:
    """One bar a name, each with its interval, from 0; for shares and drops.

    Raises:
        ValueError: there is no bar, or the figures have several units.
    """

    title: str
    bars: Mapping[str, Figure]

    def __post_init__(self):
        _check_some(f"bars {self.title!r}", "bar", self.bars)
        _check_one_unit(f"bars {self.title!r}", self.bars.values())


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve: `figures[i]` stands at `x[i]`. It breaks where a figure is not defined; intervals
    become a band.

    Raises:
        ValueError: there is no point, or `x` and `figures` have different lengths, or `x` is not
        finite or not in rising order.
    """

    name: str
    x: Sequence[float]
    figures: Sequence[Figure]

    def __post_init__(self):
        if not len(self.x) or len(self.x) != len(self.figures):
            raise ValueError(
                f"line {self.name!r} must have as many figures as x, at least one, received {len(self.figures)} and {len(self.x)}"
            )
        for each in self.x:
            _check_finite(f"x of line {self.name!r}", each)
        if any(later < earlier for earlier, later in zip(self.x, self.x[1:])):
            raise ValueError(f"x of line {self.name!r} must rise, received {list(self.x)}")


@dataclasses.dataclass(frozen=True)
class Reference:
    """A straight grey line to compare curves with, from one point `(x, y)` to another, such as the
    diagonal of a reliability diagram.
    """

    name: str
    start: tuple[float, float]
    end: tuple[float, float]

    def __post_init__(self):
        for each in (*self.start, *self.end):
            _check_finite(f"a point of reference {self.name!r}", each)


@dataclasses.dataclass(frozen=True)
class Lines:
    """Curves over one axis: accuracy over severity, risk over coverage, reliability.

    Args:
        title: str.
        x: what the horizontal axis is, with its unit.
        lines: `Line`s of one unit.
        reference: `Reference` or None.
        span: the least and the greatest value of the vertical axis; None: as the figures need. Give
        it where charts are to be compared.

    Raises:
        ValueError: there is no line, the figures have several units, or `span` does not rise.
    """

    title: str
    x: str
    lines: Sequence[Line]
    reference: Reference | None = None
    span: tuple[float, float] | None = None

    def __post_init__(self):
        _check_some(f"lines {self.title!r}", "line", self.lines)
        _check_one_unit(
            f"lines {self.title!r}", [figure for line in self.lines for figure in line.figures]
        )
        if self.span is not None and not -math.inf < self.span[0] < self.span[1] < math.inf:
            raise ValueError(
                f"span of lines {self.title!r} must be two finite numbers that rise, received {self.span}"
            )


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A number for each pair of a row and a column, darker where it is greater: a confusion matrix.
    Choose at most some fifty of each.

    Args:
        title: str.
        rows, columns: names, such as true and predicted classes.
        values: `(rows, columns)`, 0 or more.
        row_title, column_title: what the names are, such as "true class".
        unit: of the values, such as "rows".
        by_row: whether a cell's shade is its share of its row's sum, so that rare classes can be
        read too; else of the greatest value.

    Raises:
        ValueError: `values` has another shape, or one is negative or not finite.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    row_title: str
    column_title: str
    unit: str
    by_row: bool = False

    def __post_init__(self):
        lengths = [len(row) for row in self.values]
        if not lengths or not self.columns or lengths != [len(self.columns)] * len(self.rows):
            raise ValueError(
                f"heat map {self.title!r} must have {len(self.rows)} rows of {len(self.columns)} values, received {lengths}"
            )
        for row in self.values:
            for value in row:
                _check_finite(f"a value of heat map {self.title!r}", value)
                if value < 0:
                    raise ValueError(
                        f"a value of heat map {self.title!r} must be 0 or more, received {value}"
                    )


@dataclasses.dataclass(frozen=True)
class Picture:
    """The bytes of an image file, any that Pillow reads. The page shows it small."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class Sound:
    """The bytes of a sound file, any that libsndfile reads. The page plays its beginning, as WAV."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class Example:
    """One row of the data as the model met it.

    Args:
        name: which row it is, such as its number or its file's name.
        cells: by column, what stands there; None: nothing.
        truth, predicted: the classes, as words. The page marks where they differ.
        facts: what else is to be said, by name, such as `{"probability": "0.93"}`.
    """

    name: str
    cells: Mapping[str, Picture | Sound | str | None]
    truth: str
    predicted: str
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Examples:
    """Rows to look at and listen to, such as the worst ones."""

    title: str
    examples: Sequence[Example]

    def __post_init__(self):
        _check_some(f"examples {self.title!r}", "example", self.examples)


@dataclasses.dataclass(frozen=True)
class Note:
    """A plain sentence between other blocks."""

    text: str


Block = Note | Figures | Table | Bars | Lines | HeatMap | Examples


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page: `reading` says in one sentence what its blocks show."""

    title: str
    reading: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        title: str.
        summary: sentences in plain words that stand on top; at least one.
        sections: in the order of reading; at least one.
        made: what the page was made with and when, by name: versions, date, files.

    Raises:
        ValueError: there is no sentence or no section.

    Example:
        >>> share = Bars("Share of each input", {"title": Figure(0.7, 471, "Shapley share", 0.6, 0.8)})
        >>> page = Page("Shoes", ["The title carries the model."], [Section("Inputs", "What each adds.", [share])], {"date": "2026-11-28"})
    """

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]
    made: Mapping[str, str]

    def __post_init__(self):
        _check_some(f"page {self.title!r}", "sentence", self.summary)
        _check_some(f"page {self.title!r}", "section", self.sections)


def _check_finite(name: str, value: float | None):
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, received {value}")


def _check_some(where: str, what: str, parts: Sequence | Mapping):
    if isinstance(parts, str) or not len(parts):
        raise ValueError(f"{where} must have at least one {what}, received {parts!r}")


def _check_one_unit(where: str, figures: Iterable[Figure]):
    units = list(dict.fromkeys(figure.unit for figure in figures))
    if len(units) > 1:
        raise ValueError(f"{where} must have figures of one unit, received {units}")


def _check_cell(where: str, column: Column, cell: Cell):
    fits = (
        isinstance(cell, str) if column.kind == "text" else isinstance(cell, (numbers.Real, Figure))
    )
    if cell is not None and not fits:
        raise ValueError(f"{where}: a cell must be a {column.kind} or None, received {cell!r}")
    if isinstance(cell, numbers.Real):
        _check_finite(where, float(cell))
