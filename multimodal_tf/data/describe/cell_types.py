"""Opens one cell of a table to find its kind, its measures, and why it cannot be read."""

import numbers
from typing import Any

import numpy as np

from multimodal_tf.config import Input
from multimodal_tf.data.codecs import audio_decoders, dates, image_file, video_file
from multimodal_tf.data.codecs.cell import BrokenCell, CellError
from multimodal_tf.data.describe.kinds import FILES, KINDS, OPENED
from multimodal_tf.data.describe.kinds.kind import ARRAYS, nested
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.data.kinds.files import file_of, may_be_file

# characters of a text that are kept to be counted; preprocessing reads no more
_KEPT = 2**16
# labels of one row that are kept
_LONGEST_LIST = 1000
# characters
_LONGEST_PATH = 4096
# how files of any kind begin
_MAGICS = (image_file.MAGIC, audio_decoders.MAGIC, video_file.MAGIC)


def inspect_cell(row: int, cell: Any, root: PathLike, kind: str | None = None) -> Cell:
    """Opens a cell that is not missing.

    Args:
        row: its row, for the result.
        cell: any cell of a `Table`'s chunk.
        root: folder that relative paths start from.
        kind: a kind of `OPENED` to read it as; "plain": a number, text or list, never a file; None:
            find out.
    """
    if isinstance(cell, BrokenCell):
        return Cell(row, "broken", reason=cell.reason)
    if kind in FILES:
        return _open(row, cell, root, kind)
    if isinstance(cell, list) and cell and not isinstance(cell[0], (list, numbers.Number)):
        item = "image" if isinstance(cell[0], bytes) else _named(cell[0], root)
        frames = [name for name, one in FILES.items() if one.frames_of and one.frames_of == item]
        if frames and kind is None:
            return _open(row, cell, root, frames[0])
        return Cell(row, "list", cell)
    if _is_number(cell):
        return Cell(row, "number", cell)
    if isinstance(cell, dates.TYPES):
        return _date(row, cell)
    for name, one in OPENED.items():
        if kind in (None, name) and one.recognizes(cell):
            found = Cell(row, name, cell)
            one.measure(found, cell, cell, root)
            return found
    named = None if kind == "plain" else _named(cell, root)
    # most texts are no files: that is found once, not by each kind
    if kind != "plain" and (named or may_be_file(cell, root, _MAGICS)):
        for name in _possible(cell):
            found = _open(row, cell, root, name)
            if found.opened or named == name:
                return found
    return _plain(row, cell)


def rejection(cell: Cell, kind: str, root: PathLike, config: Input | None = None) -> str:
    """Why an opened cell cannot be read as the column's type; "" if it can.

    Args:
        config: the configuration of the column's cells, where it depends on them.
    """
    if config is None and (cell.kind == kind or cell.kind in KINDS[kind].also_reads):
        return cell.reason
    if cell.kind == "broken":
        return cell.reason
    if cell.value is None:
        return f"{cell.kind}, not {kind}"
    if cell.kind == "list" and cell.length is not None and cell.length > len(cell.value):
        return f"a list of {cell.length:,} values, not {kind}"
    try:
        read_cell(cell.value, config or KINDS[kind].config, root)
    except CellError as error:
        return str(error)
    return ""


def _is_number(cell: Any) -> bool:
    if not isinstance(cell, (str, numbers.Number, np.bool_)):
        return False
    try:
        read_cell(cell, KINDS["number"].config)
    except CellError:
        return False
    return True


def _date(row: int, cell: Any) -> Cell:
    try:
        content: Any = read_cell(cell, KINDS["date"].config)
        return Cell(row, "date", content.decode())
    except CellError as error:
        return Cell(row, "date", str(cell), str(error))


def _possible(cell: Any) -> list[str]:
    """The kinds that a cell other than a number could be, besides text."""
    arrays = isinstance(cell, ARRAYS)
    return [name for name, kind in FILES.items() if not arrays or kind.holds(cell)]


def _named(cell: Any, root: PathLike) -> str | None:
    """The kind of file that the cell's text says it is, by suffix or data URI."""
    # most texts have no suffix, and a path takes longer to make than all that follows
    path = None if isinstance(cell, str) and "." not in cell else file_of(cell, root)
    if path is not None:
        return next(
            (name for name, kind in FILES.items() if kind.suffixes.fullmatch(path.suffix)), None
        )
    head = cell[:12].lower() if isinstance(cell, str) else ""
    return next((name for name in FILES if head.startswith(f"data:{name}/")), None)


def _open(row: int, cell: Any, root: PathLike, name: str) -> Cell:
    is_path = isinstance(cell, str) and len(cell) <= _LONGEST_PATH
    found, kind = Cell(row, name, cell if is_path else None), KINDS[name]
    try:
        content: Any = read_cell(cell, kind.config, root)
    except CellError as error:
        found.reason = str(error)
        return found
    found.opened = True
    content, found.reason = kind_of(kind.check or kind.config).checked(content)
    kind.measure(found, content, cell, root)
    return found


def _plain(row: int, cell: Any) -> Cell:
    if isinstance(cell, ARRAYS):
        value = None if nested(cell) else list(cell[:_LONGEST_LIST])
        return Cell(row, "list", value, length=len(cell))
    try:
        content: Any = read_cell(cell, KINDS["text"].config)
    except CellError as error:
        return Cell(row, "text" if isinstance(cell, str) else "other", reason=str(error))
    return Cell(
        row, "text" if isinstance(cell, (str, bytes)) else "other", content.decode()[:_KEPT]
    )
