"""Booleans: float32 0 or 1, NaN where missing."""

from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import BooleanInput
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.cell import read_text, scalar
from multimodal_tf.data.kinds.kind import Kind, Reader

_VALUES = dict.fromkeys(("true", "yes", "t", "y", "1", "1.0"), 1.0) | dict.fromkeys(
    ("false", "no", "f", "n", "0", "0.0"), 0.0
)
_NOT_A_WORD = "neither true nor false"
_NOT_A_BOOLEAN = "neither 0 nor 1"


class BooleanKind(Kind[BooleanInput, None]):
    """A bool, 1 or 0, or one of the words true, false, yes, no, t, f, y, n in any case."""

    def read(self, value: Any, root: Root) -> float:
        """1.0 or 0.0."""
        value = scalar(value)
        word = str(value) if isinstance(value, (bool, np.bool_)) else read_text(value).strip()
        if word.lower() not in _VALUES:
            raise CellError(f"{_NOT_A_WORD}: {value!r:.60}")
        return _VALUES[word.lower()]

    def _problem(self, cell: Cell) -> str:
        return "" if cell in (0, 1) else _NOT_A_BOOLEAN

    def reader(self, stats: None) -> "BooleanReader":
        """Needs no statistics."""
        return BooleanReader(self.config)

    def example(self, stats: None) -> tf.Tensor:
        """True."""
        return tf.constant(1.0)


class BooleanReader(Reader[BooleanInput]):
    """float32 `(batch,)`, 1 or 0."""

    def of_strings(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The words of `BooleanKind`."""
        words = tf.strings.lower(tf.strings.strip(texts))
        truth, falsehood = (
            tf.reduce_any(words[:, tf.newaxis] == chosen, axis=1)
            for chosen in (
                [word for word, one in _VALUES.items() if one == value] for value in (1, 0)
            )
        )
        cells = tf.where(truth, 1.0, tf.where(falsehood, 0.0, float("nan")))
        known = truth | falsehood | (words == "")
        return tf.cast(cells, self.config.cell_dtype), tf.where(known, "", _NOT_A_WORD)

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """float32 `(batch,)`; 0 where missing."""
        present = (cells == 0) | (cells == 1)
        return (
            tf.cast(cells == 1, tf.float32),
            present,
            tf.where(present | tf.math.is_nan(cells), "", _NOT_A_BOOLEAN),
        )
