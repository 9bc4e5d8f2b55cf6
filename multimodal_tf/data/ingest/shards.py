"""One shard: some rows of the table -> a file of records, beside it a part file that says what it
was made from and what was rejected.
"""

import dataclasses
import errno
import hashlib
import json
import numbers
import os

import numpy as np
import pydantic
import tensorflow as tf

from multimodal_tf.config import Config, labelled
from multimodal_tf.config.heads import learns_without_labels
from multimodal_tf.data import atomic, record_files
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.filesystem import to_path
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.data.kinds.files import file_of
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.manifest import Shard

PARTS = record_files.PARTS
# goes up when the same cell would give other bytes, so that older shards are made again
_FORMAT = 1
# characters of a path in the list of rejected cells
_LONGEST_SHOWN = 1000


@dataclasses.dataclass(frozen=True)
class Job:
    """Rows that make one shard."""

    file: str
    columns: tuple[str, ...]
    # the row's number and its cells, in the order of `columns`
    rows: list[tuple[int, tuple]]
    fingerprint: str


class Rejected(pydantic.BaseModel):
    """A broken cell, or, with `column` "", a row that is left out."""

    row: int
    column: str
    path: str
    reason: str


class Part(pydantic.BaseModel):
    """What became of a job."""

    fingerprint: str
    shard: Shard
    rejected: list[Rejected]


def settings(config):
    """JSON of all in the configuration that a record depends on."""
    rooms = {"inputs": config.inputs, "heads": labelled(config.heads)}
    parts = {
        room: {name: _of(part, config.column(name)) for name, part in read.items()}
        for room, read in rooms.items()
    }
    kept = ["rows without labels"] if _needs_no_label(config) else []
    return json.dumps([_FORMAT, *kept, parts], sort_keys=True)


def settings_hash(config):
    """A hash of `settings`, for the manifest."""
    return hashlib.sha256(settings(config).encode()).hexdigest()


def check_settings(config, directory, manifest) -> Config:
    """Checks that the shards hold what a configuration reads, prepared as it says; returns the
    configuration that `ingest` was given.

    Raises:
        ValueError: they do not.
    """
    ingested = Config.load(to_path(directory) / "config.yaml")
    if settings_hash(ingested) != manifest.config_hash:
        raise ValueError(
            f"{directory} was ingested by another version of multimodal_tf: ingest the table again"
        )
    theirs, ours = json.loads(settings(ingested))[-1], json.loads(settings(config))[-1]
    for room, parts in ours.items():
        for name, part in parts.items():
            if name not in theirs[room]:
                raise ValueError(
                    f"{room}.{name}: {directory} was ingested without it, with {sorted(theirs[room])}: ingest the table again"
                )
            if part != theirs[room][name]:
                raise ValueError(
                    f"{room}.{name}: {directory} was ingested with {theirs[room][name]}, received {part}: ingest the table again"
                )
    return ingested


def fingerprint(columns, rows, config, root):
    """A hash of all that a shard depends on: the cells, size and time of change of the files that
    they name, and `settings`.
    """
    digest = hashlib.sha256(settings(config).encode())
    media = {config.column(name) for name, part in config.inputs.items() if part.is_media}
    for row, values in rows:
        digest.update(b"%d" % row)
        for column, value in zip(columns, values):
            token = _token(value) + (_file_token(value, root) if column in media else b"")
            digest.update(b"%d:" % len(token) + token)
    return digest.hexdigest()


def part_path(directory, file):
    """Where the part file of a shard is."""
    return (to_path(directory) / PARTS / file).with_suffix(".json")


def load(directory, file):
    """The `Part` of a shard; None where there is none that can be read."""
    try:
        return Part.model_validate_json(part_path(directory, file).read_bytes())
    except (OSError, pydantic.ValidationError):
        return None


