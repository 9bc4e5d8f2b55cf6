"""Blocks as tables: sortable on the page, as CSV beside it, and as the alternative to a chart."""

import dataclasses
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.page.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Example,
    Examples,
    HeatMap,
    Lines,
    Metrics,
    Note,
    Table,
)

# pixels that a column takes at least, and that the page has on a screen of 1280
_WIDTHS, _METRIC, _PAGE, _GAP = {"text": 120, "number": 80}, 125, 1000, 40

# what several metrics have in common: their unit, their n
Shared = Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class CellView:
    """A cell as the template shows it.

    Args:
        kind: its column's kind.
        text: the content, or the metric's value.
        rest: the metric's interval, and its unit and n where its column does not share them; None
            for other cells.
        sort: the number that it sorts by; None for texts and empty cells.
    """

    kind: str
    text: str
    rest: str | None = None
    sort: float | None = None


@dataclasses.dataclass(frozen=True)
class TableView:
    """A table as the template shows it: headings are `(column, unit and n below)`.

    A `wide` one has more columns than fit the page; two that take `half` of it stand side by side.
    """

    title: str
    headings: Sequence[tuple[Column, str]]
    rows: Sequence[Sequence[CellView]]
    wide: bool
    half: bool


def as_table(block: Block) -> Table | None:
    """The data of a block as a table; None for a note.

    Example:
        >>> as_table(Bars("Shares", {"photo": Metric(0.4, 12, "share")})).columns[1].name
        'value'
    """
    match block:
        case Note():
            return None
        case Table():
            return block
        case Metrics():
            return _of_metrics(block.title, block.metrics)
        case Bars():
            return _of_metrics(block.title, block.bars)
        case Lines():
            return table_of_lines(block)
        case HeatMap():
            names = [Column(name, "number", block.unit) for name in block.columns]
            rows: list[list[Cell]] = [
                [name, *values] for name, values in zip(block.rows, block.values)
            ]
            return Table(block.title, [Column(block.row_title), *names], rows)
        case Examples():
            return _of_examples(block)
        case _:
            assert_never(block)


def table_view(table: Table) -> TableView:
    """A table as the template shows it."""
    shared = [shared_by(_metrics_in(table, index)) for index in range(len(table.columns))]
    rows = [[_cell_view(*each) for each in zip(table.columns, row, shared)] for row in table.rows]
    widths = [
        _METRIC if any(row[index].rest is not None for row in rows) else _WIDTHS[column.kind]
        for index, column in enumerate(table.columns)
    ]
    return TableView(
        table.title,
        [(column, column.unit or unit_and_n(each)) for column, each in zip(table.columns, shared)],
        rows,
        wide=sum(widths) > _PAGE,
        half=sum(widths) < _PAGE / 2 - _GAP,
    )


def shared_by(metrics: Iterable[Metric]) -> Shared:
    """The unit and n that all metrics have in common, to be shown once for all of them.

    Example:
        >>> shared_by([Metric(0.4, 12, "share"), Metric(0.6, 9, "share")])
        {'unit': 'share'}
    """
    metrics = list(metrics)
    values = {name: {getattr(metric, name) for metric in metrics} for name in ("unit", "n")}
    return {name: each.pop() for name, each in values.items() if len(each) == 1}


def unit_and_n(of: Shared) -> str:
    """Unit and n as text, those of the two that are given.

    Example:
        >>> unit_and_n({"unit": "share", "n": 1200}), unit_and_n({"n": 9}), unit_and_n({})
        ('share, n = 1,200', 'n = 9', '')
    """
    n = [f"n = {of['n']:,}"] if "n" in of else []
    return ", ".join([*([str(of["unit"])] if of.get("unit") else []), *n])


def interval_and_rest(metric: Metric, shared: Shared) -> str:
    """The interval of a metric, then its unit and n as far as they are not in `shared`."""
    own = {"unit": metric.unit, "n": metric.n}
    rest = unit_and_n({name: value for name, value in own.items() if name not in shared})
    return f" {metric.interval}{', ' if rest else ''}{rest}"


def table_of_lines(block: Lines) -> Table:
    """One row per point, line after line."""
    rows: list[list[Cell]] = [
        [line.name, float(x), metric]
        for line in block.lines
        for x, metric in zip(line.x, line.metrics)
    ]
    digits = 0 if all(float(x).is_integer() for line in block.lines for x in line.x) else 3
    columns = [Column("line"), Column(block.x, "number", digits=digits), Column("value", "number")]
    return Table(block.title, columns, rows)


def _cell_view(column: Column, cell: Cell, shared: Shared) -> CellView:
    if isinstance(cell, Metric):
        return CellView("number", cell.shown, interval_and_rest(cell, shared), cell.value)
    if isinstance(cell, numbers.Real):
        is_integer = isinstance(cell, numbers.Integral)
        text = f"{cell:,}" if is_integer else f"{float(cell):,.{column.digits}f}"
        return CellView("number", text, sort=cell)
    return CellView(column.kind, str(cell or ""))


def _metrics_in(table: Table, index: int) -> list[Metric]:
    return [cell for row in table.rows if isinstance(cell := row[index], Metric)]


def _of_metrics(title: str, metrics: Mapping[str, Metric]) -> Table:
    columns = [Column("name"), Column("value", "number")]
    return Table(title, columns, [[name, metric] for name, metric in metrics.items()])


def _of_examples(block: Examples) -> Table:
    """Without images and clips."""
    cells = list(
        dict.fromkeys(
            name
            for each in block.examples
            for name, cell in each.cells.items()
            if isinstance(cell, str)
        )
    )
    facts = list(dict.fromkeys(name for each in block.examples for name in each.facts))

    def row(example: Example) -> list[Cell]:
        contents = [example.cells.get(name) for name in cells]
        texts = [content if isinstance(content, str) else None for content in contents]
        others = [example.facts.get(name) for name in facts]
        return [example.name, example.truth, example.predicted, *texts, *others]

    names = ["row", "true", "predicted", *cells, *facts]
    return Table(
        block.title, [Column(name) for name in names], [row(each) for each in block.examples]
    )
