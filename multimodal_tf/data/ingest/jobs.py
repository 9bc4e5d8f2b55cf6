"""The rows of a table, grouped by split into the jobs that write one shard each."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal_tf.config import Config
from multimodal_tf.config.heads import with_column
from multimodal_tf.data.ingest.fingerprint import Row, fingerprint
from multimodal_tf.data.split import SPLITS
from multimodal_tf.data.table import Table

_ROWS_PER_CHUNK = 256
# of cells that hold whole files: such a shard is full before it has `rows_per_shard`
_BYTES_PER_SHARD = 64 << 20


@dataclasses.dataclass(frozen=True)
class Job:
    """Rows that make one shard.

    Attributes:
        file: name of the shard.
        columns: of the cells of each row, in their order.
        fingerprint: of all that the shard depends on.
    """

    file: str
    columns: tuple[str, ...]
    rows: list[Row]
    fingerprint: str


def jobs_of(
    table: Table, config: Config, splits: NDArray[np.int8], rows_per_shard: int
) -> Iterator[tuple[str, Job]]:
    """Yields `(split, job)` for all rows; few rows are in memory at a time.

    Args:
        splits: int8 `(rows,)`, from `assign_splits`.
        rows_per_shard: rows of the table, before any is left out.

    Raises:
        ValueError: the table has another number of rows than `splits`.
    """
    columns = columns_of(config)
    pending: list[list[Row]] = [[] for _ in SPLITS]
    sizes, counts = [0] * len(SPLITS), [0] * len(SPLITS)

    def job(split: int) -> tuple[str, Job]:
        rows, pending[split], sizes[split] = pending[split], [], 0
        file = f"{SPLITS[split]}-{counts[split]:05d}.tfrecord"
        counts[split] += 1
        return SPLITS[split], Job(
            file, columns, rows, fingerprint(columns, rows, config, table.root)
        )

    for row, values in enumerate(_rows(table, columns, len(splits))):
        split = splits[row]
        pending[split].append((row, values))
        sizes[split] += sum(map(_size, values))
        if len(pending[split]) == rows_per_shard or sizes[split] >= _BYTES_PER_SHARD:
            yield job(split)
    for split, rows in enumerate(pending):
        if rows:
            yield job(split)


def columns_of(config: Config) -> tuple[str, ...]:
    """The columns that are read, in the order of a job's cells."""
    names = [*config.inputs, *with_column(config.heads)]
    return tuple(dict.fromkeys(config.column(name) for name in names))


def _rows(table: Table, columns: Sequence[str], expected: int) -> Iterator[tuple[Any, ...]]:
    rows = 0
    for chunk in table.chunks(rows=_ROWS_PER_CHUNK, columns=list(columns)):
        rows += len(chunk)
        if rows > expected:
            break
        yield from zip(*(chunk[column].tolist() for column in columns))
    if rows != expected:
        raise ValueError(f"{table.name} changed while it was read: it had {expected} rows")


def _size(value: Any) -> int:
    """Bytes, about, of a cell that holds a whole file; 0 for a number."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_size, value))
    if isinstance(value, np.ndarray):
        return sum(map(_size, value)) if value.dtype == object else value.nbytes
    return len(value) if isinstance(value, (bytes, str)) else 0
