"""Checks the arguments of an ingest before anything is written."""

import difflib
import mimetypes
from collections.abc import Iterable

from multimodal_tf.config import INPUTS, Config
from multimodal_tf.config.heads import Head, with_column
from multimodal_tf.config.model import check_config
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.table import Table

# rows whose labels are read
_ROWS = 256
# of them, rows whose files are read
_FILES = 16
# labels that are enough to tell classes from numbers
_ENOUGH = 20


def check_arguments(
    table: Table, config: Config, processes: int | None, rows_per_shard: int
) -> None:
    """Checks numbers, columns and labels.

    Raises:
        ValueError: a number is below 1, a column of the configuration is not in the table, or its
            labels are of another type than its head's.
    """
    check_config(config)
    if rows_per_shard < 1:
        raise ValueError(f"rows_per_shard must be at least 1, received {rows_per_shard}")
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be at least 1 or None, received {processes}")
    named: dict[str, str | None] = {
        name: config.column(name) for name in [*config.inputs, *with_column(config.heads)]
    }
    for field in ("column", "group", "stratify"):
        named[f"split.{field}"] = getattr(config.split, field)
    for name, column in named.items():
        if column is not None and column not in table.columns:
            close = difflib.get_close_matches(column, table.columns, n=1, cutoff=0.5)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else f"it has {', '.join(map(repr, table.columns[:20]))}"
            )
            raise ValueError(f"{table.name} has no column {column!r}, which {name} reads: {hint}")
    _check_labels(table.with_missing(config.missing), config)


def _check_labels(table: Table, config: Config) -> None:
    """Checks the labels of the first rows against the type of their head."""
    heads = with_column(config.heads)
    if not heads:
        return
    first = next(table.chunks(_ROWS, list({config.column(name) for name in heads})))
    for name, head in heads.items():
        column = config.column(name)
        cells = first[column] if head.cell_input is None else first[column][:_FILES]
        labels, broken = _read_labels(cells, head, table.root)
        where = f"heads.{name}: the column {column!r}"
        if not labels and 2 * len(broken) > len(cells):
            raise ValueError(
                f"{where} must hold what a {head.type} learns from, received {len(broken)} broken"
                f" labels, such as {broken[0]}"
            )
        files = [label for label in labels if isinstance(label, str) and _names_a_file(label)]
        if head.target_type == "text" and 2 * len(files) > len(labels):
            raise ValueError(
                f"{where} must hold texts, received names of files, such as {files[0]:.80}"
            )
        if (
            head.target_type == "class"
            and len(labels) >= _ENOUGH
            and 2 * len({*labels}) > len(labels)
            and all(map(_is_fraction, labels))
        ):
            raise ValueError(
                f"{where} must hold classes, received numbers that are nearly all different, such"
                f" as {labels[0]}"
            )


def _read_labels(
    cells: Iterable[object], head: Head, root: PathLike
) -> tuple[list[str | float], list[CellError]]:
    """`(labels that are not missing, errors of broken ones)`; "" in place of a whole file."""
    labels: list[str | float] = []
    broken = []
    for cell in cells:
        try:
            label = read_label(cell, head, root)
        except CellError as error:
            broken.append(error)
            continue
        if isinstance(label, str | float):
            labels.append(label)
        elif label is not None:
            labels.append("")
    return labels, broken


def _names_a_file(label: str) -> bool:
    """Whether a text is the path or the data URI of media."""
    kind, _ = mimetypes.guess_type(label)
    media = tuple(f"{name}/" for name, one in INPUTS.items() if one.is_media)
    return (kind or "").startswith(media) or label.lower().startswith(
        tuple(f"data:{one}" for one in media)
    )


def _is_fraction(label: str | float) -> bool:
    try:
        return not float(label).is_integer()
    except ValueError:
        return False
