"""Digests of the cells of records: which rows of an input hold the same cell."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.data import atomic, filesystem, record_files
from multimodal_tf.data.cache.parts import DIGEST
from multimodal_tf.data.filesystem import Path
from multimodal_tf.data.manifest import Manifest, Shard

# rows that are read at a time
CHUNK = 256
_FOLDER = "cells"

Digests = dict[str, np.ndarray]


def only(config: Config, names: Sequence[str]) -> Config:
    """The configuration with some of its inputs."""
    return config.model_copy(
        update={"inputs": {name: config.inputs[name] for name in names}, "heads": {}}
    )


def cell_digests(
    config: Config, manifest: Manifest, split: str, names: Sequence[str], cache: Path
) -> list[Digests]:
    """For each shard of a split, by input the digests of its rows' cells, uint8 `(rows, 16)`.

    They are kept in `cache`, and computed once.

    Raises:
        ValueError, FileNotFoundError: as `record_files.read`.
    """
    found = []
    for path, shard in zip(manifest.shards(split), manifest.splits.get(split, [])):
        kept = {name: _load(cache, shard, name) for name in names}
        lacking = [name for name, digests in kept.items() if digests is None]
        if lacking:
            kept |= _digests(config, path, lacking)
            for name in lacking:
                _save(cache, shard, name, kept[name])
        found.append({name: one for name, one in kept.items() if one is not None})
    return found


def cells(config: Config, shard: Path) -> Iterator[dict[str, Any]]:
    """Batches of the cells of a shard's rows, tensors by input."""
    for serialized in record_files.read([shard], CHUNK):
        yield record_files.parse(config, serialized)[1]


def _digests(config: Config, shard: Path, names: Sequence[str]) -> Digests:
    found: dict[str, list[bytes]] = {name: [] for name in names}
    for batch in cells(only(config, names), shard):
        for name, tensor in batch.items():
            found[name].extend(map(_digest, tensor.numpy()))
    return {
        name: np.frombuffer(b"".join(several), np.uint8).reshape(-1, DIGEST)
        for name, several in found.items()
    }


def _digest(cell: Any) -> bytes:
    """A digest of one cell: bytes, an array of bytes that may end in padding, or of floats."""
    found = hashlib.blake2b(digest_size=DIGEST)
    if isinstance(cell, np.ndarray) and cell.dtype == object:
        parts = cell.ravel().tolist()
        while parts and not parts[-1]:
            parts.pop()
        for part in parts:
            found.update(b"%d:" % len(part) + part)
    else:
        found.update(cell if isinstance(cell, bytes) else np.asarray(cell).tobytes())
    return found.digest()


def _path(cache: Path, shard: Shard, name: str) -> Path:
    content = shard.sha256 or f"{shard.file} {shard.rows} {shard.bytes}"
    key = hashlib.sha256(f"{content} {name}".encode()).hexdigest()
    return cache / _FOLDER / f"{key[:32]}.digests"


def _load(cache: Path, shard: Shard, name: str) -> np.ndarray | None:
    path = _path(cache, shard, name)
    content = path.read_bytes() if path.is_file() else b""
    if len(content) != DIGEST * (shard.rows + 1):
        return None
    digests, check = content[:-DIGEST], content[-DIGEST:]
    if hashlib.blake2b(digests, digest_size=DIGEST).digest() != check:
        return None
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST)


def _save(cache: Path, shard: Shard, name: str, digests: np.ndarray | None) -> None:
    """Keeps digests. Where nothing can be written, they are computed again the next time."""
    content = b"" if digests is None else digests.tobytes()
    path = _path(cache, shard, name)
    with contextlib.suppress(OSError):
        filesystem.make_directory(path.parent)
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(content + hashlib.blake2b(content, digest_size=DIGEST).digest())
