"""`preview`: rows of a table with their pictures and players, for a notebook."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np
import pandas

from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.describe.cell_types import inspect_cell, rejection
from multimodal_tf.data.describe.column_types import describe_input_column
from multimodal_tf.data.describe.kinds import FILES, KINDS, OPENED
from multimodal_tf.data.describe.render import printable
from multimodal_tf.data.describe.sample import Column
from multimodal_tf.data.describe.shown import Shown
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.table import Table, as_table

# rows that are shown where nothing else is asked for, and at most
ROWS, _MOST_ROWS = 5, 100
# columns of one preview
_MOST_COLUMNS = 40
# characters of a text, and numbers of a list
_LONGEST, _NUMBERS = 160, 6
# base64 characters of all pictures and players of a preview
_BUDGET = 4 * 2**20


@dataclasses.dataclass(frozen=True)
class PreviewCell:
    """A cell: its text ("" where it is missing), why it is broken, or its picture or player."""

    kind: str
    text: str = ""
    reason: str = ""
    shown: Shown | None = None

    def __str__(self) -> str:
        if self.reason:
            return f"{self.text} ({self.reason})"
        if self.shown:
            return f"[{self.kind} {self.shown.note}]".replace(" ]", "]")
        return self.text or "missing"


@dataclasses.dataclass(frozen=True)
class PreviewRow:
    """A row: its number in the table, from 0, and its cells in the order of the columns."""

    number: int
    cells: list[PreviewCell]


@dataclasses.dataclass(frozen=True, repr=False)
class Preview:
    """The first rows of a table: a notebook shows pictures and players, `print` a line a row.

    Args:
        title: names the table.
        columns: by name, its type.
        rows: the rows.
    """

    title: str
    columns: Mapping[str, str]
    rows: list[PreviewRow]

    def __repr__(self) -> str:
        lines = [self.title]
        for row in self.rows:
            cells = (f"{name}: {cell}" for name, cell in zip(self.columns, row.cells))
            lines.append(f"row {row.number}: {', '.join(cells)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return render_html("preview.html.jinja", preview=self)


def preview(table: Table | str | os.PathLike[str] | pandas.DataFrame, rows: int = ROWS) -> Preview:
    """The first rows of a table, with pictures, players, and the reasons for broken cells.

    Only these rows are read. A picture is a thumbnail of at most 128 pixels, a sound its first 5
    seconds, a film its file or an animation of its frames; texts are shortened. All of it together
    is at most 4 MiB; what does not fit is named only.

    Args:
        table: `Table`, or what `read_table` opens: a path or a DataFrame.
        rows: int from 1 to 100.

    Returns:
        `Preview`. A missing cell is shown as missing, a broken one with the reason that `ingest`
        would give.

    Raises:
        ValueError: `table` is none, or `rows` is out of range.

    Example:
        >>> import pandas
        >>> from multimodal_tf.data.table import read_table
        >>> preview(read_table(pandas.DataFrame({"title": ["a small owl", ""], "price": [3, 5]})))
        the DataFrame, the first 2 rows
        row 0: title: a small owl, price: 3
        row 1: title: missing, price: 5
    """
    table = as_table(table)
    if not 1 <= rows <= _MOST_ROWS:
        raise ValueError(f"rows must be from 1 to {_MOST_ROWS}, received {rows}")
    return preview_as(table, rows, None)


def preview_as(table: Table, rows: int, types: Mapping[str, str] | None) -> Preview:
    """As `preview`, with the type of each column; None: as its shown cells look."""
    names = table.columns[:_MOST_COLUMNS]
    chunk = next(table.chunks(rows=rows, columns=names))
    columns: dict[str, str] = {}
    cells: list[list[PreviewCell]] = []
    left = _BUDGET
    for name in names:
        values = chunk[name].tolist()
        columns[name] = _type(name, values, table.root) if types is None else types.get(name, "")
        found = []
        for row, value in zip(chunk.index.tolist(), values):
            cell = _cell(row, value, columns[name], table.root)
            if cell.shown is not None and len(cell.shown.data) > left:
                cell = dataclasses.replace(cell, shown=None, text=cell.text or "not shown")
            left -= len(cell.shown.data) if cell.shown is not None else 0
            found.append(cell)
        cells.append(found)
    title = f"{table.name}, the first {len(chunk)} rows"
    if len(table.columns) > len(names):
        title += f", {len(names)} of {len(table.columns)} columns"
    numbers = chunk.index.tolist()
    shown = [PreviewRow(number, list(row)) for number, row in zip(numbers, zip(*cells))]
    return Preview(title, columns, shown)


def render_html(template: str, **values: Any) -> str:
    """A template of `describe`, filled."""
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("multimodal_tf.data.describe"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _type(name: str, values: list[Any], root: PathLike) -> str:
    """The type of a column by the cells that are shown."""
    present = [value for value in values if value is not None]
    column = Column(name, len(values), len(values) - len(present), len(present))
    column.cells = [inspect_cell(row, value, root) for row, value in enumerate(present)]
    return describe_input_column(column)[0] if present else ""


def _cell(row: int, value: Any, kind: str, root: PathLike) -> PreviewCell:
    if value is None:
        return PreviewCell(kind)
    if isinstance(value, BrokenCell):
        return PreviewCell(kind, reason=value.reason)
    text = _text(value)
    if kind not in KINDS:
        return PreviewCell(kind, text)
    found = inspect_cell(row, value, root, kind if kind in OPENED else "plain")
    config_of = KINDS[kind].config_of
    config = None if config_of is None else config_of([found])
    reason = printable(rejection(found, kind, root, config))
    if reason or kind not in FILES:
        return PreviewCell(kind, text, reason)
    try:
        shown = KINDS[kind].shows(read_cell(value, KINDS[kind].config, root), value, root)
    # Pillow's decoders may raise anything, and the file may have changed
    except Exception:  # noqa: BLE001
        shown = None
    return PreviewCell(kind, text, shown=shown)


def _text(value: Any) -> str:
    """A cell as a short text; of what is no text its size."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value):,} bytes"
    if isinstance(value, dict):
        return _text(value.get("path") or value.get("bytes") or str(value)[:_LONGEST])
    if isinstance(value, np.ndarray) and value.ndim > 1:
        return f"an array of {' x '.join(map(str, value.shape))}"
    if isinstance(value, (list, tuple, np.ndarray)):
        first = ", ".join(_text(each)[:20] for each in value[:_NUMBERS])
        return first + (f", ... ({len(value):,} in all)" if len(value) > _NUMBERS else "")
    text = printable(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
