"""Categories: UTF-8 in one spelling, "" where missing."""

from typing import Any

import tensorflow as tf

from multimodal_tf.config import CategoryInput
from multimodal_tf.data.codecs.cell import Cell
from multimodal_tf.data.column_stats import Learner, ValueCounts, count_values
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.cell import read_value
from multimodal_tf.data.kinds.kind import Kind, Reader
from multimodal_tf.data.kinds.text import readable, text_problem
from multimodal_tf.data.tokenizers.spelling import spelled, value_table
from multimodal_tf.schema import Vocabulary


class CategoryKind(Kind[CategoryInput, Vocabulary]):
    """A string, bytes in UTF-8 or a number."""

    def read(self, value: Any, root: Root) -> bytes:
        """UTF-8 in its one spelling: `1.0`, 1 and "1" are one value."""
        return read_value(value).encode()

    def _problem(self, cell: Cell) -> str:
        return text_problem(cell)

    def reader(self, stats: Vocabulary) -> "CategoryReader":
        """Needs `Vocabulary`."""
        return CategoryReader(self.config, stats)

    def example(self, stats: Vocabulary) -> tf.Tensor:
        """The most frequent value."""
        return tf.constant("".join(stats.words[:1]) or "none")

    def learner(self) -> Learner:
        """All values."""
        return ValueCounts(count_values)


class CategoryReader(Reader[CategoryInput]):
    """UTF-8 to the value's index in the vocabulary, from 1; 0: not in the training split."""

    def __init__(self, config: CategoryInput, stats: Vocabulary) -> None:
        super().__init__(config)
        self._table = value_table(stats.words, 1, 0)

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """int32 `(batch,)`; 0 where missing."""
        texts, present, reason = readable(cells)
        index = tf.cast(self._table.lookup(spelled(texts)), tf.int32)
        return index * tf.cast(present, tf.int32), present, reason
