"""Shards to batches of `(inputs, targets, sample_weight)`, as `tf.data` for Keras."""

import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import generating
from multimodal_tf.config.names import TARGET
from multimodal_tf.data import filesystem, record_files, shuffle
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.targets import Targets
from multimodal_tf.data.taught import Taught
from multimodal_tf.schema import Schema

_CONTAINER = pathlib.Path("/sys/fs/cgroup/memory.max")
# rows decoded at a time while the cache fills
_CHUNK = 64

# nested dicts and tuples of tensors
Structure = Any
Compact = Callable[[tf.Tensor], Structure]


class Batches(Protocol):
    """What `open_split` returns: `(start, epoch)` to a data set, as `load_split` explains both."""

    def __call__(self, start: int = 0, epoch: tf.Variable | None = None) -> tf.data.Dataset: ...


def load_split(
    config: Config,
    schema: Schema,
    records: PathLike,
    split: str,
    training: bool = False,
    batch_size: int | None = None,
    worker: tuple[int, int] = (0, 1),
    start: int = 0,
    epoch: tf.Variable | None = None,
    frozen: FrozenCells | None = None,
) -> tf.data.Dataset:
    """The rows of a split as batches for Keras.

    Rows are decoded once and cached in memory in their compact form (`Preprocessor.features`) if
    all splits together fit in a quarter of the memory; otherwise every epoch reads and decodes
    them again. An epoch has every row exactly once; its last batch may be smaller. The order in
    training depends on `config.seed` and the epoch alone (`shuffle.shuffled`).

    Args:
        config, schema: of the model.
        records: folder that `ingest` wrote.
        split: "train", "validation" or "test".
        training: shuffle, and apply the heads' class weights. Otherwise: the table's order.
        batch_size: rows over all workers; None: `config.training.batch_size`.
        worker: `(w, n)`: this is worker w, from 0, of n. It gets its share of each batch; the
            shares, concatenated, are the batch. In a batch of fewer than n rows some are empty.
        start: the batch at which each iteration begins.
        epoch: int64 scalar, read at the first batch of an iteration, that selects the epoch's
            order; None: the first iteration is epoch 0, the next epoch 1, and so on. (With a
            strategy, Keras draws a batch before the first epoch.)
        frozen: what `frozen_cells` opened for this split. Its inputs are not read; the outputs of
            their frozen towers stand in the batch instead.

    Returns:
        `tf.data.Dataset` of known cardinality, of dicts `(inputs, targets, sample_weight)`:
        `Preprocessor.model_inputs`, with the target of each text or image head in
        `{head}_target`, and by head what `Targets` returns, of these heads ones `(batch, 1)`. A
        row whose label is missing or was not seen in training has weight 0 for that head.

    Raises:
        FileNotFoundError: the manifest or a shard is missing.
        ValueError: the split has no rows, a shard is damaged, `class_weight` names an unknown
            class, or `batch_size`, `worker` or `start` is out of range.
        tf.errors.DataLossError: during iteration without a cache: a row was changed.
    """
    batches = open_split(
        config, schema, records, split, training, batch_size, worker, frozen=frozen
    )
    return batches(start, epoch)


