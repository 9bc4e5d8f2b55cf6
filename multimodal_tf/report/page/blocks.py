"""The blocks of a page: plain values, checked when they are made."""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from multimodal_tf.metrics.metric import Metric

# None: not known
Cell = str | int | float | Metric | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: its heading.
        kind: "text", or "number" for numbers and `Metric`s. A `Metric` has its own unit and n.
        unit: unit of plain numbers.
        digits: digits after the decimal point, for plain numbers that are not integers.
    """

    name: str
    kind: Literal["text", "number"] = "text"
    unit: str = ""
    digits: int = 3


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of texts, numbers and metrics. The reader can sort them by any column.

    Raises:
        ValueError: there is no column, a row has more or fewer cells than columns, a cell is not of
            its column's kind, or a number is not finite.

    Example:
        >>> columns = [Column("class"), Column("recall", "number")]
        >>> table = Table("Classes", columns, [["boots", Metric(0.91, 33, "recall", 0.8, 0.97)]])
        >>> Table("Classes", [Column("class")], [["boots", 1]])
        Traceback (most recent call last):
        ...
        ValueError: table 'Classes', row 0: a row must have 1 cells, received 2
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
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
class Metrics:
    """The few most important metrics by name, in large type."""

    title: str
    metrics: Mapping[str, Metric]

    def __post_init__(self) -> None:
        _check_not_empty(f"metrics {self.title!r}", "metric", self.metrics)


@dataclasses.dataclass(frozen=True)
class Bars:
    """One bar with its interval per name, from 0; for shares and drops.

    Raises:
        ValueError: there is no bar, or the metrics have several units.
    """

    title: str
    bars: Mapping[str, Metric]

    def __post_init__(self) -> None:
        _check_not_empty(f"bars {self.title!r}", "bar", self.bars)
        _check_one_unit(f"bars {self.title!r}", self.bars.values())


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve through `metrics[i]` at `x[i]`.

    It breaks where a metric is not defined. Intervals become a band.

    Raises:
        ValueError: there is no point, `x` and `metrics` have different lengths, or `x` is not
            finite or not in ascending order.
    """

    name: str
    x: Sequence[float]
    metrics: Sequence[Metric]

    def __post_init__(self) -> None:
        if not len(self.x) or len(self.x) != len(self.metrics):
            raise ValueError(
                f"line {self.name!r} must have as many metrics as x, at least one, "
                f"received {len(self.metrics)} and {len(self.x)}"
            )
        for each in self.x:
            _check_finite(f"x of line {self.name!r}", each)
        if any(later < earlier for earlier, later in zip(self.x, self.x[1:])):
            raise ValueError(f"x of line {self.name!r} must rise, received {list(self.x)}")


@dataclasses.dataclass(frozen=True)
class Reference:
    """A straight grey line between two points `(x, y)`, to compare curves with.

    The diagonal of a reliability diagram is one.
    """

    name: str
    start: tuple[float, float]
    end: tuple[float, float]

    def __post_init__(self) -> None:
        for each in (*self.start, *self.end):
            _check_finite(f"a point of reference {self.name!r}", each)


@dataclasses.dataclass(frozen=True)
class Lines:
    """Curves over one axis: accuracy over severity, risk over coverage, reliability.

    Args:
        title: str.
        x: name of the horizontal axis, with its unit.
        lines: `Line`s of one unit.
        reference: `Reference` or None.
        span: lower and upper end of the vertical axis; None: chosen to fit the metrics. Set it if
            charts are to be compared.

    Raises:
        ValueError: there is no line, the metrics have several units, or `span` does not rise.
    """

    title: str
    x: str
    lines: Sequence[Line]
    reference: Reference | None = None
    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check_not_empty(f"lines {self.title!r}", "line", self.lines)
        _check_one_unit(
            f"lines {self.title!r}", [metric for line in self.lines for metric in line.metrics]
        )
        if self.span is not None and not -math.inf < self.span[0] < self.span[1] < math.inf:
            raise ValueError(
                f"span of lines {self.title!r} must be two finite numbers that rise, "
                f"received {self.span}"
            )


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A number for each pair of a row and a column, shaded, as in a confusion matrix.

    Use at most about fifty rows and columns.

    Args:
        title: str.
        rows, columns: names, such as true and predicted classes.
        values: `(rows, columns)`; 0 or more without `shades`.
        row_title, column_title: what the names are, such as "true class".
        unit: unit of the values, such as "rows".
        by_row: whether the shade is the share of the row's sum, so that rare classes are readable;
            else the share of the greatest value.
        shades: `(rows, columns)` from 0, white, to 1, the darkest; None: by the values.
        shade_title: what `shades` are, such as "drop of accuracy".

    Raises:
        ValueError: `values` or `shades` has another shape, a value is not finite, or is negative
            without `shades`, or a shade is not from 0 to 1.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    row_title: str
    column_title: str
    unit: str
    by_row: bool = False
    shades: Sequence[Sequence[float]] | None = None
    shade_title: str = ""

    def __post_init__(self) -> None:
        self._check("value", self.values, math.inf if self.shades is None else None)
        if self.shades is not None:
            self._check("shade", self.shades, 1.0)

    def _check(self, what: str, table: Sequence[Sequence[float]], most: float | None) -> None:
        """Checks the shape, and that numbers are finite and, with `most`, from 0 to it."""
        lengths = [len(row) for row in table]
        if not lengths or not self.columns or lengths != [len(self.columns)] * len(self.rows):
            raise ValueError(
                f"heat map {self.title!r} must have {len(self.rows)} rows of {len(self.columns)} "
                f"{what}s, received {lengths}"
            )
        rule = "0 or more" if most == math.inf else f"from 0 to {most}"
        for value in (value for row in table for value in row):
            _check_finite(f"a {what} of heat map {self.title!r}", value)
            if most is not None and not 0 <= value <= most:
                raise ValueError(
                    f"a {what} of heat map {self.title!r} must be {rule}, received {value}"
                )


