"""Writes one shard: rows of the table -> a file of records, and a part file that describes it.

The part file holds the fingerprint of what the shard was made from, its size and hash, and its
rejected cells.
"""

import collections
import contextlib
import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import pydantic
import tensorflow as tf
from numpy.typing import NDArray

from multimodal_tf.config import Config, Head, Input
from multimodal_tf.config.heads import with_column
from multimodal_tf.data import atomic, filesystem, record_files
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.filesystem import Path, PathLike, to_path
from multimodal_tf.data.ingest import positions
from multimodal_tf.data.ingest.jobs import Job
from multimodal_tf.data.ingest.record_settings import keeps_unlabelled
from multimodal_tf.data.ingest.rejected import Rejected
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.cell import readable
from multimodal_tf.data.kinds.files import file_of
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.manifest import Shard

# characters of a path in the list of rejected cells
_LONGEST_SHOWN = 1000
C = TypeVar("C", bound=Input | Head)


class Part(pydantic.BaseModel):
    """What became of a job."""

    fingerprint: str
    shard: Shard
    rejected: list[Rejected]
    # by input, cells that are not missing, those of them that are broken, and the first of these
    cells: dict[str, int]
    broken: dict[str, int]
    first: dict[str, Rejected]


@dataclasses.dataclass
class _Found:
    """What is found while the rows of a job are read."""

    rejected: list[Rejected] = dataclasses.field(default_factory=list)
    cells: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    broken: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    first: dict[str, Rejected] = dataclasses.field(default_factory=dict)

    def reject(self, name: str, one: Rejected) -> None:
        """Notes a broken cell of an input or head."""
        self.rejected.append(one)
        self.cells[name] += 1
        self.broken[name] += 1
        self.first.setdefault(name, one)


def part_path(records: PathLike, file: str) -> Path:
    """The path of a shard's part file."""
    return (to_path(records) / record_files.PARTS / file).with_suffix(".json")


def load_part(records: PathLike, file: str) -> Part:
    """Reads the part file of a shard."""
    return Part.model_validate_json(part_path(records, file).read_bytes())


def is_done(job: Job, records: PathLike) -> bool:
    """Whether a job's shard exists, made from the same and of the size that was written."""
    try:
        part = load_part(records, job.file)
    except (OSError, pydantic.ValidationError):
        return False
    path = to_path(records) / job.file
    return (
        part.fingerprint == job.fingerprint
        and path.is_file()
        and path.stat().st_size == part.shard.bytes
    )


def write(job: Job, config: Config, root: PathLike, records: PathLike) -> int:
    """Writes the shard, then its part file; returns the rows of the job.

    Args:
        root: folder that relative paths start from.
        records: the folder to write into.

    Raises:
        OSError: the disk is full, or the like.
    """
    found = _Found()
    path = to_path(records) / job.file
    part_file = part_path(records, job.file)
    with _at_cells(part_file), atomic.replacing(path) as temporary:
        lengths = _write_records(temporary, _records(job, config, root, found))
        size, digest = temporary.stat().st_size, record_files.sha256(temporary)
    with atomic.replacing(record_files.lengths_path(path)) as temporary:
        temporary.write_bytes(lengths.tobytes())
    part = Part(
        fingerprint=job.fingerprint,
        shard=Shard(file=job.file, rows=len(lengths), bytes=size, sha256=digest),
        rejected=found.rejected,
        cells=dict(found.cells),
        broken=dict(found.broken),
        first=found.first,
    )
    atomic.write_text(part_file, part.model_dump_json())
    return len(job.rows)


def _at_cells(part: Path) -> contextlib.AbstractContextManager[None]:
    """Keeps the cell that is read in a file, where files can be mapped into memory."""
    return positions.recorded(part) if filesystem.is_local(part) else contextlib.nullcontext()


def _write_records(path: pathlib.Path, serialized: Iterable[bytes]) -> NDArray[np.uint32]:
    """Writes records to a TFRecord file; returns their lengths."""
    lengths = []
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in serialized:
                writer.write(record)
                lengths.append(len(record))
    except tf.errors.OpError as error:
        if isinstance(error, tf.errors.ResourceExhaustedError) or "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise OSError(errno.EIO, " ".join(str(error).split()), str(path)) from error
    if path.stat().st_size != sum(lengths) + record_files.FRAME * len(lengths):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return np.array(lengths, "<u4")


def _records(job: Job, config: Config, root: PathLike, found: _Found) -> Iterator[bytes]:
    for row, values in job.rows:
        record = _record(row, dict(zip(job.columns, values)), config, root, found)
        if record is not None:
            yield record


def _record(
    row: int, values: Mapping[str, Any], config: Config, root: PathLike, found: _Found
) -> bytes | None:
    """One row's record; None if the row is left out. Its faults and cells are added to `found`."""
    rejected = found.rejected

    def read(configs: Mapping[str, C], reader: Callable[[Any, C], Any]) -> dict[str, Any]:
        cells = {}
        for name, one in configs.items():
            column = config.column(name)
            positions.at(row, numbers[column])
            try:
                cell = reader(values[column], one)
            except CellError as error:
                path = shown_path(values[column]) if getattr(one, "is_media", False) else ""
                reason = _clean(error)
                found.reject(name, Rejected(row=row, column=column, path=path, reason=reason))
                continue
            if cell is not None:
                cells[name] = cell
                found.cells[name] += 1
        return cells

    before = len(rejected)
    numbers = {column: number for number, column in enumerate(values)}
    labels = read(with_column(config.heads), lambda value, one: read_label(value, one, root))
    bad_label = len(rejected) > before
    inputs = read(config.inputs, lambda value, one: _read_input(value, one, root))
    positions.leave()
    if bad_label:
        return None
    trainable = bool(labels) or keeps_unlabelled(config)
    if not trainable or not inputs:
        reason = "no input is left" if trainable else "no label"
        rejected.append(Rejected(row=row, column="", path="", reason=reason))
        return None
    return record_files.encode(row, inputs, labels)


def _read_input(value: Any, config: Input, root: PathLike) -> Cell | None:
    value = readable(value)
    return None if value is None else kind_of(config).read_checked(value, root)


def shown_path(value: Any) -> str:
    """The path that a cell of media names, as it is shown to people; "" for other cells."""
    path = file_of(value, "")
    return "" if path is None else _clean(path)[:_LONGEST_SHOWN]


def _clean(text: object) -> str:
    return str(text).encode("utf-8", "replace").decode()
