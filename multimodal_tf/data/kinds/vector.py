"""Vectors: several numbers a cell, float32, all NaN where missing."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from multimodal_tf.config import VectorInput
from multimodal_tf.data.codecs import number_text
from multimodal_tf.data.codecs.cell import LARGEST_NUMBER, TOO_LARGE, CellError
from multimodal_tf.data.column_stats import Learner, RunningVectorMoments
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds import scaling
from multimodal_tf.data.kinds.cell import read_text
from multimodal_tf.data.kinds.kind import Kind, Reader
from multimodal_tf.data.kinds.lists import list_of
from multimodal_tf.schema import VectorMoments

_NOT_FINITE = "not a vector of finite numbers"
_TOO_LARGE = f"a number of it is {TOO_LARGE}"
_LARGEST = float(np.finfo(np.float32).max)


class VectorKind(Kind[VectorInput, VectorMoments]):
    """A list, tuple or array of `dim` numbers, or its text as JSON, Python or NumPy writes it."""

    def read(self, value: Any, root: Root) -> list[float] | None:
        """`dim` numbers within ±2^64, rounded to float32; None where all are NaN or null."""
        rule = f"a vector must have {self.config.dim} finite numbers"
        numbers = numbers_of(value)
        if numbers is None:
            raise CellError(f"{rule}, received {value!r:.60}")
        if numbers.shape != (self.config.dim,):
            received = len(numbers) if numbers.ndim == 1 else f"an array of shape {numbers.shape}"
            raise CellError(f"{rule}, received {received}")
        if np.isnan(numbers).all():
            return None
        refused = ~(np.abs(numbers) <= _LARGEST)
        if refused.any():
            index = int(refused.argmax())
            raise CellError(f"{rule}, received {numbers[index]} as number {index + 1}")
        if np.abs(numbers).max() > LARGEST_NUMBER:
            index = int(np.abs(numbers).argmax())
            raise CellError(f"number {index + 1} of a vector, {numbers[index]}, is {TOO_LARGE}")
        cell: list[float] = numbers.astype(np.float32).tolist()
        return cell

    def _problem(self, cell: Any) -> str:
        if np.isnan(cell).all():
            return ""
        if not np.isfinite(cell).all():
            return _NOT_FINITE
        return _TOO_LARGE if np.abs(cell).max() > LARGEST_NUMBER else ""

    def reader(self, stats: VectorMoments) -> "VectorReader":
        """Needs `VectorMoments`."""
        return VectorReader(self.config, stats)

    def example(self, stats: VectorMoments) -> tf.Tensor:
        """The training mean."""
        return tf.constant(stats.mean, tf.float32)

    def learner(self) -> Learner:
        """Mean and standard deviation of each component."""
        return RunningVectorMoments(self.config.dim)


class VectorReader(Reader[VectorInput]):
    """Standardizes each component; zeros, the training mean, where missing."""

    def __init__(self, config: VectorInput, stats: VectorMoments) -> None:
        super().__init__(config)
        self._stats = stats

    def of_strings(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Lists as JSON, Python and NumPy write them."""
        numbers, is_list = number_text.lists(texts, self.config.dim)
        reason = f"not a list of {self.config.dim} numbers"
        return tf.cast(numbers, self.config.cell_dtype), tf.where(is_list, "", reason)

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """float32 `(batch, dim)`, computed in float64."""
        finite = tf.reduce_all(tf.math.is_finite(cells), axis=1)
        missing = tf.reduce_all(tf.math.is_nan(cells), axis=1)
        mean, std = np.array([self._stats.mean, self._stats.std])
        standardized = tf.cast((tf.cast(cells, tf.float64) - mean) / std, tf.float32)
        is_large = tf.reduce_any(tf.abs(cells) > LARGEST_NUMBER, axis=1)
        scalable = scaling.is_scalable(cells, mean, std, scaling.VECTOR_LIMIT)
        present = tf.reduce_all(scalable, axis=1) & ~is_large
        broken = tf.where(is_large, _TOO_LARGE, scaling.TOO_FAR)
        broken = tf.where(finite, broken, _NOT_FINITE)
        return (
            tf.where(present[:, tf.newaxis], standardized, 0.0),
            present,
            tf.where(present | missing, "", broken),
        )


def numbers_of(value: Any) -> npt.NDArray[np.float64] | None:
    """float64 of a list, tuple or array of numbers, or of its text; None: it is no such thing.

    A text is read by `lists.list_of`. A null is NaN. A text that is a number is not a number.

    Example:
        >>> numbers_of("[1, 2.5, null]"), numbers_of("[1, 2.5"), numbers_of(["1"])
        (array([1. , 2.5, nan]), None, None)
    """
    try:
        if isinstance(value, (str, bytes, bytearray, memoryview)):
            value = list_of(read_text(value))
        if not isinstance(value, (list, tuple, np.ndarray)):
            return None
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "biuf" or _numeric(array) else None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def _numeric(array: npt.NDArray[Any]) -> bool:
    """Whether an array of objects has no texts, lists or the like; true for no objects."""
    return array.dtype == object and not any(
        isinstance(one, (str, bytes, list, tuple, dict, np.ndarray)) for one in array.flat
    )
