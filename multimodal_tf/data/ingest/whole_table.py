"""All rows of a labelled table as records of one split, for as long as a model is evaluated."""

import collections
import contextlib
import dataclasses
import functools
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import TypeAlias, cast

import numpy as np
import pandas

from multimodal_tf.config import Config, Split
from multimodal_tf.config.heads import with_column
from multimodal_tf.data import record_files
from multimodal_tf.data.filesystem import PathLike, is_local, to_path
from multimodal_tf.data.ingest import checks, processes, shards, table_ingest
from multimodal_tf.data.ingest.record_settings import recorded_config
from multimodal_tf.data.manifest import FILE, Manifest
from multimodal_tf.data.split import SPLITS
from multimodal_tf.data.table import Table, as_table
from multimodal_tf.data.table_files import SUFFIXES
from multimodal_tf.data.table_formats.choice import divided
from multimodal_tf.data.table_formats.reader import Columns

# a split that needs no training rows
SPLIT = "test"
_ROWS_PER_SHARD = 1000

# a folder of records, or a table
Source: TypeAlias = PathLike | Table | pandas.DataFrame


@dataclasses.dataclass(frozen=True)
class Rows:
    """Records to evaluate a model on.

    Attributes:
        records: their folder.
        table: all of whose rows they are; None: they are those that `ingest` wrote.
        notes: what of the table is missing or left out, one sentence each.
    """

    records: str | os.PathLike[str]
    table: Table | None = None
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def opened_rows(source: Source, config: Config) -> Iterator[Rows]:
    """The records of a folder that `ingest` wrote, or of all rows of a table.

    A table's cells are checked as `ingest` checks them, and lie in a temporary folder until the
    block ends. A column of inputs that the table lacks is missing in every row; so is a label of
    some of several heads.

    Args:
        source: a folder of records, the path of a table, a `Table` or a DataFrame.
        config: of the model.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: the table has no column of any input or of any label, or no row is left.
    """
    table = table_of(source)
    if table is None:
        yield Rows(cast("str | os.PathLike[str]", source))
        return
    table, notes = _with_all_columns(table, config)
    with tempfile.TemporaryDirectory(prefix="multimodal_tf-") as folder:
        records = pathlib.Path(folder)
        manifest = _write(table, config, records)
        yield Rows(records, table, (*notes, *_left_out(manifest, records, table)))


def table_of(source: Source) -> Table | None:
    """The table that a source is; None: a folder of records."""
    if isinstance(source, Table | pandas.DataFrame):
        return as_table(source)
    return as_table(str(source)) if is_table(source) else None


def is_table(source: PathLike) -> bool:
    """Whether a path is that of a table rather than of a folder of records."""
    path = to_path(source)
    if not is_local(path):
        return False
    file = divided(path)[0]
    if file.is_file() or file.name.lower().endswith(tuple(SUFFIXES)):
        return True
    if any((path / name).exists() for name in (FILE, record_files.PARTS)) or not path.is_dir():
        return False
    return any(one.is_dir() for one in path.iterdir())


def _with_all_columns(table: Table, config: Config) -> tuple[Table, list[str]]:
    """The table with empty columns for those that it lacks, and a sentence for each."""
    inputs, heads = list(config.inputs), list(with_column(config.heads))
    lacking = {
        name: config.column(name)
        for name in (*inputs, *heads)
        if config.column(name) not in table.columns
    }
    # what a teacher reads is of no use here
    of_teacher = recorded_config(config)
    empty = {of_teacher.column(name) for name in of_teacher.inputs} | {*lacking.values()}
    empty -= {*table.columns}
    for names, what in ((heads, "label"), (inputs, "input")):
        if names and all(name in lacking for name in names):
            # says what it has, or which name is alike
            try:
                table.column(config.column(names[0]))
            except ValueError as error:
                raise ValueError(f"{error}, and the model needs one {what} at least") from None
    notes = [
        f"{table.name} has no column {column!r}: {name!r} is missing in every row"
        for name, column in lacking.items()
    ]
    if not empty:
        return table, notes
    read = functools.partial(_cells, table, empty)
    return dataclasses.replace(table, columns=[*table.columns, *sorted(empty)], read=read), notes


def _cells(
    table: Table, empty: set[str], rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    own = [name for name in columns if name not in empty]
    for count, cells in table.read(rows, own):
        yield count, {name: cells[name] if name in own else [None] * count for name in columns}


def _write(table: Table, config: Config, records: pathlib.Path) -> Manifest:
    recorded = recorded_config(config)
    splitless = recorded.model_copy(update={"split": Split()})
    checks.check_arguments(table, splitless, None, _ROWS_PER_SHARD)
    rows = sum(len(chunk) for chunk in table.chunks(columns=[]))
    (records / record_files.PARTS).mkdir()
    splits = np.full(rows, SPLITS.index(SPLIT), np.int8)
    run = functools.partial(processes.results, processes=1)
    files = table_ingest.write_shards(
        table, recorded, records, splits, run, _ROWS_PER_SHARD, progress=None
    )
    manifest = table_ingest.write_manifest(table, config, records, files, rows, trains=False)
    if not manifest.rows(SPLIT):
        reason = next(iter(_reasons(records)), "no label and no input")
        raise ValueError(f"no row of {table.name} can be evaluated: {reason}")
    return manifest


def _left_out(manifest: Manifest, records: pathlib.Path, table: Table) -> list[str]:
    if not manifest.rejected:
        return []
    counted = _reasons(records)
    shown = ", ".join(f"{reason} ({count:,})" for reason, count in counted.most_common(3))
    left = manifest.table_rows - manifest.kept
    rows = f"{left:,} of {manifest.table_rows:,} rows of {table.name} are left out; " * bool(left)
    return [f"{rows}not read: {shown}{', ...' * (len(counted) > 3)}"]


def _reasons(records: pathlib.Path) -> collections.Counter[str]:
    """The reasons of rejected cells, by column."""
    counts = collections.Counter[str]()
    for path in sorted((records / record_files.PARTS).glob("*.json")):
        part = shards.Part.model_validate_json(path.read_bytes())
        for one in part.rejected:
            counts[f"{one.column}: {one.reason}" if one.column else one.reason] += 1
    return counts
