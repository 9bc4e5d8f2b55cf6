"""Computes the entries that the parts lack, shard by shard; several processes share the work."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import filelock
import numpy as np
import tensorflow as tf

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.data import filesystem
from multimodal_tf.data.cache.cells import cells, only
from multimodal_tf.data.cache.parts import DIGEST, Parts
from multimodal_tf.data.filesystem import Path
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.schema import Schema

# the digest under which the outputs of a missing input are kept
MISSING = bytes(DIGEST)
# Cells in a call of a frozen tower. Always as many: the rounding of a matrix product depends on
# its size, and a cell must have the same outputs whichever cells are computed with it.
BATCH = 32
# bytes of a part
_PART = 64 << 20


class FrozenInput(Protocol):
    """The frozen beginning of one input; `models.frozen.FrozenInput` says more."""

    @property
    def name(self) -> str: ...
    @property
    def outputs(self) -> Mapping[str, Any]: ...
    @property
    def digest(self) -> str: ...
    def __call__(self, inputs: dict[str, tf.Tensor]) -> Mapping[str, tf.Tensor]: ...


class ShardCells(NamedTuple):
    """One shard and the digests of an input's cells there, uint8 `(rows, 16)`."""

    path: Path
    digests: np.ndarray


class Filler:
    """Computes and writes entries of one input.

    Args:
        frozen: what is computed.
        parts: where it is kept.
        config, schema: of the model.
    """

    def __init__(self, frozen: FrozenInput, parts: Parts, config: Config, schema: Schema) -> None:
        self._frozen, self._parts, self._name = frozen, parts, frozen.name
        self._config = only(config, [frozen.name])
        self._presence = config.fusion.presence
        self._preprocessor = Preprocessor(self._config, schema)

    def fill(self, shards: list[ShardCells], done: Callable[[int], None]) -> None:
        """Computes what is missing of the cells of some shards.

        A shard that another process is working on is left to it, and waited for at the end.

        Args:
            done: gets the number of cells after each batch.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        filesystem.make_directory(self._parts.folder)
        if MISSING not in self._parts.places:
            with claimed(self._parts.folder, "missing", wait=True):
                self._parts.refresh()
                if MISSING not in self._parts.places:
                    self._parts.write(self._missing())
                    done(1)
            self._parts.refresh()
        for wait in (False, True):
            for shard in shards:
                if not self._lacking(shard):
                    continue
                with claimed(self._parts.folder, shard.path.stem, wait) as ours:
                    if ours:
                        self._parts.refresh()
                        self._fill_shard(shard, done)
                self._parts.refresh()

    def _lacking(self, shard: ShardCells) -> set[bytes]:
        return {digest.tobytes() for digest in shard.digests} - self._parts.places.keys()

    def _fill_shard(self, shard: ShardCells, done: Callable[[int], None]) -> None:
        lacking, start = self._lacking(shard), 0
        pending: list[np.ndarray] = []
        for batch in cells(self._config, shard.path) if lacking else ():
            rows = []
            for row in range(len(batch[self._name])):
                digest = shard.digests[start + row].tobytes()
                if digest in lacking:
                    lacking.remove(digest)
                    rows.append(row)
            for first in range(0, len(rows), BATCH):
                chosen = np.array(rows[first : first + BATCH])
                raw = tf.gather(batch[self._name], chosen)
                pending.append(self._entries(raw, shard.digests[start + chosen]))
                done(len(chosen))
            start += len(batch[self._name])
            if sum(one.nbytes for one in pending) >= _PART:
                self._parts.write(np.concatenate(pending))
                pending = []
        if pending:
            self._parts.write(np.concatenate(pending))

    def _entries(self, raw: tf.Tensor, digests: np.ndarray) -> np.ndarray:
        """The entries of at most `BATCH` cells."""
        features = self._preprocessor.features({self._name: raw})[0]
        present = features[self._name + PRESENT].numpy()
        chosen = np.flatnonzero(present > 0.5) if self._presence else np.arange(len(present))
        entries = np.repeat(self._parts.entries([MISSING]), len(present))
        if len(chosen):
            repeated = np.resize(chosen, BATCH)
            compact = {key: tf.gather(one, repeated) for key, one in features.items()}
            outputs = self._frozen(self._preprocessor.model_inputs(compact))
            for key, output in outputs.items():
                entries[key][chosen] = _array(output, self._parts.dtype[key].base)[: len(chosen)]
        entries["cell"], entries["present"] = digests, present
        return entries

    def _missing(self) -> np.ndarray:
        """The entry of a missing input."""
        spec = self._preprocessor.raw_spec[self._name]
        value: Any = "" if spec.dtype == tf.string else np.nan
        raw = tf.fill([BATCH, *(size or 1 for size in spec.shape[1:])], value)
        features = self._preprocessor.features({self._name: raw})[0]
        outputs = self._frozen(self._preprocessor.model_inputs(features))
        entry = np.zeros(1, self._parts.dtype)
        for key, output in outputs.items():
            entry[key] = _array(output, self._parts.dtype[key].base)[:1]
        return entry


def _array(tensor: tf.Tensor, dtype: np.dtype[Any]) -> np.ndarray:
    """As NumPy, which does not know bfloat16."""
    return np.asarray(tf.cast(tensor, dtype).numpy())


@contextlib.contextmanager
def claimed(folder: Path, name: str, wait: bool) -> Iterator[bool]:
    """Whether this process does a piece of the work; others leave it alone during the block.

    Only local folders have locks. Elsewhere several processes may do the same work.
    """
    if not filesystem.is_local(folder):
        yield True
        return
    lock = filelock.FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
