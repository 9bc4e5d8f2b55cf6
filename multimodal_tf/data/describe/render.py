"""A description for the terminal: a table of figures, and under it a line a column that says why."""

import re
import sys

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from multimodal_tf.config import TABULAR_TYPES
from multimodal_tf.data.describe import cell_types
from multimodal_tf.data.describe.column_types import COUNTED

# of rejected cells, and further of what does not fit the line
_INDENT = "  "
# and the two separators at which lines are broken
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def show(description) -> Group:
    """What `describe` found.

    In a console with `soft_wrap`, such as the command line's in a pipe, every row and every
    sentence is one line, however long; elsewhere both wrap between words.

    Args:
        description: `infer.Description`.

    Returns:
        `rich.console.Group`: the size of the table; a row of figures a column; a line a column with
        the reasons for its type and tower, its rejected cells indented under it; a line on the
        tower of the numbers, categories, booleans and dates, if there are any.

    Example:
        >>> import rich
        >>> from multimodal_tf.data.describe.table_description import ColumnDescription, Description
        >>> column = ColumnDescription(name="label", column="label", type="classification", why="3 distinct values", missing=0, distinct=3)
        >>> rich.print(show(Description(table="shop.csv", rows=40, sampled=40, columns=[column])))
        shop.csv: 40 rows, all looked at
        <BLANKLINE>
        column  type            missing  distinct  values  rejected
        ...
        label   classification        0         3                 0
        <BLANKLINE>
        label: 3 distinct values
    """
    looked = (
        "all looked at"
        if description.sampled == description.rows
        else f"{description.sampled} of them looked at"
    )
    lines = [line for column in description.columns for line in _about(column)]
    title = f"{description.table}: {description.rows} rows, {looked}"
    return Group(
        _Line(title),
        "",
        _Figures(description.columns),
        "",
        *map(_Line, [*lines, *_tabular(description.columns)]),
    )


class _Line:
    """A line of text that goes on further to the right where it does not fit."""

    def __init__(self, text):
        self._text = _printable(text)

    def __rich_console__(self, console, options):
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


class _Figures:
    """The table: a row a column."""

    def __init__(self, columns):
        self._columns = columns

    def __rich_console__(self, console, options):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for heading in ("column", "type", "missing", "distinct", "values", "rejected"):
            table.add_column(
                heading,
                overflow="fold",
                justify="right" if heading in ("missing", "distinct", "rejected") else "left",
            )
        for column in self._columns:
            distinct = f"{column.distinct}{'+' if column.distinct >= COUNTED else ''}"
            cells = (
                column.column,
                column.type,
                str(column.missing),
                distinct,
                _values(column),
                str(column.rejected),
            )
            table.add_row(*(Text(_printable(cell)) for cell in cells))
        yield from console.render(
            table, options.update(max_width=sys.maxsize) if options.no_wrap else options
        )


def _about(column):
    """Why a column has its type and its tower, and the cells that are rejected."""
    name = column.column if column.name == column.column else f"{column.column} (as {column.name})"
    tower = f"; {column.tower}" if column.tower and column.type not in TABULAR_TYPES else ""
    yield f"{name}: {column.why}{tower}"
    for rejection in column.rejections:
        yield f"{_INDENT}row {rejection.row}: {rejection.reason}"
    if column.rejected > len(column.rejections):
        yield f"{_INDENT}and {column.rejected - len(column.rejections)} more"


def _tabular(columns):
    """Why the numbers, categories, booleans and dates have their tower: the same for all of them."""
    mine = [column for column in columns if column.type in TABULAR_TYPES]
    kinds = [kind for kind in TABULAR_TYPES if any(column.type == kind for column in mine)]
    return [f"{', '.join(kinds)} columns: {mine[0].tower}"] if mine and mine[0].tower else []


def _values(column):
    if column.width and column.height:
        size = f"{_range(column.width)} x {_range(column.height)} pixels{', grey' if column.grey else ''}"
        return f"{size}, {_range(column.seconds, '.1f')} s" if column.seconds else size
    if column.seconds and column.sample_rate:
        more = " or more" if column.seconds.max >= cell_types.LISTEN else ""
        return f"{_range(column.seconds, '.2f')}{more} s, {_range(column.sample_rate)} Hz"
    return f"{_range(column.words)} words" if column.words else ""


def _range(spread, form=".0f"):
    return " to ".join(dict.fromkeys(format(value, form) for value in (spread.min, spread.max)))


def _printable(text):
    """Without line breaks and control characters, and without lone surrogates, which no terminal
    takes.
    """
    return _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
