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
        broken.update(part.broken)
        for name, one in part.first.items():
            if name not in first or one.row < first[name].row:
                first[name] = one
    for name in config.inputs:
        if not is_refused(broken[name], cells[name], config.max_unreadable):
            continue
        one = first[name]
        raise ValueError(
            f"{table}: {broken[name]:,} of {cells[name]:,} cells of the input {name!r} cannot be"
            f" read, more than max_unreadable={config.max_unreadable:g}; the first, row"
            f" {one.row}{_tried(one, root)}: {one.reason}{_advice(one)}; all are in"
            f" {records / rejected.FILE}"
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
