"""Shards to batches of `(inputs, targets, sample_weight)`: plain `tf.data` for `model.fit`,
`evaluate` and `predict`.
"""

import functools
import math
import os
import pathlib

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data import filesystem, record_files, shuffle
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.targets import Targets
from multimodal_tf.schema import Schema

_CONTAINER = pathlib.Path("/sys/fs/cgroup/memory.max")
# rows decoded at a time while the cache fills
_CHUNK = 64


def load_split(
    directory,
    split,
    config,
    schema,
    training=False,
    batch_size=None,
    worker=(0, 1),
    start=0,
    epoch=None,
) -> tf.data.Dataset:
    """The rows of a split as batches for Keras.

    Rows are decoded once and kept in memory in their compact form (`Preprocessor.features`) where
    all splits together fit in a quarter of the machine's memory; otherwise each epoch reads and
    decodes the rows anew, each by itself, from its place. An epoch has every row exactly once; its
    last batch is smaller where the rows do not divide. In training the order is a pure function of
    `config.seed` and the epoch (`order.shuffled`), the same for rows from memory and from shards
    and for any number of workers.

    Args:
        directory: where ingest wrote its manifest and shards.
        split: "train", "validation" or "test".
        config: `Config`.
        schema: `Schema`.
        training: shuffle, anew in each epoch, and multiply in the heads' class weights. Else: the
        table's order.
        batch_size: int, of all workers together; None: `config.training.batch_size`.
        worker: `(w, n)`: this is the w-th, from 0, of n workers, and gets its share of each batch:
            those of all workers, one after another, are the batch. Where a batch has fewer rows
            than there are workers, some get no row.
        start: int. The batch at which each iteration begins.
        epoch: int64 scalar `tf.Variable` whose value at the first batch of an iteration says which
            epoch's order that has; None: the first iteration is epoch 0, the next epoch 1, and so
            on. (Keras draws a batch before the first epoch where there is a strategy.)

    Returns:
        `tf.data.Dataset` of known cardinality, of `(inputs, targets, sample_weight)`, dicts:
        `Preprocessor.model_inputs`, and by head what `Targets` gives. A row whose label is missing
        or was not seen in training has weight 0 for that head.

    Raises:
        FileNotFoundError: there is no manifest, or a shard is missing.
        ValueError: the split has no rows, a shard is damaged, `class_weight` names a class that the
            schema does not know, or `batch_size`, `worker` or `start` is out of range.
        tf.errors.DataLossError: while batches are drawn, where rows are not kept in memory: a row
        is not what ingest wrote.
    """
    return open_split(directory, split, config, schema, training, batch_size, worker)(start, epoch)


