"""What every kind of input has: the base classes that `data/kinds` implements, one file a kind."""

import abc
from typing import Any, Generic, TypeVar

import tensorflow as tf

from multimodal_tf.config.inputs import Input
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.column_stats import Learner
from multimodal_tf.data.filesystem import Root

# the configuration of an input, and its entry in the schema
C = TypeVar("C", bound=Input)
S = TypeVar("S")


class Reader(tf.Module, abc.ABC, Generic[C]):
    """Reads batches of cells inside the graph, in training and in the served model."""

    def __init__(self, config: C) -> None:
        super().__init__()
        self.config = config

    @abc.abstractmethod
    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Decodes cells to a compact tensor.

        A broken cell never fails a batch.

        Args:
            cells: `(batch, *cell_shape)` of the configuration's `cell_dtype`.

        Returns:
            `(tensor, present, reason)`: `(batch, ...)`, and bool and string `(batch,)`. A missing
            or broken cell is not present and all zeros (of a number or a date: the training mean).
            The reason is "" for cells that are not broken.
        """

    def of_strings(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `of_request` takes, and why a cell cannot be read, from cells that are strings.

        Args:
            texts: string `(batch,)`; "" is missing.

        Returns:
            `(cells, reason)`: `(batch, *request_shape)` of the configuration's `cell_dtype`; a cell
            with a reason is missing; string `(batch,)`, "" for others.
        """
        return texts, tf.fill(tf.shape(texts), "")

    def of_request(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `read` takes, and why a cell cannot be read, from the cells of a request.

        Args:
            cells: `(batch, *request_shape)` of the configuration's `cell_dtype`.

        Returns:
            `(cells, reason)`: a cell with a reason is missing; string `(batch,)`, "" for others.
        """
        return cells, tf.fill(tf.shape(cells)[:1], "")

    def model_input(self, tensor: tf.Tensor) -> tf.Tensor:
        """The model's input, of `model_shape` and `model_dtype`, from `read`'s tensor."""
        return tensor


class Kind(abc.ABC, Generic[C, S]):
    """What the data pipeline does with the cells of one input.

    Args:
        config: the input's configuration.
    """

    def __init__(self, config: C) -> None:
        self.config = config

    @abc.abstractmethod
    def read(self, value: Any, root: Root) -> Cell | None:
        """Converts a cell of a table, which is not missing, to what a record holds.

        Returns:
            `Cell`; None where it turns out to be missing, such as an empty list of frames.

        Raises:
            CellError: the cell is broken.
        """

    def read_checked(self, value: Any, root: Root) -> Cell | None:
        """Reads a cell and checks that the served graph can decode it; ingest calls this.

        Raises:
            CellError: the cell is broken.
        """
        cell = self.read(value, root)
        # what `read` returns for other inputs is valid
        if cell is not None and self.config.is_media:
            cell, reason = self.checked(cell)
            if reason:
                raise CellError(reason)
        return cell

    def checked(self, cell: Cell) -> tuple[Cell, str]:
        """A cell as the graph decodes it, and why it is broken; "" if it is not.

        The cell is another one where the graph refuses it and another decoder does not: ingest,
        `describe` and `Client` convert such files.
        """
        return cell, self.problem(cell)

    def problem(self, cell: Cell) -> str:
        """Why `Preprocessor.features` would report a cell as broken; "" if it would not.

        The whole cell is decoded by the same functions. A missing cell, "", [] or NaN, is not
        broken.
        """
        return "" if not cell or cell != cell else self._problem(cell)

    @abc.abstractmethod
    def _problem(self, cell: Any) -> str:
        """As `problem`, for a cell that is not missing."""

    @abc.abstractmethod
    def reader(self, stats: S) -> Reader[Any]:
        """The reader of this input, for the statistics that the schema holds of it."""

    @abc.abstractmethod
    def example(self, stats: S) -> tf.Tensor:
        """A small valid cell, of `cell_shape` and `cell_dtype`, for warm-up requests."""

    def learner(self) -> Learner | None:
        """What learns the input's statistics from the training cells; None: there are none."""
        return None

    def stats_settings(self, seed: int) -> list[Any]:
        """All that the statistics depend on besides the records, with a fixed `repr`."""
        return []


def batch_spec(config: Input, name: str | None = None) -> tf.TensorSpec:
    """The spec of a batch of cells: float32 or string `(None, *cell_shape)`."""
    return tf.TensorSpec([None, *config.cell_shape], config.cell_dtype, name)
