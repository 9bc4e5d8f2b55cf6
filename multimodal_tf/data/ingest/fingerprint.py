"""A hash of all that a shard depends on, to know whether it has to be written again."""

import hashlib
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.record_settings import record_settings
from multimodal_tf.data.kinds.files import file_of

# the row's index in the table and its cells
Row = tuple[int, tuple[Any, ...]]


def fingerprint(columns: Sequence[str], rows: Sequence[Row], config: Config, root: PathLike) -> str:
    """A hash of the cells of a shard, of their files and of `record_settings`.

    A file counts by its size and modification time.

    Args:
        columns: of the cells of each row, in their order.
        root: folder that relative paths start from.
    """
    digest = hashlib.sha256(record_settings(config).encode())
    media = media_columns(config)
    for row, values in rows:
        digest.update(b"%d" % row)
        for column, value in zip(columns, values):
            token = _token(value) + (_file_token(value, root) if column in media else b"")
            digest.update(b"%d:" % len(token) + token)
    return digest.hexdigest()


def media_columns(config: Config) -> set[str]:
    """The columns whose cells may name files."""
    read = {**config.inputs, **config.heads}
    return {config.column(name) for name, one in read.items() if getattr(one, "is_media", False)}


def _token(value: Any) -> bytes:
    """Bytes that differ for values that differ."""
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


def _sized(value: Any) -> bytes:
    token = _token(value)
    return b"%d:" % len(token) + token


def _file_token(value: Any, root: PathLike) -> bytes:
    """Size and modification time of the file, or files, that a cell names."""
    if isinstance(value, (list, tuple, np.ndarray)):
        files = len(value) and not isinstance(value[0], numbers.Number)
        return b"".join(_file_token(one, root) for one in value) if files else b""
    path = file_of(value, root)
    try:
        status = path.stat() if path is not None else None
    except (OSError, ValueError):
        status = None
    return b"" if status is None else b"|%d|%d" % (status.st_size, status.st_mtime_ns)
