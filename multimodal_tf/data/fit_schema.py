"""What the training split teaches, in one pass over its shards: vocabularies, classes, means."""

import collections
import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import labelled
from multimodal_tf.data import record_files
from multimodal_tf.data.codecs import iso8601
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.tokenizers import normalization, train_subwords, word_vectors
from multimodal_tf.data.tokenizers.characters import characters
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary

# read at a time
_ROWS = 256
_SUBWORDS = ("word_piece", "byte_pair", "sentence_piece", "preset")
# tokenizers whose tokens are counted
_SPLITS = {"words": normalization.words, "characters": characters}


class _Words:
    """Counts the words of texts, or the values of a category or of labels; `split` is a graph
    function: cells to (words, counts).
    """

    def __init__(self, split):
        self._split = split
        self.rows = 0
        self._counts: collections.Counter = collections.Counter()

    def add(self, cells):
        words, counts = self._split(cells)
        self.rows += int(tf.math.count_nonzero(cells != ""))
        for word, count in zip(words.numpy(), counts.numpy()):
            self._counts[word.decode()] += int(count)

    def most_frequent(self, size=None):
        return sorted(self._counts, key=lambda word: (-self._counts[word], word))[:size]

    def classes(self):
        names = sorted(self._counts)
        return Classes(names=names, counts=[self._counts[name] for name in names], rows=self.rows)


class _Numbers:
    """Mean and variance of numbers, or of what `read` makes of cells, in float64, chunk by chunk.

    Source: Chan, Golub and LeVeque 1979, «Updating formulae and a pairwise algorithm for computing
    sample variances», equation 2.1.
    """

    def __init__(self, read=tf.identity):
        self._read = read
        self.rows, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, cells):
        values = self._read(cells).numpy().astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return
        mean, total = values.mean(), self.rows + values.size
        self._squares += ((values - mean) ** 2).sum() + (
            mean - self.mean
        ) ** 2 * self.rows * values.size / total
        self.mean += (mean - self.mean) * values.size / total
        self.rows = total

    def moments(self):
        std = math.sqrt(self._squares / self.rows) if self.rows else 0.0
        return Moments(mean=float(self.mean), std=std or 1.0, rows=self.rows)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _text_words(cells):
    return _distinct(normalization.words(cells).values)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _text_characters(cells):
    return _distinct(characters(cells).values)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _values(cells):
    cells = tf.strings.strip(cells)
    return _distinct(tf.boolean_mask(cells, cells != ""))


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _labels(cells):
    labels = tf.strings.split(cells, record_files.LABEL_SEPARATOR).values
    return _distinct(tf.boolean_mask(labels, labels != ""))


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _days(cells):
    """Days since 1970-01-01, with the time of day as a fraction: float64 `(batch,)`, NaN where
    there is no date.
    """
    moments, valid = iso8601.parse(cells)
    days, seconds = tf.unstack(tf.cast(moments, tf.float64), axis=1)
    return tf.where(valid, days + seconds / iso8601.DAY, np.nan)


def _distinct(words):
    found = tf.unique_with_counts(words)
    return found.y, found.count


def _learner(part) -> Any:
    """What listens to the cells of an input or a head; None where they teach nothing."""
    if part.type == "number" or getattr(part, "target_type", None) == "number":
        return _Numbers()
    if part.type == "date":
        return _Numbers(_days)
    splits = {
        "category": _values,
        "class": _values,
        "classes": _labels,
        "words": _text_words,
        "characters": _text_characters,
    }
    kind = part.tokenizer.type if part.type == "text" else getattr(part, "target_type", part.type)
    return _Words(splits[kind]) if kind in splits else None


class _Texts:
    """What a graph function makes of an input's training cells, read anew by each loop; nothing is
    left of those that are missing.
    """

    def __init__(self, shards, config, name, prepare):
        self._shards, self._name, self._prepare = (
            shards,
            name,
            tf.function(prepare, input_signature=[tf.TensorSpec([None], tf.string)]),
        )
        # other cells are not parsed
        self._config = config.model_copy(
            update={"inputs": {name: config.inputs[name]}, "heads": {}}
        )

    def __iter__(self):
        for serialized in record_files.read(self._shards, _ROWS):
            _, inputs, _ = record_files.parse(self._config, serialized)
            prepared = self._prepare(inputs[self._name])
            for one in prepared.numpy() if isinstance(prepared, tf.Tensor) else prepared.to_list():
                if isinstance(one, list):
                    yield [word.decode() for word in one]
                elif one:
                    yield one.decode()


