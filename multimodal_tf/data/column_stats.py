"""What is learned of the training cells of one column, batch by batch."""

import collections
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data import record_files
from multimodal_tf.data.filesystem import Path
from multimodal_tf.schema import Classes, InputStats, Moments, Vocabulary

# rows of a record file that are read at a time
ROWS = 256
CELLS = tf.TensorSpec([None], tf.string)


class TrainingColumn:
    """The training cells of an input, for statistics that take another pass over the records.

    Args:
        config: `Config`.
        name: the input's name.
        shards: paths of the training shards.
    """

    def __init__(self, config: Config, name: str, shards: list[Path]) -> None:
        self.field = f"inputs.{name}"
        self.title = f"the input {name!r} (column {config.column(name)!r})"
        self.seed = config.seed
        self._name, self._shards = name, shards
        # other cells are not parsed
        self._config = config.model_copy(
            update={"inputs": {name: config.inputs[name]}, "heads": {}}
        )

    def texts(self, prepare: Callable[[tf.Tensor], Any]) -> "_Texts":
        """The cells after a graph function, which returns strings or ragged strings.

        Returns:
            An iterable of str, or of lists of str, that reads the records anew in each iteration;
            empty strings are left out.
        """
        return _Texts(self._cells, tf.function(prepare, input_signature=[CELLS]))

    def _cells(self) -> Iterator[tf.Tensor]:
        for serialized in record_files.read(self._shards, ROWS):
            yield record_files.parse(self._config, serialized)[1][self._name]


class _Texts:
    def __init__(
        self, cells: Callable[[], Iterator[tf.Tensor]], prepare: Callable[[tf.Tensor], Any]
    ) -> None:
        self._cells, self._prepare = cells, prepare

    def __iter__(self) -> Iterator[Any]:
        for cells in self._cells():
            prepared = self._prepare(cells)
            for one in prepared.numpy() if isinstance(prepared, tf.Tensor) else prepared.to_list():
                if isinstance(one, list):
                    yield [word.decode() for word in one]
                elif one:
                    yield one.decode()


class Learner(Protocol):
    """Learns the statistics of an input from its training cells."""

    def add(self, cells: tf.Tensor) -> None:
        """Takes a batch of cells of the first pass."""

    def stats(self, column: TrainingColumn) -> InputStats:
        """The schema's entry, after the last batch.

        Raises:
            ValueError: the cells do not allow it; the message names the input.
        """


class ValueCounts:
    """Counts of words, values or labels.

    Args:
        split: graph function of a batch of cells to `(values, counts)`.
    """

    def __init__(self, split: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]) -> None:
        self._split = split
        self.rows = 0
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, cells: tf.Tensor) -> None:
        """Counts a batch of cells, string `(batch,)`."""
        values, counts = self._split(cells)
        self.rows += int(tf.math.count_nonzero(cells != ""))
        for value, count in zip(values.numpy(), counts.numpy()):
            self._counts[value.decode()] += int(count)

    def most_frequent(self, size: int | None = None) -> list[str]:
        """The `size` most frequent values, ties in code point order; None: all."""
        return sorted(self._counts, key=lambda value: (-self._counts[value], value))[:size]

    def stats(self, column: TrainingColumn) -> Vocabulary:
        """All values."""
        return Vocabulary(words=self.most_frequent())

    def classes(self) -> Classes:
        """The values as classes, sorted."""
        names = sorted(self._counts)
        return Classes(names=names, counts=[self._counts[name] for name in names], rows=self.rows)


class RunningMoments:
    """Mean and variance in float64, batch by batch.

    Args:
        read: graph function of a batch of cells to numbers; those that are not finite are left out.

    Source: Chan, Golub and LeVeque 1979, «Updating formulae and a pairwise algorithm for computing
    sample variances», equation 2.1.
    """

    def __init__(self, read: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> None:
        self._read = read
        self.rows, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, cells: tf.Tensor) -> None:
        """Takes a batch of cells `(batch,)`."""
        values = self._read(cells).numpy().astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return
        mean, total = values.mean(), self.rows + values.size
        self._squares += ((values - mean) ** 2).sum() + (
            mean - self._mean
        ) ** 2 * self.rows * values.size / total
        self._mean += (mean - self._mean) * values.size / total
        self.rows = total

    def stats(self, column: TrainingColumn) -> Moments:
        """Errors as `moments`."""
        return self.moments(column.title)

    def moments(self, title: str) -> Moments:
        """Mean and standard deviation; 0 and 1 where there were no numbers.

        Args:
            title: names the input or head in an error.

        Raises:
            ValueError: the variance, with which the model works, is no finite float32.
        """
        std = math.sqrt(self._squares / self.rows) if self.rows else 0.0
        if std**2 > float(np.finfo(np.float32).max):
            raise ValueError(
                f"{title} must have a variance below 3.4e38, received a standard deviation of"
                f" {std:.3g}: change its unit"
            )
        return Moments(mean=float(self._mean), std=std or 1.0, rows=self.rows)


@tf.function(input_signature=[CELLS])
def count_values(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct cells, stripped, and their counts, without missing ones."""
    cells = tf.strings.strip(cells)
    return distinct(tf.boolean_mask(cells, cells != ""))


@tf.function(input_signature=[CELLS])
def count_labels(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct labels in cells of several, and their counts."""
    labels = tf.strings.split(cells, record_files.LABEL_SEPARATOR).values
    return distinct(tf.boolean_mask(labels, labels != ""))


def distinct(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct elements of string `(n,)`, and how often each occurs."""
    found = tf.unique_with_counts(values)
    return found.y, found.count
