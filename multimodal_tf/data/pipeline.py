"""Shards to batches of `(inputs, targets, sample_weight)`: plain `tf.data` for `model.fit`, `evaluate` and `predict`."""

import functools
import math
import os
import pathlib

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data import records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.preprocess import Preprocessor
from multimodal_tf.data.targets import Targets
from multimodal_tf.schema import Schema

_CONTAINER = pathlib.Path("/sys/fs/cgroup/memory.max")
_CHUNK = 64  # rows decoded at a time while the cache fills
_NUMBER = 200  # bytes that a row number takes while it is shuffled
_BUFFER = 64 << 20  # bytes of undecoded rows that are shuffled at a time where the split does not fit in memory


def load_split(directory, split, config, schema, training=False, batch_size=None) -> tf.data.Dataset:
    """The rows of a split as batches for Keras.

    Rows are decoded once and kept in memory in their compact form (`Preprocessor.features`) where all splits together fit in a quarter of
    the machine's memory; otherwise each epoch reads and decodes the shards anew, shuffled within a buffer. An epoch has every row exactly
    once; its last batch is smaller where the rows do not divide.

    Args:
        directory: where ingest wrote its manifest and shards.
        split: "train", "validation" or "test".
        config: `Config`.
        schema: `Schema`.
        training: shuffle, anew in each epoch, as `config.seed` says, and multiply in the heads' class weights. Else: the table's order.
        batch_size: int; None: `config.training.batch_size`.

    Returns:
        `tf.data.Dataset` of known cardinality, of `(inputs, targets, sample_weight)`, dicts: `Preprocessor.model_inputs`, and by head what
        `Targets` gives. A row whose label is missing or was not seen in training has weight 0 for that head.

    Raises:
        FileNotFoundError: there is no manifest, or a shard is missing.
        ValueError: the split has no rows, a shard is damaged, `class_weight` names a class that the schema does not know, or `batch_size`
            is less than 1.
    """
    manifest = Manifest.load(directory)
    rows = _rows(manifest, split)
    batch_size = config.training.batch_size if batch_size is None else batch_size
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, received {batch_size}")
    preprocessor, features = _features(config.model_dump_json(), schema.model_dump_json())
    targets = Targets(config, schema, class_weights=training)
    seed = config.seed if training else None

    def compact(serialized):
        tensors, labels = features(serialized)
        return tensors, *targets(labels)

    def expand(tensors, target, weight):
        return preprocessor.model_inputs(tensors), target, weight

    if sum(map(manifest.rows, manifest.splits)) * _row_bytes(features) <= _memory() / 4:
        batches = _from_memory(_decode_all(manifest, split, compact), rows, batch_size, seed, expand)
    else:
        batches = _from_shards(manifest, split, batch_size, seed).map(compact, tf.data.AUTOTUNE, deterministic=True).map(expand)
    return _known_length(batches, rows, batch_size)


def load_raw(directory, split, config, batch_size) -> tf.data.Dataset:
    """The undecoded rows of a split in table order, as `records.parse` gives them: `(rows, inputs, labels)`; errors as `load_split`."""
    manifest = Manifest.load(directory)
    rows = _rows(manifest, split)
    batches = tf.data.TFRecordDataset(_paths(manifest, split)).batch(batch_size)
    batches = batches.map(lambda serialized: records.parse(config, serialized), tf.data.AUTOTUNE, deterministic=True)
    return _known_length(batches, rows, batch_size)


@functools.lru_cache(maxsize=2)
def _features(config, schema):
    """`(preprocessor, graph function from undecoded rows to features and labels)`, kept: tracing them takes seconds, and one program reads
    several splits of one configuration (here as JSON)."""
    config, schema = Config.model_validate_json(config), Schema.model_validate_json(schema)
    preprocessor = Preprocessor(config, schema)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def features(serialized):
        _, raw, labels = records.parse(config, serialized)
        return preprocessor.features(raw)[0], labels

    return preprocessor, features


def _known_length(batches, rows, batch_size):
    return batches.apply(tf.data.experimental.assert_cardinality(-(-rows // batch_size))).prefetch(2)


def _rows(manifest, split):
    rows = manifest.rows(split)
    if not rows:
        there = {name: manifest.rows(name) for name in manifest.splits}
        raise ValueError(f"the split {split!r} of {manifest.table} must have rows, received none; rows by split: {there}")
    return rows


def _paths(manifest, split):
    return [str(path) for path in manifest.shards(split)]


def _decode_all(manifest, split, compact):
    """All rows of a split as one structure of tensors."""
    rows, start, arrays = manifest.rows(split), 0, None
    for serialized in records.read(manifest.shards(split), _CHUNK):
        chunk = compact(serialized)
        if arrays is None:
            arrays = tf.nest.map_structure(lambda part: np.empty([rows, *part.shape[1:]], part.dtype.as_numpy_dtype), chunk)
        for array, part in zip(tf.nest.flatten(arrays), tf.nest.flatten(chunk)):
            array[start : start + len(part)] = part.numpy()
        start += len(serialized)
    if start != rows:
        raise ValueError(f"the shards of the split {split!r} must hold {rows} rows as the manifest says, received {start}: ingest again")
    return tf.nest.map_structure(tf.convert_to_tensor, arrays)


def _from_memory(cache, rows, batch_size, seed, expand):
    """Batches gathered from tensors by row numbers: only the numbers are shuffled, and nothing else is done row by row.

    One thread does it: a batch takes about a millisecond, and more threads would take their time from the model's.
    """
    numbers = tf.data.Dataset.range(rows)
    if seed is not None:
        numbers = numbers.shuffle(rows, seed=seed, reshuffle_each_iteration=True)
    return numbers.batch(batch_size).map(lambda chosen: expand(*tf.nest.map_structure(lambda part: tf.gather(part, chosen), cache)))


def _from_shards(manifest, split, batch_size, seed):
    """Batches of undecoded rows, shuffled shard by shard and then within a buffer."""
    paths = tf.data.Dataset.from_tensor_slices(_paths(manifest, split))
    if seed is None:
        return paths.flat_map(tf.data.TFRecordDataset).batch(batch_size)
    shards = manifest.splits[split]
    mean = max(1, sum(shard.bytes for shard in shards) // manifest.rows(split))
    paths = paths.shuffle(len(shards), seed=seed, reshuffle_each_iteration=True)
    serialized = paths.interleave(tf.data.TFRecordDataset, cycle_length=8, block_length=16)
    return serialized.shuffle(max(batch_size, _BUFFER // mean), seed=seed, reshuffle_each_iteration=True).batch(batch_size)


def _row_bytes(compact):
    """Bytes of one row in its compact form, from what a graph function says that it gives."""
    outputs = tf.nest.flatten(compact.get_concrete_function().structured_outputs)
    return sum(spec.dtype.size * math.prod(spec.shape[1:]) for spec in outputs) + _NUMBER


def _memory():
    """Bytes of memory that this process may use: the machine's, or its container's (Linux control groups) if that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTAINER.read_text().strip() if _CONTAINER.is_file() else ""
    return min(physical, int(limit)) if limit.isdigit() else physical  # "max" is no limit
