"""Refuses a table of which too many cells of an input cannot be read."""

import collections
from collections.abc import Iterable

from multimodal_tf.config import Config
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.ingest import rejected
from multimodal_tf.data.ingest.rejected import Rejected
from multimodal_tf.data.ingest.shards import Part
from multimodal_tf.data.kinds.files import file_of

# broken cells that are too few to say anything of a column of which others can be read
_FEW = 10


def check_readable(
    config: Config, parts: Iterable[Part], root: PathLike, table: str, records: Path
) -> None:
    """Checks the share of cells that cannot be read, by input.

    Args:
        config: of the ingest, with `max_unreadable`.
        parts: of all shards.
        root: folder that relative paths start from.
        table: its name, for the message.
        records: folder with the list of rejected cells.

    Raises:
        ValueError: more than this share of an input's cells that are not missing are broken.
    """
    cells = collections.Counter[str]()
    broken = collections.Counter[str]()
    first: dict[str, Rejected] = {}
    for part in parts:
        cells.update(part.cells)
        for one in part.rejected:
            broken[one.column] += 1
            if one.column not in first or one.row < first[one.column].row:
                first[one.column] = one
    for name in config.inputs:
        column = config.column(name)
        unread, all_cells = broken[column], cells[name]
        if not is_refused(unread, all_cells, config.max_unreadable):
            continue
        raise ValueError(
            f"{table}: {unread:,} of {all_cells:,} cells of the input {name!r} cannot be read,"
            f" more than max_unreadable={config.max_unreadable:g}; the first, row"
            f" {first[column].row}{_tried(first[column], root)}: {first[column].reason}"
            f"{_advice(first[column])}; all are in {records / rejected.FILE}"
        )


def is_refused(broken: int, cells: int, most: float) -> bool:
    """Whether so many broken cells, of all that are not missing, are too many.

    Example:
        >>> is_refused(3, 10, 0.2), is_refused(30, 100, 0.2), is_refused(3, 3, 0.2)
        (False, True, True)
    """
    return broken > most * cells and (broken >= _FEW or 1 < broken == cells)


def _tried(one: Rejected, root: PathLike) -> str:
    path = file_of(one.path, root) if one.path else None
    return "" if path is None else f", tried as {path}"


def _advice(one: Rejected) -> str:
    relative = one.path and not one.path.startswith("/")
    if relative and one.reason == "no such file":
        return " (--root, in Python `root` of read_table, names the folder that paths start from)"
    return ""
