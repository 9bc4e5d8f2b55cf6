"""Numbers: float64, NaN where missing; float32 in the model, less the centre."""

import decimal
import math
import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import NumberInput
from multimodal_tf.config.number_format import MINUS, NumberFormat
from multimodal_tf.data.codecs import number_text
from multimodal_tf.data.codecs.cell import LARGEST_NUMBER, TOO_LARGE, Cell, CellError
from multimodal_tf.data.column_stats import Learner, RunningMoments
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds import scaling
from multimodal_tf.data.kinds.cell import read_text, scalar
from multimodal_tf.data.kinds.kind import Kind, Reader
from multimodal_tf.schema import Moments

_PLAIN = NumberFormat()
_NOT_A_NUMBER = "not a number"
_NOT_FINITE = "not a finite number"


class NumberKind(Kind[NumberInput, Moments]):
    """Numbers and their texts."""

    def read(self, value: Any, root: Root) -> float | None:
        """float; None for NaN."""
        return read_number(value, self.config.format)

    def _problem(self, cell: Cell) -> str:
        if cell in (math.inf, -math.inf):
            return _NOT_FINITE
        return TOO_LARGE if isinstance(cell, float) and abs(cell) > LARGEST_NUMBER else ""

    def reader(self, stats: Moments) -> "NumberReader":
        """Needs `Moments`."""
        return NumberReader(self.config, stats)

    def example(self, stats: Moments) -> tf.Tensor:
        """The training mean."""
        return tf.constant(stats.mean, tf.float64)

    def learner(self) -> Learner:
        """Mean and standard deviation."""
        return RunningMoments(is_centred=True)


class NumberReader(Reader[NumberInput]):
    """float64 `(batch,)` to float32, less the centre; the training mean where missing."""

    def __init__(self, config: NumberInput, stats: Moments) -> None:
        super().__init__(config)
        self._mean, self._std = stats.mean, max(stats.std, scaling.LEAST_STD)
        self._centre = stats.centre

    def of_strings(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Numbers as Python, C and JSON write them."""
        numbers, is_number = number_text.scalars(texts)
        return tf.cast(numbers, self.config.cell_dtype), tf.where(is_number, "", _NOT_A_NUMBER)

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """float32 `(batch,)`."""
        is_large = tf.abs(cells) > LARGEST_NUMBER
        present = scaling.is_scalable(cells, self._mean, self._std) & ~is_large
        broken = tf.where(is_large, TOO_LARGE, scaling.TOO_FAR)
        broken = tf.where(tf.math.is_inf(cells), _NOT_FINITE, broken)
        return (
            tf.cast(tf.where(present, cells, self._mean) - self._centre, tf.float32),
            present,
            tf.where(present | tf.math.is_nan(cells), "", broken),
        )


def read_number(value: Any, written: NumberFormat = _PLAIN) -> float | None:
    """A number or its text; None for NaN.

    Args:
        value: a number, or a text in the format `written`; its minus may be U+2212.

    Raises:
        CellError: it is no number, or beyond ±2^64.

    Example:
        >>> read_number(" 7.5 "), read_number("nan"), read_number("$1,250", NumberFormat(
        ...     thousands=",", unit="$"))
        (7.5, None, 1250.0)
    """
    value = scalar(value)
    try:
        number = float(
            value
            if isinstance(value, (numbers.Real, decimal.Decimal, np.bool_))
            else _plain(read_text(value), written)
        )
    except CellError:
        raise
    except (ValueError, TypeError, OverflowError):
        raise CellError(f"not a number: {value!r:.60}") from None
    # Python's float() reads 1_000, other programs do not
    if isinstance(value, str) and "_" in value:
        raise CellError(f"not a number: {value!r:.60}")
    if abs(number) > float(np.finfo(np.float32).max):
        raise CellError(f"not a finite 32-bit number: {value!r:.60}")
    if abs(number) > LARGEST_NUMBER:
        raise CellError(f"{TOO_LARGE}: {value!r:.60}")
    return None if math.isnan(number) else number


def _plain(text: str, written: NumberFormat) -> str:
    """The text as `float` reads it; what is no number in the format is left as it is."""
    if written.is_plain:
        return text.replace(MINUS, "-")
    # NaN is missing however numbers are written
    if text.strip().lower() == "nan":
        return text
    plain = written.plain(text)
    if plain is None:
        raise CellError(f"not a number in the format {_shown(written)}: {text!r:.60}")
    return plain


def _shown(written: NumberFormat) -> str:
    fields = written.model_dump(exclude_none=True)
    return "{" + ", ".join(f"{name}: {value!r}" for name, value in fields.items()) + "}"
