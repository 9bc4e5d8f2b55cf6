"""The geometry of charts; the templates draw it in the page's colours and type.

Positions are in percent of the drawing, sizes of type and marks in pixels, so nothing is stretched
on a narrow screen. This holds in light, dark and print.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from matplotlib.ticker import MaxNLocator

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.page.blocks import Bars, HeatMap, Line, Lines
from multimodal_tf.report.page.tables import (
    TableView,
    interval_and_rest,
    shared_by,
    table_of_lines,
    table_view,
    unit_and_n,
)

# as many as charts.css has; together they distinguish 28 lines
_COLOURS, _DASHES = 7, 4
# shades of a heat map, as many as charts.css has
_LEVELS = 8
# columns of a heat map from which on it does not fit a narrow screen
_MANY_COLUMNS = 8
_MAX_TICKS = 6
# a line with more points has no marks; its values are in the table below
_MAX_MARKS = 40
# units along each side of the inner drawing, the only one that is stretched: lines and bands
_BOX = 1000


@dataclasses.dataclass(frozen=True)
class Tick:
    """A number on an axis: its label, its position in percent, and how the label is aligned."""

    label: str
    at: str
    anchor: str = "middle"


@dataclasses.dataclass(frozen=True)
class BarView:
    """One bar: positions in percent. `bar` is start and width, `whisker` the interval's ends."""

    name: str
    metric: Metric
    rest: str
    bar: tuple[str, str] | None
    whisker: tuple[str, str] | None


@dataclasses.dataclass(frozen=True)
class BarsView:
    """Bars one below the other over a common axis."""

    below: str
    ticks: Sequence[Tick]
    bars: Sequence[BarView]


@dataclasses.dataclass(frozen=True)
class MarkView:
    """A dot on a curve; `title` appears when it is pointed at."""

    title: str
    x: str
    y: str
    colour: str


@dataclasses.dataclass(frozen=True)
class LinesView:
    """Curves and bands as SVG points in a box, marks and ticks in percent of the drawing."""

    below: str
    label: str
    x: Sequence[Tick]
    y: Sequence[Tick]
    box: int
    # opacity of the bands
    opacity: str
    # points and CSS classes
    bands: Sequence[tuple[str, str]]
    curves: Sequence[tuple[str, str]]
    reference: str | None
    marks: Sequence[MarkView]
    # names and CSS classes
    legend: Sequence[tuple[str, str]]
    table: TableView


@dataclasses.dataclass(frozen=True)
class ShadedCell:
    """A cell of a heat map."""

    text: str
    title: str
    column: str
    level: int


@dataclasses.dataclass(frozen=True)
class HeatMapView:
    """A table whose cells are shaded, so that it can be read, copied and heard.

    `upright` names of columns are written upwards. `wide` maps are listed by row on a narrow
    screen, without the cells that have no shade.
    """

    below: str
    upright: bool
    wide: bool
    rows: Sequence[tuple[str, Sequence[ShadedCell]]]


def bars_view(block: Bars) -> BarsView:
    """The geometry of bars."""
    ticks = _ticks([0.0, *_extent(block.bars.values())])
    shared = shared_by(block.bars.values())
    # the outermost labels stay within the width of the bars, which have no margin
    anchors = ["start", *["middle"] * (len(ticks) - 2), "end"]
    axis = [
        Tick(f"{tick:g}", _percent(_position(tick, ticks)), anchor)
        for tick, anchor in zip(ticks, anchors)
    ]
    bars = [
        BarView(
            name,
            metric,
            interval_and_rest(metric, shared),
            _bar(metric, ticks),
            _whisker(metric, ticks),
        )
        for name, metric in block.bars.items()
    ]
    return BarsView(unit_and_n(shared), axis, bars)


def lines_view(block: Lines) -> LinesView:
    """The geometry of curves with bands, a legend if there are several, and their table."""
    x, y = _axes(block)
    bands, curves = [], []
    for number, line in enumerate(block.lines):
        for points in _defined_runs(line):
            bands.append((_points(_edge(points), x, y), _colour(number)))
            curve = [(at, value) for at, metric in points if (value := metric.value) is not None]
            curves.append((_points(curve, x, y), _series(number)))
    reference = block.reference
    ends = None if reference is None else _points([reference.start, reference.end], x, y)
    legend = [(line.name, _series(number)) for number, line in enumerate(block.lines)]
    legend += [] if reference is None else [(reference.name, "reference")]
    return LinesView(
        below=unit_and_n(shared_by(metric for line in block.lines for metric in line.metrics)),
        label=_in_words(block),
        x=[Tick(f"{tick:g}", _percent(_position(tick, x))) for tick in x],
        y=[Tick(f"{tick:g}", _percent(100 - _position(tick, y))) for tick in y],
        box=_BOX,
        # many overlapping bands are no darker than three
        opacity=f"{min(0.13, 0.4 / max(len(block.lines), 1)):.3f}",
        bands=bands,
        curves=curves,
        reference=ends,
        marks=[
            mark
            for number, line in enumerate(block.lines)
            for mark in _marks(line, number, x, y, block.x)
        ],
        legend=legend if len(legend) > 1 else [],
        table=table_view(table_of_lines(block)),
    )


