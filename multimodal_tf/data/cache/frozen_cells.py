"""`frozen_cells`: opens the cache for a model and some splits, and computes what it lacks."""

import contextlib
import hashlib
import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.data import atomic, filesystem
from multimodal_tf.data.cache.cells import cell_digests
from multimodal_tf.data.cache.fill import MISSING, Filler, FrozenInput, ShardCells
from multimodal_tf.data.cache.parts import Parts, Spec
from multimodal_tf.data.cache.read import Tensors, parts_reader
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.schema import Schema

FOLDER = "cache"
# increased when an entry of the same key holds something else
_FORMAT = 1


class Beginning(Protocol):
    """The frozen beginning of a model; `models.frozen.FrozenBeginning` says more."""

    @property
    def inputs(self) -> Mapping[str, FrozenInput]: ...


class FrozenCells:
    """The outputs of frozen towers for the rows of some splits.

    Args:
        beginning: of the model.
        parts: by input.
        digests: by split and input, of the rows' cells, uint8 `(rows, 16)`.
        presence: whether batches have presence flags.
    """

    def __init__(
        self,
        beginning: Any,
        parts: Mapping[str, Parts],
        digests: Mapping[str, Mapping[str, np.ndarray]],
        presence: bool,
    ) -> None:
        self.beginning, self._parts, self._presence = beginning, parts, presence
        self._digests = digests

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that need not be read."""
        return tuple(self._parts)

    @property
    def missing(self) -> dict[str, dict[str, np.ndarray]]:
        """By input, its outputs where it is missing, by key."""
        found = {}
        for name, parts in self._parts.items():
            entry = parts.entries([MISSING])[0]
            found[name] = {key: entry[key] for key in _outputs(parts)}
        return found

    @property
    def bytes(self) -> int:
        """Bytes of the distinct cells of all splits in memory."""
        return sum(parts.dtype.itemsize * len(parts.places) for parts in self._parts.values())

    def reader(self, split: str, in_memory: bool) -> Callable[[tf.Tensor], Tensors]:
        """A function from int64 `(n,)`, rows of a split, to what stands for the inputs in a batch.

        For use inside a `tf.data` map. It gives the outputs by key, and the presence flags.
        """
        readers = [
            self._reader(name, parts, self._digests[split][name], in_memory)
            for name, parts in self._parts.items()
        ]

        def read(rows: tf.Tensor) -> Tensors:
            found: Tensors = {}
            for one in readers:
                found |= one(rows)
            return found

        return read

    def _reader(
        self, name: str, parts: Parts, digests: np.ndarray, in_memory: bool
    ) -> Callable[[tf.Tensor], Tensors]:
        keys = {key: key for key in _outputs(parts)}
        if self._presence:
            keys[name + PRESENT] = "present"
        return parts_reader(parts, digests, keys, in_memory)


def frozen_cells(
    model: Any,
    config: Config,
    schema: Schema,
    records: PathLike,
    splits: Sequence[str],
    cache: bool | PathLike = True,
    progress: bool | None = None,
    fill: bool = True,
) -> FrozenCells | None:
    """Opens the outputs of a model's frozen towers for the cells of records.

    Outputs that are not kept yet are computed and written, a part at a time: a process that is
    interrupted, or another one, goes on from there.

    Args:
        model: from `build_model`, or with its layers.
        config, schema: of the model.
        records: folder of ingested records, or a fold.
        splits: those with rows are opened.
        cache: whether to use the cache, which lies beside the shards; or another folder for it.
        progress: whether to say what is computed, and show a progress bar; None: where standard
            error is a terminal.
        fill: whether outputs that are not kept yet are computed.

    Returns:
        None where nothing is frozen, `cache` is False, outputs are lacking and not to be computed,
        or the cache cannot be used; then a warning says why.

    Raises:
        FileNotFoundError, ValueError: records are missing or damaged.
    """
    beginning = getattr(model, "frozen_beginning", lambda: None)() if cache is not False else None
    inputs = () if beginning is None else beginning.inputs.values()
    frozen = [one for one in inputs if not config.inputs[one.name].is_tabular]
    manifest = Manifest.load(records)
    splits = [split for split in splits if manifest.rows(split)]
    if not frozen or not splits:
        return None
    folder = _folder(manifest, splits[0]) if isinstance(cache, bool) else filesystem.to_path(cache)
    names = [one.name for one in frozen]
    shards = {split: cell_digests(config, manifest, split, names, folder) for split in splits}
    parts = {one.name: _parts(folder, one, config, schema) for one in frozen}
    try:
        for one in frozen:
            of_input = _of_input(one.name, manifest, shards)
            if not fill and _lacking(parts[one.name], of_input):
                return None
            if not _filled(one, parts[one.name], of_input, config, schema, progress):
                return None
    except OSError as error:
        _warn(folder, error)
        return None
    digests = {
        split: {name: np.concatenate([one[name] for one in of_split]) for name in names}
        for split, of_split in shards.items()
    }
    return FrozenCells(beginning, parts, digests, config.fusion.presence)


def _of_input(
    name: str, manifest: Manifest, shards: Mapping[str, Sequence[Mapping[str, np.ndarray]]]
) -> list[ShardCells]:
    """The cells of one input in the shards of all splits in `shards`."""
    return [
        ShardCells(path, digests[name])
        for split, of_split in shards.items()
        for path, digests in zip(manifest.shards(split), of_split)
    ]


def _warn(folder: Path, error: OSError) -> None:
    """The cache is no condition of anything."""
    code = atomic.full_disk(error)
    why = "no space is left" if code is not None else error.strerror or str(error)
    warnings.warn(
        f"{folder} cannot keep the outputs of frozen towers ({why}): they are computed in"
        " every epoch",
        stacklevel=3,
    )


@contextlib.contextmanager
def started_after(
    model: Any,
    config: Config,
    schema: Schema,
    records: PathLike,
    splits: Sequence[str],
    cache: bool | PathLike = True,
    progress: bool | None = None,
) -> Iterator[FrozenCells | None]:
    """Within the block, a model takes batches with the outputs of its frozen towers.

    Args:
        model, config, schema, records, splits, cache, progress: as for `frozen_cells`.

    Returns:
        What `load_split` takes as `frozen`; None where the model has to read all inputs.
    """
    found = frozen_cells(model, config, schema, records, splits, cache, progress)
    if found is None:
        yield None
        return
    with model.started_after(found.beginning, found.missing):
        yield found


def _folder(manifest: Manifest, split: str) -> Path:
    """Beside the shards, so that folds share it."""
    return manifest.shards(split)[0].parent / FOLDER


def _outputs(parts: Parts) -> list[str]:
    return [key for key in parts.dtype.names or () if key not in ("cell", "present")]


def _parts(folder: Path, frozen: FrozenInput, config: Config, schema: Schema) -> Parts:
    specs = {
        key: Spec(tuple(one.shape[1:]), _kept(one.dtype)) for key, one in frozen.outputs.items()
    }
    parts = Parts(folder / f"{frozen.name}-{_key(frozen, config, schema)}", specs)
    if parts.folder.is_dir():
        parts.refresh()
    return parts


def _kept(dtype: str) -> str:
    """The dtype in a file, which NumPy has to know."""
    return "float32" if dtype == "bfloat16" else dtype


def _key(frozen: FrozenInput, config: Config, schema: Schema) -> str:
    """A digest of all that the outputs of a cell depend on."""
    input_config, stats = config.inputs[frozen.name], schema.inputs.get(frozen.name)
    settings = [
        _FORMAT,
        tf.__version__,
        keras.__version__,
        frozen.digest,
        input_config.model_dump(mode="json", exclude={"tower", "augmentation", "column"}),
        None if stats is None else stats.model_dump(mode="json"),
        config.fusion.presence,
    ]
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _lacking(parts: Parts, shards: list[ShardCells]) -> int:
    """How many cells are not kept yet."""
    wanted = {MISSING} | {one.tobytes() for shard in shards for one in shard.digests}
    return len(wanted - parts.places.keys())


def _filled(
    frozen: FrozenInput,
    parts: Parts,
    shards: list[ShardCells],
    config: Config,
    schema: Schema,
    progress: bool | None,
) -> bool:
    """Computes what a cache lacks; False where the disk has no room for it."""
    lacking = _lacking(parts, shards)
    if not lacking:
        return True
    size = lacking * parts.dtype.itemsize
    what = f"{frozen.name}: {lacking:,} distinct cells x {parts.dtype.itemsize:,} bytes"
    free = _free(parts.folder)
    if free is not None and size > free:
        warnings.warn(
            f"{parts.folder} cannot keep the outputs of the frozen tower of {what}, {free:,} bytes"
            " are free: they are computed in every epoch",
            stacklevel=3,
        )
        return False
    if progress or (progress is None and sys.stderr.isatty()):
        Console(stderr=True).print(
            f"frozen tower of {what} = {size / 1e6:,.1f} MB, computed once, into {parts.folder}",
            markup=False,
            highlight=False,
        )
    filler = Filler(frozen, parts, config, schema)
    with progress_bar(f"frozen {frozen.name}", "cells", lacking, progress) as update:
        filler.fill(shards, lambda cells: update(advance=cells))
    return True


def _free(folder: Path) -> int | None:
    """Bytes that are free where a folder is to be made; None where this is not known."""
    if not filesystem.is_local(folder):
        return None
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    return shutil.disk_usage(existing).free
