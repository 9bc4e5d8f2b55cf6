"""The outputs of a function of whole rows, computed once for each distinct row and kept.

`records/cache/{name}-{key}` holds them by a digest of the row's cells; the key is that of the
function.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from multimodal_tf.config import Config
from multimodal_tf.data import filesystem
from multimodal_tf.data.cache.cells import cell_digests, cells, only
from multimodal_tf.data.cache.fill import BATCH, claimed
from multimodal_tf.data.cache.frozen_cells import FOLDER
from multimodal_tf.data.cache.parts import DIGEST, Parts, Spec
from multimodal_tf.data.cache.read import Tensors, parts_reader
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.progress import progress_bar

# increased when an entry of the same key holds something else
_FORMAT = 1
# bytes of a part
_PART = 16 << 20


class RowFunction(Protocol):
    """A function of the cells of whole rows, such as a teacher.

    Attributes:
        name: of its folder.
        config: its inputs are the cells that it reads.
        widths: by key, numbers of its output in a row.
        digest: the same for the same function, in hexadecimal.
    """

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Config: ...
    @property
    def widths(self) -> Mapping[str, int]: ...
    @property
    def digest(self) -> str: ...
    def __call__(self, raw: dict[str, tf.Tensor]) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        """Of cells, its outputs `(batch, width)` by key, and whether it saw a cell `(batch,)`."""


class RowOutputs(NamedTuple):
    """The outputs of a function for the rows of some splits.

    Attributes:
        parts: where they are; their entries have a field for each key, and `present`.
        digests: by split, of the rows, uint8 `(rows, 16)`.
    """

    parts: Parts
    digests: Mapping[str, np.ndarray]

    def reader(
        self, split: str, keys: Mapping[str, str], in_memory: bool
    ) -> Callable[[tf.Tensor], Tensors]:
        """As `parts_reader`."""
        return parts_reader(self.parts, self.digests[split], keys, in_memory)

    def entries(self, split: str) -> np.ndarray:
        """The entries of all rows of a split, in their order."""
        return self.parts.entries(one.tobytes() for one in self.digests[split])

    @property
    def bytes(self) -> int:
        """Bytes of the distinct rows of all splits in memory."""
        return self.parts.dtype.itemsize * len(self.parts.places)


@contextlib.contextmanager
def row_outputs(
    function: RowFunction,
    records: PathLike,
    splits: Sequence[str],
    cache: bool | PathLike = True,
    progress: bool | None = None,
) -> Iterator[RowOutputs]:
    """Opens the outputs of a function for rows of records during the block.

    What is not kept yet is computed and written, a part at a time: a process that is interrupted,
    or another one, goes on from there.

    Args:
        function: what is computed.
        records: folder of ingested records, or a fold.
        splits: those with rows are opened.
        cache: whether they are kept beside the shards; or another folder for them. False, or where
            that folder cannot be written: a temporary folder, which is removed after the block.
        progress: whether to say what is computed, and show a progress bar; None: where standard
            error is a terminal.

    Raises:
        FileNotFoundError, ValueError: records are missing or damaged.
        OSError: the disk is full.
    """
    manifest = Manifest.load(records)
    splits = [split for split in splits if manifest.rows(split)]
    folder, found = _folder(manifest, splits, cache), None
    if folder is not None:
        try:
            found = _opened(function, manifest, splits, folder, progress)
        except FileNotFoundError:
            # of the records
            raise
        except OSError as error:
            warnings.warn(
                f"{folder} cannot keep the predictions of {function.name} "
                f"({error.strerror or error}): they are computed for this training alone",
                stacklevel=3,
            )
    with contextlib.ExitStack() as stack:
        if found is None:
            temporary = filesystem.to_path(stack.enter_context(tempfile.TemporaryDirectory()))
            found = _opened(function, manifest, splits, temporary, progress)
        yield found


def _folder(manifest: Manifest, splits: Sequence[str], cache: bool | PathLike) -> Path | None:
    """Where the outputs are kept; None: nowhere."""
    if not isinstance(cache, bool):
        return filesystem.to_path(cache)
    # beside the shards, so that folds share it
    return manifest.shards(splits[0])[0].parent / FOLDER if cache and splits else None


def _opened(
    function: RowFunction,
    manifest: Manifest,
    splits: Sequence[str],
    folder: Path,
    progress: bool | None,
) -> RowOutputs:
    config = only(function.config, list(function.config.inputs))
    shards: dict[str, list[np.ndarray]] = {}
    for split in splits:
        by_shard = cell_digests(config, manifest, split, list(config.inputs), folder)
        shards[split] = [_rows(one) for one in by_shard]
    specs = {key: Spec((width,), "float32") for key, width in function.widths.items()}
    parts = Parts(folder / f"{function.name}-{_key(function)}", specs)
    if parts.folder.is_dir():
        parts.refresh()
    every = [
        one for split in splits for one in zip(manifest.shards(split), shards[split], strict=True)
    ]
    lacking = {row.tobytes() for _, rows in every for row in rows} - parts.places.keys()
    if lacking:
        if progress or (progress is None and sys.stderr.isatty()):
            Console(stderr=True).print(
                f"predictions of {function.name} for {len(lacking):,} rows, computed once, into"
                f" {parts.folder}",
                markup=False,
                highlight=False,
            )
        filesystem.make_directory(parts.folder)
        with progress_bar(function.name, "rows", len(lacking), progress) as update:
            _fill(function, config, parts, every, lambda rows: update(advance=rows))
    return RowOutputs(parts, {split: np.concatenate(rows) for split, rows in shards.items()})


def _rows(digests: Mapping[str, np.ndarray]) -> np.ndarray:
    """A digest of each row's cells, uint8 `(rows, 16)`, from those of its cells by input."""
    beside = np.concatenate([digests[name] for name in sorted(digests)], axis=1)
    joined = b"".join(hashlib.blake2b(row.tobytes(), digest_size=DIGEST).digest() for row in beside)
    return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST)


