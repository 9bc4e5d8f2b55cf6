"""What is learned of the training cells of one column, batch by batch."""

import collections
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data import record_files
from multimodal_tf.data.filesystem import Path
from multimodal_tf.schema import Classes, InputStats, Moments, VectorMoments, Vocabulary

# rows of a record file that are read at a time
ROWS = 256
# standard deviations from 0, beyond which float32 has fewer than four digits for differences
_FAR = 1000.0
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
        return _Texts(self._cells, tf.function(prepare, input_signature=[CELLS], autograph=False))

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

    @property
    def counts(self) -> "collections.Counter[str]":
        """How often each value occurs."""
        return self._counts

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
        read: graph function of a batch of cells to numbers, or to several numbers a cell; cells
            that are not finite are left out.
        is_centred: whether a mean that is far from 0 is the centre of the moments, too.

    Source: Chan, Golub and LeVeque 1979, «Updating formulae and a pairwise algorithm for computing
    sample variances», equation 2.1.
    """

    def __init__(
        self, read: Callable[[tf.Tensor], tf.Tensor] = tf.identity, is_centred: bool = False
    ) -> None:
        self._read, self._is_centred = read, is_centred
        self.rows = 0
        self._mean: npt.NDArray[np.float64] = np.zeros(())
        self._squares: npt.NDArray[np.float64] = np.zeros(())

    def add(self, cells: tf.Tensor) -> None:
        """Takes a batch of cells `(batch,)` or `(batch, numbers)`."""
        values = self._read(cells).numpy().astype(np.float64)
        values = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
        if not len(values):
            return
        mean, total = values.mean(axis=0), self.rows + len(values)
        between = (mean - self._mean) ** 2 * self.rows * len(values) / total
        self._squares = self._squares + ((values - mean) ** 2).sum(axis=0) + between
        self._mean = self._mean + (mean - self._mean) * len(values) / total
        self.rows = total

    def stats(self, column: TrainingColumn) -> InputStats:
        """Errors as `moments`."""
        return self.moments(column.title)

    def moments(self, title: str) -> Moments:
        """Mean and standard deviation; 0 and 1 where there were no numbers.

        Args:
            title: names the input or head in an error.

        Raises:
            ValueError: the variance, with which the model works, is no finite float32.
        """
        std = float(_or_one(self._std(title), self._mean))
        mean = float(self._mean)
        centre = mean if self._is_centred and abs(mean) > _FAR * std else 0.0
        return Moments(mean=mean, std=std, centre=centre, rows=self.rows)

    def _std(self, title: str) -> npt.NDArray[np.float64]:
        std = np.sqrt(self._squares / max(1, self.rows))
        if std.max() ** 2 > float(np.finfo(np.float32).max):
            raise ValueError(
                f"{title} must have a variance below 3.4e38, received a standard deviation of"
                f" {std.max():.3g}: change its unit"
            )
        return std


class RunningVectorMoments(RunningMoments):
    """Mean and variance of each component.

    Args:
        dim: numbers of a cell.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self._mean, self._squares = np.zeros(dim), np.zeros(dim)

    def stats(self, column: TrainingColumn) -> VectorMoments:
        """0 and 1 where there were no vectors. Errors as `moments`."""
        std = _or_one(self._std(column.title), self._mean)
        return VectorMoments(mean=self._mean.tolist(), std=std.tolist(), rows=self.rows)


def _or_one(std: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]) -> Any:
    """1 where all values are equal: rounding of the mean leaves a rest."""
    return np.where(std > 1e-12 * np.abs(mean), std, 1.0)


@tf.function(input_signature=[CELLS], autograph=False)
def count_values(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct cells, stripped, and their counts, without missing ones."""
    cells = tf.strings.strip(cells)
    return distinct(tf.boolean_mask(cells, cells != ""))


@tf.function(input_signature=[CELLS], autograph=False)
def count_labels(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct labels in cells of several, and their counts."""
    labels = tf.strings.split(cells, record_files.LABEL_SEPARATOR).values
    return distinct(tf.boolean_mask(labels, labels != ""))


def distinct(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct elements of string `(n,)`, and how often each occurs."""
    found = tf.unique_with_counts(values)
    return found.y, found.count