def open_split(
    config: Config,
    schema: Schema,
    records: PathLike,
    split: str,
    training: bool = False,
    batch_size: int | None = None,
    worker: tuple[int, int] = (0, 1),
    class_weights: bool = False,
    frozen: FrozenCells | None = None,
    taught: Taught | None = None,
) -> Batches:
    """A function from `start` and `epoch` to the data set of `load_split`, with one cache of rows.

    With `class_weights`, the heads' class weights are applied without `training`, too. With
    `taught`, targets and weights of taught heads are those of `Taught.join`.

    Example:
        >>> batches = open_split(config, schema, "records", "train", True)  # doctest: +SKIP
        >>> first, rest = next(iter(batches())), batches(start=1)  # doctest: +SKIP
    """
    manifest = Manifest.load(records)
    rows = _rows(manifest, split)
    batch_size = config.training.batch_size if batch_size is None else batch_size
    _check(batch_size, worker)
    read_by = _read_by(config).model_dump_json()
    held = () if frozen is None else frozen.names
    preprocessor, features = _features(read_by, schema.model_dump_json(), held)
    targets = Targets(config, schema, class_weights=training or class_weights)
    compact = _with_targets(features, targets)
    beside = sum(one.bytes for one in (frozen, taught) if one is not None)
    cached = _fits_in_memory(manifest, features, beside)
    record_files.check(manifest, split, contents=cached)
    if cached:
        load, threads = _gather(_decode_all(manifest, split, compact)), None
    else:
        read = record_files.reader(manifest, split)
        load, threads = lambda chosen: compact(read(chosen)), tf.data.AUTOTUNE
    of_frozen = None if frozen is None else frozen.reader(split, in_memory=cached)
    join = None if taught is None else taught.joiner(split, in_memory=cached)

    # The package's graphs are written in ops; to convert their Python takes seconds.
    @tf.autograph.experimental.do_not_convert
    def batch(chosen: tf.Tensor) -> Structure:
        tensors, target, weight = load(chosen)
        inputs = preprocessor.model_inputs(tensors)
        inputs, target = _with_read_targets(inputs, target, generating(config.heads))
        if join is not None:
            target, weight = join(chosen, target, weight)
        return inputs | (of_frozen(chosen) if of_frozen else {}), target, weight

    seed, ordered = config.seed if training else None, {"deterministic": True} if threads else {}

    def batches(start: int = 0, epoch: tf.Variable | None = None) -> tf.data.Dataset:
        _check_start(start, -(-rows // batch_size), split)
        indices = shuffle.batches(rows, batch_size, seed, worker, start, epoch)
        return indices.map(batch, threads, **ordered).prefetch(2)

    return batches


def _with_read_targets(
    inputs: Structure, target: Structure, names: Iterable[str]
) -> tuple[Structure, Structure]:
    """The targets of texts and images among the inputs: the model reads them, its loss does not."""
    read = {name + TARGET: target[name] for name in names}
    return inputs | read, target | {name: _unread(target[name]) for name in names}


def _unread(target: tf.Tensor) -> tf.Tensor:
    """Ones `(batch, 1)`: whoever keeps the targets of many rows need not keep pixels."""
    return tf.ones([tf.shape(target)[0], 1])


def _with_targets(features: Compact, targets: Targets) -> Compact:
    """From serialized rows to features, targets and weights."""

    def compact(serialized: tf.Tensor) -> Structure:
        tensors, labels = features(serialized)
        return tensors, *targets(labels)

    return compact


def _fits_in_memory(manifest: Manifest, features: Any, beside: int) -> bool:
    """Whether the rows of all splits, and so many bytes beside them, take a quarter of it."""
    size = sum(map(manifest.rows, manifest.splits)) * _row_bytes(features)
    return size + beside <= available_memory() / 4


def _check_start(start: int, steps: int, split: str) -> None:
    if not 0 <= start <= steps:
        raise ValueError(
            f"start must be from 0 to the {steps} batches of {split!r}, received {start}"
        )


def load_raw(config: Config, records: PathLike, split: str, batch_size: int) -> tf.data.Dataset:
    """The undecoded rows of a split in table order, as `record_files.parse` returns them.

    Returns:
        `tf.data.Dataset` of known cardinality, of `(rows, inputs, labels)`.

    Raises:
        FileNotFoundError, ValueError: as `load_split`.
    """
    manifest = Manifest.load(records)
    rows = _rows(manifest, split)
    paths = [filesystem.readable(path) for path in manifest.shards(split)]
    batches = (
        tf.data.TFRecordDataset(paths)
        .batch(batch_size)
        .map(
            functools.partial(record_files.parse, config),
            tf.data.AUTOTUNE,
            deterministic=True,
        )
    )
    cardinality = tf.data.experimental.assert_cardinality(-(-rows // batch_size))
    return batches.apply(cardinality).prefetch(2)


def _read_by(config: Config) -> Config:
    """The part of a configuration that decides how rows are read.

    Configurations that differ in their fusion or training alone then share one preprocessor.
    """
    return Config(
        inputs=config.inputs,
        heads=config.heads,
        tabular=config.tabular,
        fusion={"presence": config.fusion.presence},
    )


@functools.lru_cache(maxsize=2)
def _features(
    config_json: str, schema_json: str, without: tuple[str, ...] = ()
) -> tuple[Preprocessor, Compact]:
    """`(preprocessor, graph function from serialized rows to features and labels)`.

    Cached, because tracing takes seconds and one program reads several splits.
    """
    config = Config.model_validate_json(config_json)
    inputs = {name: one for name, one in config.inputs.items() if name not in without}
    read = config.model_copy(update={"inputs": inputs})
    preprocessor = Preprocessor(read, Schema.model_validate_json(schema_json))

    def features(serialized: tf.Tensor) -> Structure:
        _, raw, labels = record_files.parse(config, serialized)
        raw = {name: raw[name] for name in inputs}
        return preprocessor.features(raw)[0] if inputs else {}, labels

    signature = [tf.TensorSpec([None], tf.string)]
    return preprocessor, tf.function(features, input_signature=signature, autograph=False)


def _check(batch_size: int, worker: tuple[int, int]) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, received {batch_size}")
    index, workers = worker
    if not 0 <= index < workers:
        raise ValueError(f"worker must be (w, n) with w from 0 to n - 1, received {worker}")


def _rows(manifest: Manifest, split: str) -> int:
    rows = manifest.rows(split)
    if not rows:
        by_split = {name: manifest.rows(name) for name in manifest.splits}
        raise ValueError(
            f"the split {split!r} of {manifest.table} must have rows, received none; rows by split:"
            f" {by_split}"
        )
    return rows


def _decode_all(manifest: Manifest, split: str, compact: Compact) -> Structure:
    """All rows of a split as one structure of tensors."""
    rows, start, arrays = manifest.rows(split), 0, None
    for serialized in record_files.read(manifest.shards(split), _CHUNK):
        chunk = compact(serialized)
        if arrays is None:
            arrays = tf.nest.map_structure(
                lambda part: np.empty((rows, *part.shape[1:]), part.dtype.as_numpy_dtype), chunk
            )
        for array, part in zip(tf.nest.flatten(arrays), tf.nest.flatten(chunk)):
            array[start : start + len(part)] = part.numpy()
        start += len(serialized)
    if start != rows:
        raise ValueError(
            f"the shards of the split {split!r} must hold {rows} rows as the manifest says,"
            f" received {start}: ingest again"
        )
    return tf.nest.map_structure(tf.convert_to_tensor, arrays)


def _gather(cache: Structure) -> Compact:
    """A function from row indices to the cached tensors of these rows.

    It runs on one thread: a batch takes about a millisecond, and more threads would compete with
    the model's.
    """
    return lambda chosen: tf.nest.map_structure(lambda part: tf.gather(part, chosen), cache)


def _row_bytes(features: Any) -> int:
    """Bytes of one row in its compact form, from the signature of a graph function."""
    outputs = tf.nest.flatten(features.get_concrete_function().structured_outputs)
    return sum(spec.dtype.size * math.prod(spec.shape[1:]) for spec in outputs)


def available_memory() -> int:
    """Bytes of memory of the machine, or of its container (Linux control group) if less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTAINER.read_text().strip() if _CONTAINER.is_file() else ""
    # "max" is no limit
    return min(physical, int(limit)) if limit.isdigit() else physical