def is_done(job, directory):
    """Whether a job's shard stands already: made from the same, and of the size that was written."""
    part = load(directory, job.file)
    path = to_path(directory) / job.file
    return (
        part is not None
        and part.fingerprint == job.fingerprint
        and path.is_file()
        and path.stat().st_size == part.shard.bytes
    )


def write(job, config, root, directory):
    """Writes the shard, then its part file.

    Raises:
        OSError: the disk is full, or such.
    """
    rejected: list[Rejected] = []
    path = to_path(directory) / job.file
    with atomic.replacing(path) as temporary:
        lengths = _write_records(temporary, _records(job, config, root, rejected))
        size, digest = temporary.stat().st_size, record_files.sha256(temporary)
    with atomic.replacing(record_files.lengths_path(path)) as temporary:
        temporary.write_bytes(lengths.tobytes())
    part = Part(
        fingerprint=job.fingerprint,
        shard=Shard(file=job.file, rows=len(lengths), bytes=size, sha256=digest),
        rejected=rejected,
    )
    atomic.write_text(part_path(directory, job.file), part.model_dump_json())
    return len(job.rows)


def _of(part, column):
    values = {
        **part.model_dump(include={"type", *part.cell_settings}),
        "column": column,
    }
    return dict(sorted(values.items()))


def _token(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b"b" + value
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"a{value.dtype.str}{value.shape}".encode() + value.tobytes()
    if isinstance(value, dict):
        return b"d" + b"".join(map(_sized, [item for pair in value.items() for item in pair]))
    if isinstance(value, (list, tuple, np.ndarray)):
        return b"l" + b"".join(map(_sized, value))
    if isinstance(value, (set, frozenset)):
        return b"t" + b"".join(sorted(map(_sized, value)))
    return f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")


def _sized(value):
    token = _token(value)
    return b"%d:" % len(token) + token


def _file_token(value, root):
    if isinstance(value, (list, tuple, np.ndarray)):
        return (
            b"".join(_file_token(one, root) for one in value)
            if len(value) and not isinstance(value[0], numbers.Number)
            else b""
        )
    path = file_of(value, root)
    try:
        status = path.stat() if path is not None else None
    except (OSError, ValueError):
        status = None
    return b"" if status is None else b"|%d|%d" % (status.st_size, status.st_mtime_ns)


def _write_records(path, serialized):
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


def _records(job, config, root, rejected):
    for row, values in job.rows:
        record = _record(row, dict(zip(job.columns, values)), config, root, rejected)
        if record is not None:
            yield record


def _record(row, values, config, root, rejected):
    """One row's record; None where the row is left out. What is wrong with it is appended to
    `rejected`.
    """
    before = len(rejected)
    heads = labelled(config.heads)
    labels = _read(row, heads, values, config, rejected, read_label)
    bad_label = len(rejected) > before
    inputs = _read(
        row,
        config.inputs,
        values,
        config,
        rejected,
        lambda value, part: None if is_missing(value) else kind_of(part).read_checked(value, root),
    )
    if bad_label:
        return None
    learnable = bool(labels) or _needs_no_label(config)
    if not learnable or not inputs:
        rejected.append(
            Rejected(
                row=row, column="", path="", reason="no input is left" if learnable else "no label"
            )
        )
        return None
    return record_files.encode(row, inputs, labels)


def _needs_no_label(config):
    """Whether a row without any label teaches something."""
    return not labelled(config.heads) or learns_without_labels(config.heads)


def _read(row, parts, values, config, rejected, read):
    good = {}
    for name, part in parts.items():
        column = config.column(name)
        try:
            cell = read(values[column], part)
        except CellError as error:
            rejected.append(
                Rejected(
                    row=row, column=column, path=_shown(values[column], part), reason=_clean(error)
                )
            )
            continue
        if cell is not None:
            good[name] = cell
    return good


def _shown(value, part):
    path = file_of(value, "") if getattr(part, "is_media", False) else None
    return "" if path is None else _clean(path)[:_LONGEST_SHOWN]


def _clean(text):
    return str(text).encode("utf-8", "replace").decode()
