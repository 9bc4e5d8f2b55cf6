"""Vectors in `describe`."""

import collections
from typing import Any

from multimodal_tf.config import DenseTower, Input, VectorInput
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.kinds.kind import Default, Kind, from_to
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds.vector import numbers_of

# the bounds of `VectorInput.dim`; a longer array is sound, a shorter one too if its type is given
_SHORTEST_VECTOR, _LONGEST_VECTOR = 8, 4096


def _length(cell: Any) -> int | None:
    """Numbers of a list, or of JSON of one, if a vector may have as many."""
    numbers = None if isinstance(cell, str) and "[" not in cell[:9] else numbers_of(cell)
    if numbers is None or numbers.ndim != 1:
        return None
    return len(numbers) if _SHORTEST_VECTOR <= len(numbers) <= _LONGEST_VECTOR else None


def _measure_vector(cell: Cell, content: Any, value: Any, root: PathLike) -> None:
    cell.length = _length(value)


def _vector_of(cells: list[Cell]) -> Input:
    """The most frequent length, ties to the longer one."""
    lengths = collections.Counter(cell.length for cell in cells if cell.kind == "vector")
    dim = max(lengths, key=lambda length: (lengths[length], length), default=_SHORTEST_VECTOR)
    return VectorInput(dim=dim)


def _vector_values(column: ColumnDescription) -> str:
    return f"{from_to(column.length)} numbers" if column.length else ""


def _default_vector(column: ColumnDescription, rows: int) -> Default:
    dim = int(column.length.max) if column.length else _SHORTEST_VECTOR
    return VectorInput(
        dim=dim, tower=DenseTower(wide=True)
    ), "a Dense layer over the standardized numbers"


KIND = Kind(
    VectorInput(dim=_SHORTEST_VECTOR),
    _default_vector,
    noun="vectors",
    recognizes=lambda cell: _length(cell) is not None,
    config_of=_vector_of,
    measure=_measure_vector,
    summarize=lambda cells: {"length": Spread.of([one.length for one in cells if one.length])},
    render=_vector_values,
)
