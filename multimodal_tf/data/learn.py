"""What the training split teaches, in one pass over its shards: vocabularies, classes, means."""

import collections
import math
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.data import records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.preprocess import text
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary

_ROWS = 256  # read at a time


class _Words:
    """Counts the words of texts, or the values of a category or of labels; `split` is a graph function: cells to (words, counts)."""

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
    """Mean and variance of numbers, in float64, chunk by chunk.

    Source: Chan, Golub and LeVeque 1979, «Updating formulae and a pairwise algorithm for computing sample variances», equation 2.1.
    """

    def __init__(self):
        self.rows, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, cells):
        values = cells.numpy().astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return
        mean, total = values.mean(), self.rows + values.size
        self._squares += ((values - mean) ** 2).sum() + (mean - self.mean) ** 2 * self.rows * values.size / total
        self.mean += (mean - self.mean) * values.size / total
        self.rows = total

    def moments(self):
        std = math.sqrt(self._squares / self.rows) if self.rows else 0.0
        return Moments(mean=float(self.mean), std=std or 1.0, rows=self.rows)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _text_words(cells):
    return _distinct(text.words(cells).values)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _values(cells):
    cells = tf.strings.strip(cells)
    return _distinct(tf.boolean_mask(cells, cells != ""))


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _labels(cells):
    labels = tf.strings.split(cells, records.LABEL_SEPARATOR).values
    return _distinct(tf.boolean_mask(labels, labels != ""))


def _distinct(words):
    found = tf.unique_with_counts(words)
    return found.y, found.count


def _learner(part) -> Any:
    """What listens to the cells of an input or a head; None where they teach nothing."""
    if part.type in ("number", "regression"):
        return _Numbers()
    splits = {"text": _text_words, "category": _values, "classification": _values, "multi_label": _labels}
    return _Words(splits[part.type]) if part.type in splits else None


def learn_schema(directory, config) -> Schema:
    """Reads the training shards once.

    Memory holds a batch of rows and each distinct word, value and class.

    Args:
        directory: where ingest wrote its manifest and shards.
        config: `Config`.

    Returns:
        `Schema`: for a text the `vocabulary_size` most frequent words (`text.words`), for a category all its values, for a number its
        moments (mean 0 and std 1 where no row has it), for a head its classes with their counts or its moments.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: the training split is empty, a number varies too much, or a head learns nothing: no labelled row, or one class only.
    """
    manifest = Manifest.load(directory)
    rows = manifest.rows("train")
    if not rows:
        raise ValueError(f"the training split of {manifest.table} must have rows, received none of the table's {manifest.table_rows}")
    learners = {name: _learner(part) for name, part in [*config.inputs.items(), *config.heads.items()]}
    for serialized in records.read(manifest.shards("train"), _ROWS):
        _, inputs, labels = records.parse(config, serialized)
        for name, cells in (inputs | labels).items():
            if learners[name] is not None:
                learners[name].add(cells)
    inputs = {name: _input(config, name, learners[name]) for name in config.inputs if learners[name] is not None}
    heads = {name: _head(config, name, learners[name]) for name in config.heads}
    return Schema(rows=rows, inputs=inputs, heads=heads)


def _input(config, name, learner):
    part = config.inputs[name]
    if part.type == "number":
        return _moments(f"the input {name!r} (column {config.column(name)!r})", learner)
    return Vocabulary(words=learner.most_frequent(part.vocabulary_size if part.type == "text" else None))


def _moments(where, learner):
    moments = learner.moments()
    if moments.std**2 > float(np.finfo(np.float32).max):  # the model works with the variance
        raise ValueError(f"{where} must have a variance below 3.4e38, received a standard deviation of {moments.std:.3g}: change its unit")
    return moments


def _head(config, name, learner):
    where = f"the head {name!r} (column {config.column(name)!r})"
    if config.heads[name].type == "regression":
        if not learner.rows:
            raise ValueError(f"{where} must have a number in some row of the training split, received none")
        return _moments(where, learner)
    classes = learner.classes()
    if not classes.names:
        raise ValueError(f"{where} must have a label in some row of the training split, received none")
    if len(classes.names) == 1 and config.heads[name].type == "classification":
        raise ValueError(f"{where} must have two classes or more in the training split, received only {classes.names[0]!r}")
    return classes