def open_split(directory, split, config, schema, training=False, batch_size=None, worker=(0, 1)):
    """A function from `start` and `epoch` to what `load_split` gives; the rows are decoded, where
    they are kept, only once.

    Example:
        >>> batches = open_split("records", "train", config, schema, training=True)  # doctest: +SKIP
        >>> first, rest = next(iter(batches())), batches(start=1)  # doctest: +SKIP
    """
    manifest = Manifest.load(directory)
    rows = _rows(manifest, split)
    batch_size = config.training.batch_size if batch_size is None else batch_size
    _check(batch_size, worker)
    # another fusion, or other settings of training, read the same
    read = Config(
        inputs=config.inputs,
        heads=config.heads,
        tabular=config.tabular,
        fusion={"presence": config.fusion.presence},
    )
    preprocessor, features = _features(read.model_dump_json(), schema.model_dump_json())
    targets = Targets(config, schema, class_weights=training)
    seed = config.seed if training else None

    def compact(serialized):
        tensors, labels = features(serialized)
        return tensors, *targets(labels)

    kept = sum(map(manifest.rows, manifest.splits)) * _row_bytes(features) <= available_memory() / 4
    record_files.check(manifest, split, contents=kept)
    if kept:
        load, threads = _gather(_decode_all(manifest, split, compact)), None
    else:
        read = record_files.reader(manifest, split)
        load, threads = lambda chosen: compact(read(chosen)), tf.data.AUTOTUNE

    def batch(chosen):
        tensors, target, weight = load(chosen)
        return preprocessor.model_inputs(tensors), target, weight

    def batches(start=0, epoch=None):
        steps = -(-rows // batch_size)
        if not 0 <= start <= steps:
            raise ValueError(
                f"start must be from 0 to the {steps} batches of {split!r}, received {start}"
            )
        numbers = shuffle.batches(rows, batch_size, seed, worker, start, epoch)
        dataset = (
            numbers.map(batch)
            if threads is None
            else numbers.map(batch, threads, deterministic=True)
        )
        return dataset.prefetch(2)

    return batches


def load_raw(directory, split, config, batch_size) -> tf.data.Dataset:
    """The undecoded rows of a split in table order, as `records.parse` gives them: `(rows, inputs,
    labels)`; errors as `load_split`.
    """
    manifest = Manifest.load(directory)
    rows = _rows(manifest, split)
    batches = tf.data.TFRecordDataset(_paths(manifest, split)).batch(batch_size)
    batches = batches.map(
        lambda serialized: record_files.parse(config, serialized),
        tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.apply(tf.data.experimental.assert_cardinality(-(-rows // batch_size))).prefetch(
        2
    )


@functools.lru_cache(maxsize=2)
def _features(config, schema):
    """`(preprocessor, graph function from undecoded rows to features and labels)`, kept: tracing
    them takes seconds, and one program reads several splits of one configuration (here as JSON)."""
    config, schema = Config.model_validate_json(config), Schema.model_validate_json(schema)
    preprocessor = Preprocessor(config, schema)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def features(serialized):
        _, raw, labels = record_files.parse(config, serialized)
        return preprocessor.features(raw)[0], labels

    return preprocessor, features


def _check(batch_size, worker):
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, received {batch_size}")
    number, workers = worker
    if not 0 <= number < workers:
        raise ValueError(f"worker must be (w, n) with w from 0 to n - 1, received {worker}")


def _rows(manifest, split):
    rows = manifest.rows(split)
    if not rows:
        there = {name: manifest.rows(name) for name in manifest.splits}
        raise ValueError(
            f"the split {split!r} of {manifest.table} must have rows, received none; rows by split: {there}"
        )
    return rows


def _paths(manifest, split):
    return [filesystem.readable(path) for path in manifest.shards(split)]


def _decode_all(manifest, split, compact):
    """All rows of a split as one structure of tensors."""
    rows, start, arrays = manifest.rows(split), 0, None
    for serialized in record_files.read(manifest.shards(split), _CHUNK):
        chunk = compact(serialized)
        if arrays is None:
            arrays = tf.nest.map_structure(
                lambda part: np.empty([rows, *part.shape[1:]], part.dtype.as_numpy_dtype), chunk
            )
        for array, part in zip(tf.nest.flatten(arrays), tf.nest.flatten(chunk)):
            array[start : start + len(part)] = part.numpy()
        start += len(serialized)
    if start != rows:
        raise ValueError(
            f"the shards of the split {split!r} must hold {rows} rows as the manifest says, received {start}: ingest again"
        )
    return tf.nest.map_structure(tf.convert_to_tensor, arrays)


def _gather(cache):
    """A function from row numbers to those rows of tensors: nothing is done row by row.

    One thread does it: a batch takes about a millisecond, and more threads would take their time
    from the model's.
    """
    return lambda chosen: tf.nest.map_structure(lambda part: tf.gather(part, chosen), cache)


def _row_bytes(compact):
    """Bytes of one row in its compact form, from what a graph function says that it gives."""
    outputs = tf.nest.flatten(compact.get_concrete_function().structured_outputs)
    return sum(spec.dtype.size * math.prod(spec.shape[1:]) for spec in outputs)


def available_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's (Linux control
    groups) if that is less.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTAINER.read_text().strip() if _CONTAINER.is_file() else ""
    # "max" is no limit
    return min(physical, int(limit)) if limit.isdigit() else physical