def _key(function: RowFunction) -> str:
    """A digest of all that the outputs of a row depend on."""
    settings = [
        _FORMAT,
        tf.__version__,
        keras.__version__,
        function.digest,
        dict(function.widths),
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


def _fill(
    function: RowFunction,
    config: Config,
    parts: Parts,
    shards: Sequence[tuple[Path, np.ndarray]],
    done: Callable[[int], None],
) -> None:
    """Computes what is missing; a shard that another process works on is waited for at the end."""
    for wait in (False, True):
        for path, digests in shards:
            if not _lacking(parts, digests):
                continue
            with claimed(parts.folder, path.stem, wait) as ours:
                if ours:
                    parts.refresh()
                    _fill_shard(function, config, parts, path, digests, done)
            parts.refresh()


def _lacking(parts: Parts, digests: np.ndarray) -> set[bytes]:
    return {digest.tobytes() for digest in digests} - parts.places.keys()


def _fill_shard(
    function: RowFunction,
    config: Config,
    parts: Parts,
    path: Path,
    digests: np.ndarray,
    done: Callable[[int], None],
) -> None:
    lacking, start, pending = _lacking(parts, digests), 0, list[np.ndarray]()
    for batch in cells(config, path) if lacking else ():
        size = len(next(iter(batch.values())))
        rows = []
        for row in range(size):
            digest = digests[start + row].tobytes()
            if digest in lacking:
                lacking.remove(digest)
                rows.append(row)
        for first in range(0, len(rows), BATCH):
            chosen = np.array(rows[first : first + BATCH])
            # always as many rows: the rounding of a matrix product depends on its size
            repeated = np.resize(chosen, BATCH)
            raw = {name: tf.gather(one, repeated) for name, one in batch.items()}
            entries = _entries(function, parts, raw)[: len(chosen)]
            entries["cell"] = digests[start + chosen]
            pending.append(entries)
            done(len(chosen))
        start += size
        if sum(one.nbytes for one in pending) >= _PART:
            parts.write(np.concatenate(pending))
            pending = []
    if pending:
        parts.write(np.concatenate(pending))


def _entries(function: RowFunction, parts: Parts, raw: dict[str, Any]) -> np.ndarray:
    outputs, present = function(raw)
    entries = np.zeros(BATCH, parts.dtype)
    entries["present"] = present
    for key, output in outputs.items():
        entries[key] = output
    return entries