def fit_schema(directory, config) -> Schema:
    """Reads the training shards once.

    Memory holds a batch of rows and each distinct word, value and class.

    Args:
        directory: where ingest wrote its manifest and shards.
        config: `Config`.

    Returns:
        `Schema`: for a text its tokenizer, with vectors where the configuration asks for them, for
        a category all its values, for a number its moments, for a date those of days since
        1970-01-01 (mean 0 and std 1 where no row has it), for a head its classes with their counts
        or its moments.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: the training split is empty, a number varies too much, a head learns nothing (no
            labelled row, or one class only), the order of a head's classes is not known,
            or as `subwords.fit_subwords`, `vectors.skip_gram` and `vectors.read_vectors`.
    """
    manifest = Manifest.load(directory)
    rows = manifest.rows("train")
    if not rows:
        raise ValueError(
            f"the training split of {manifest.table} must have rows, received none of the table's {manifest.table_rows}"
        )
    read = labelled(config.heads)
    learners = {name: _learner(part) for name, part in [*config.inputs.items(), *read.items()]}
    for serialized in record_files.read(manifest.shards("train"), _ROWS):
        _, inputs, labels = record_files.parse(config, serialized)
        for name, cells in (inputs | labels).items():
            if learners.get(name) is not None:
                learners[name].add(cells)
    inputs = {
        name: _input(config, name, learners[name])
        for name in config.inputs
        if learners[name] is not None
    }
    inputs |= _texts(config, inputs, manifest.shards("train"))
    heads = {name: _head(config, name, learners[name]) for name in read}
    return Schema(rows=rows, inputs=inputs, heads=heads)


def _input(config, name, learner):
    part = config.inputs[name]
    if part.type in ("number", "date"):
        return _moments(f"the input {name!r} (column {config.column(name)!r})", learner)
    if part.type == "category":
        return Vocabulary(words=learner.most_frequent())
    return Vocabulary(
        words=learner.most_frequent(part.tokenizer.vocabulary_size), tokenizer=part.tokenizer.type
    )


def _texts(config, stats, shards):
    """What is learned of texts in passes of its own: subwords, and the vectors of a vocabulary,
    which is `stats` already.
    """
    found = {}
    for name, part in config.inputs.items():
        if part.type != "text":
            continue
        texts = functools.partial(_Texts, shards, config, name)
        if part.tokenizer.type in _SUBWORDS:
            found[name] = train_subwords.fit_subwords(
                f"inputs.{name}.tokenizer", part.tokenizer, texts
            )
        if part.vectors is not None:
            found[name] = stats[name].model_copy(
                update={"vectors": _vectors(config, name, stats[name].words, texts)}
            )
    return found


def _vectors(config, name, words, texts):
    part, field = config.inputs[name], f"inputs.{name}.vectors"
    if part.vectors.type == "file":
        return word_vectors.read_vectors(
            field, part.vectors.path, words, part.tower.embedding_dim, config.seed
        )
    split = texts(_SPLITS[part.tokenizer.type])
    return word_vectors.skip_gram(
        field, part.vectors, words, split, part.tower.embedding_dim, config.seed
    )


def _moments(where, learner):
    moments = learner.moments()
    # the model works with the variance
    if moments.std**2 > float(np.finfo(np.float32).max):
        raise ValueError(
            f"{where} must have a variance below 3.4e38, received a standard deviation of {moments.std:.3g}: change its unit"
        )
    return moments


def _head(config, name, learner):
    where = f"the head {name!r} (column {config.column(name)!r})"
    head = config.heads[name]
    if head.target_type == "number":
        if not learner.rows:
            raise ValueError(
                f"{where} must have a number in some row of the training split, received none"
            )
        return _moments(where, learner)
    classes = learner.classes()
    if not classes.names:
        raise ValueError(
            f"{where} must have a label in some row of the training split, received none"
        )
    if len(classes.names) == 1 and head.target_type == "class":
        raise ValueError(
            f"{where} must have two classes or more in the training split, received only {classes.names[0]!r}"
        )
    return _in_order(f"heads.{name}.classes", head, classes)


def _in_order(field, head, classes):
    """The classes in the head's order, also those that it declares and no training row bears."""
    counts = dict(zip(classes.names, classes.counts))
    try:
        wanted = head.class_order(counts)
    except ValueError:
        raise ValueError(
            f"{field} must say the order of classes that are not all numbers, "
            f"received {classes.names}"
        ) from None
    unknown = [name for name in counts if name not in wanted]
    if unknown:
        raise ValueError(
            f"{field} must name every class of the training split, received {wanted} without {unknown[0]!r}"
        )
    return Classes(names=wanted, counts=[counts.get(name, 0) for name in wanted], rows=classes.rows)