def heat_map_view(block: HeatMap) -> HeatMapView:
    """The shades of a heat map."""
    greatest = max(max(map(abs, row)) for row in block.values)
    digits = _digits([value for row in block.values for value in row])
    rows = []
    for number, (name, values) in enumerate(zip(block.rows, block.values)):
        total = sum(values) if block.by_row else greatest
        shares = [value / total if total else 0.0 for value in values]
        shades = shares if block.shades is None else block.shades[number]
        of = [f", {share:.0%} of the row" if block.by_row else "" for share in shares]
        rows.append(
            (
                name,
                [
                    _shaded(block, name, column, f"{value:,.{digits}f}", rest, shade)
                    for column, value, rest, shade in zip(block.columns, values, of, shades)
                ],
            )
        )
    of_all = f"the {block.row_title}" if block.by_row else f"{greatest:,.{digits}f}"
    return HeatMapView(
        f"{block.unit}; shade: {block.shade_title or f'share of {of_all}'}",
        len(block.columns) > 4
        and max(map(len, block.columns)) > 2
        or max(map(len, block.columns)) > 12,
        len(block.columns) > _MANY_COLUMNS,
        rows,
    )


def _digits(values: Sequence[float]) -> int:
    """Decimals by which the values are told apart: none for counts, else three digits in all."""
    greatest = max(map(abs, values))
    if greatest == 0 or all(float(value).is_integer() for value in values):
        return 0
    return int(min(max(2 - math.floor(math.log10(greatest)) - (greatest < 1), 0), 9))


def _bar(metric: Metric, ticks: Sequence[float]) -> tuple[str, str] | None:
    if metric.value is None:
        return None
    start, end = sorted((_position(0.0, ticks), _position(metric.value, ticks)))
    return _percent(start), _percent(end - start)


def _whisker(metric: Metric, ticks: Sequence[float]) -> tuple[str, str] | None:
    if metric.low is None or metric.high is None:
        return None
    return _percent(_position(metric.low, ticks)), _percent(_position(metric.high, ticks))


def _axes(block: Lines) -> tuple[list[float], list[float]]:
    """The ticks of both axes; the first and the last are their ends."""
    reference = [block.reference.start, block.reference.end] if block.reference else []
    across = [float(x) for line in block.lines for x in line.x] + [x for x, _ in reference]
    up = _extent(metric for line in block.lines for metric in line.metrics)
    up += [y for _, y in reference]
    return _ticks(across), _ticks(list(block.span) if block.span else up or [0.0, 1.0])


def _edge(points: Sequence[tuple[float, Metric]]) -> list[tuple[float, float]]:
    """The outline of the band: the low bounds forwards, the high bounds backwards."""
    low = [(at, metric.low) for at, metric in points if metric.low is not None]
    high = [(at, metric.high) for at, metric in points if metric.high is not None]
    return low + high[::-1]


def _marks(
    line: Line, number: int, x: Sequence[float], y: Sequence[float], across: str
) -> Iterator[MarkView]:
    if len(line.x) > _MAX_MARKS:
        return
    for at, metric in zip(line.x, line.metrics):
        if metric.value is not None and y[0] <= metric.value <= y[-1]:
            yield MarkView(
                f"{line.name}, {across} {at:g}: {metric}",
                _percent(_position(at, x)),
                _percent(100 - _position(metric.value, y)),
                _colour(number),
            )


def _in_words(block: Lines) -> str:
    """Where each curve starts and ends."""
    sentences = [f"{block.title}: {block.lines[0].metrics[0].unit} over {block.x}."]
    for line in block.lines:
        first, last = line.metrics[0], line.metrics[-1]
        sentences.append(
            f"{line.name}: {first.shown} at {line.x[0]:g}, {last.shown} at {line.x[-1]:g}."
        )
    return " ".join(sentences)


def _shaded(
    block: HeatMap, row: str, column: str, text: str, rest: str, shade: float
) -> ShadedCell:
    level = 0 if shade <= 0 else 1 + min(int(shade * (_LEVELS - 1)), _LEVELS - 2)
    names = f"{block.row_title} {row}, {block.column_title} {column}"
    return ShadedCell(text, f"{names}: {text} {block.unit}{rest}", column, level)


def _defined_runs(line: Line) -> Iterator[list[tuple[float, Metric]]]:
    """The runs of a line in which every metric has a value."""
    for defined, points in itertools.groupby(
        zip(line.x, line.metrics), key=lambda point: point[1].value is not None
    ):
        if defined:
            yield list(points)


def _extent(metrics: Iterable[Metric]) -> list[float]:
    """All values and bounds."""
    return [
        float(each)
        for metric in metrics
        for each in (metric.value, metric.low, metric.high)
        if each is not None
    ]


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers at equal distances that enclose `values`."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    locator = MaxNLocator(_MAX_TICKS - 1, steps=[1, 2, 5, 10])
    return [float(tick) for tick in locator.tick_values(low, high)]


def _position(value: float, ticks: Sequence[float]) -> float:
    """Position along an axis, 0..100."""
    return 100 * (float(value) - ticks[0]) / (ticks[-1] - ticks[0])


def _points(points: Iterable[tuple[float, float]], x: Sequence[float], y: Sequence[float]) -> str:
    return " ".join(
        f"{_position(a, x) * _BOX / 100:.1f},{(100 - _position(b, y)) * _BOX / 100:.1f}"
        for a, b in points
    )


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _colour(number: int) -> str:
    return f"s{number % _COLOURS}"


def _series(number: int) -> str:
    return f"{_colour(number)} d{number % _DASHES}"