@dataclasses.dataclass(frozen=True)
class Image:
    """The bytes of an image file that Pillow reads. The page shows a thumbnail."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class AudioClip:
    """The bytes of a file that libsndfile reads. The page plays its beginning, as WAV."""

    data: bytes


@dataclasses.dataclass(frozen=True)
class Example:
    """One row of the data with its label and its prediction.

    Args:
        name: identifies the row, such as its number or its file's name.
        cells: by column, its content; None: missing.
        truth, predicted: label and prediction, as text. The page marks where they differ. None:
            they are no texts, and are among the cells.
        facts: further facts by name, such as `{"probability": "0.93"}`.
    """

    name: str
    cells: Mapping[str, Image | AudioClip | str | None]
    truth: str | None
    predicted: str | None
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Examples:
    """Rows to look at and listen to, such as those with the highest loss."""

    title: str
    examples: Sequence[Example]

    def __post_init__(self) -> None:
        _check_not_empty(f"examples {self.title!r}", "example", self.examples)


@dataclasses.dataclass(frozen=True)
class Note:
    """A plain sentence between other blocks."""

    text: str


Block = Note | Metrics | Table | Bars | Lines | HeatMap | Examples


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        title: its heading.
        description: a sentence that says what its blocks show.
        blocks: in reading order.
        sentences: what the blocks say, in words.
    """

    title: str
    description: str
    blocks: Sequence[Block]
    sentences: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Tile:
    """A value at the top of the page that leads to its section.

    Args:
        name: what the value is, such as "accuracy of label".
        value: a `Metric`, or a short text.
        section: title of the section with more.
        details: short lines below the value, such as what to compare it with.
    """

    name: str
    value: Metric | str
    section: str
    details: Sequence[str] = ()

    def __str__(self) -> str:
        return "; ".join([f"{self.name}: {self.value}", *self.details])


@dataclasses.dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        title: str.
        summary: plain sentences at the top, the most important first; at least one.
        sections: in reading order; at least one.
        made_with: versions, date, files and the like by name, for the footer.
        tiles: the values to see first, each a link to its section.

    Raises:
        ValueError: there is no sentence or no section, or a tile leads to none of the sections.

    Example:
        >>> metric = Metric(0.7, 471, "share", 0.6, 0.8)
        >>> section = Section("Inputs", "Contributions.", [Bars("Inputs", {"title": metric})])
        >>> tiles = [Tile("share of the title", metric, "Inputs")]
        >>> made_with = {"date": "2026-11-28"}
        >>> page = Page("Shoes", ["The title has 70 %."], [section], made_with, tiles)
    """

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]
    made_with: Mapping[str, str]
    tiles: Sequence[Tile] = ()

    def __post_init__(self) -> None:
        _check_not_empty(f"page {self.title!r}", "sentence", self.summary)
        _check_not_empty(f"page {self.title!r}", "section", self.sections)
        titles = [section.title for section in self.sections]
        for tile in self.tiles:
            if tile.section not in titles:
                raise ValueError(
                    f"tile {tile.name!r} of page {self.title!r} must lead to one of {titles}, "
                    f"received {tile.section!r}"
                )


def _check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, received {value}")


def _check_not_empty(where: str, what: str, items: Sequence[Any] | Mapping[str, Any]) -> None:
    if isinstance(items, str) or not len(items):
        raise ValueError(f"{where} must have at least one {what}, received {items!r}")


def _check_one_unit(where: str, metrics: Iterable[Metric]) -> None:
    units = list(dict.fromkeys(metric.unit for metric in metrics))
    if len(units) > 1:
        raise ValueError(f"{where} must have metrics of one unit, received {units}")


def _check_cell(where: str, column: Column, cell: Cell) -> None:
    expected = str if column.kind == "text" else (numbers.Real, Metric)
    if cell is not None and not isinstance(cell, expected):
        raise ValueError(f"{where}: a cell must be a {column.kind} or None, received {cell!r}")
    if isinstance(cell, numbers.Real):
        _check_finite(where, float(cell))
