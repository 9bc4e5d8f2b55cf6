"""A description for the terminal: a table of measures, and a line a column that says why."""

import re
import sys
from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from multimodal_tf.config import TABULAR_TYPES
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.heads import HEADS
from multimodal_tf.data.describe.kinds import KINDS
from multimodal_tf.data.describe.sample import COUNTED

# of rejected cells, and of what does not fit the line
_INDENT = "  "
# and the two separators at which lines are broken
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def render(title: str, columns: list[ColumnDescription], *notes: str) -> Group:
    """A table's description.

    In a console with `soft_wrap`, such as the command line's in a pipe, every row and every
    sentence is one line, however long; elsewhere both wrap between words.

    Returns:
        `rich.console.Group`: the title; a table with a row a column; a line a column with the
        reasons for its type and tower, and its rejected cells indented under it; a line on the
        tower of the numbers, categories, booleans and dates, if there are any; a line a note.

    Example:
        >>> import rich
        >>> from multimodal_tf.data.describe.column_description import ColumnDescription
        >>> column = ColumnDescription(name="label", column="label", type="classification",
        ...                            why="3 distinct values", missing=0, distinct=3)
        >>> rich.print(render("shop.csv: 40 rows", [column]))
        shop.csv: 40 rows
        <BLANKLINE>
        column  type            missing  distinct  values  rejected
        ...
        label   classification        0         3                 0
        <BLANKLINE>
        label: 3 distinct values
    """
    lines = [line for column in columns for line in _about(column)]
    lines += [*_tabular(columns), *filter(None, notes)]
    return Group(_Line(title), "", _Columns(columns), "", *map(_Line, lines))


class _Line:
    """A line of text that is indented further where it wraps."""

    def __init__(self, text: str) -> None:
        self._text = printable(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        margin = self._text[: len(self._text) - len(self._text.lstrip())] + _INDENT
        text = Text(self._text)
        if (
            options.no_wrap
            or text.cell_len <= options.max_width
            or options.max_width <= 2 * len(margin)
        ):
            yield text
        else:
            yield Text(f"\n{margin}").join(text.wrap(console, options.max_width - len(margin)))


class WholeRows:
    """A table whose rows are one line each in a console with `soft_wrap`, however long."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(
            self._table, options.update(max_width=sys.maxsize) if options.no_wrap else options
        )


class _Columns:
    """The table: a row a column."""

    def __init__(self, columns: list[ColumnDescription]) -> None:
        self._columns = columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for heading in ("column", "type", "missing", "distinct", "values", "rejected"):
            numeric = heading in ("missing", "distinct", "rejected")
            table.add_column(heading, overflow="fold", justify="right" if numeric else "left")
        for column in self._columns:
            cells = (
                column.column,
                column.type,
                str(column.missing),
                f"{column.distinct}{'+' if column.distinct >= COUNTED else ''}",
                KINDS[column.type].render(column) if column.type in KINDS else "",
                str(column.rejected),
            )
            table.add_row(*(Text(printable(cell)) for cell in cells))
        yield from console.render(WholeRows(table), options)


def _about(column: ColumnDescription) -> Iterator[str]:
    """Why a column has its type and its tower, and the cells that are rejected."""
    name = column.column if column.name == column.column else f"{column.column} (as {column.name})"
    tower = f"; {column.tower}" if column.tower and column.type not in TABULAR_TYPES else ""
    yield f"{name}: {column.why}{tower}{_shares(column)}"
    for rejection in column.rejections:
        yield f"{_INDENT}row {rejection.row}: {rejection.reason}"
    if column.rejected > len(column.rejections):
        yield f"{_INDENT}and {column.rejected - len(column.rejections)} more"


def _shares(column: ColumnDescription) -> str:
    """The shares of a label's classes, and what the proposed head makes of them."""
    if column.classes is None:
        return ""
    several = HEADS[column.type].target_type == "classes"
    text = f"; {column.classes.text('label' if several else 'class')}"
    if several:
        return f"{text}; validation rows give each label its threshold"
    weighs = getattr(column.config(), "class_weight", None)
    return f"{text}: so unequal that class_weight is {weighs}" if weighs else text


def _tabular(columns: list[ColumnDescription]) -> list[str]:
    """Why the numbers, categories, booleans and dates have their tower: the same for all."""
    mine = [column for column in columns if column.type in TABULAR_TYPES]
    kinds = [kind for kind in TABULAR_TYPES if any(column.type == kind for column in mine)]
    return [f"{', '.join(kinds)} columns: {mine[0].tower}"] if mine and mine[0].tower else []


def printable(text: str) -> str:
    """The text without line breaks, control characters and lone surrogates."""
    return _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
