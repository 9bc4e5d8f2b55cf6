"""A corruption of one cell at five severities, and its application to many cells."""

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)

# the cell of one input in a record
Cell = bytes | float | list[bytes] | list[float]
# many cells of one input: an array as `pipeline.load_raw` yields it, or a list of cells
Cells = np.ndarray | Sequence[Any]
# takes a cell, a strength and a generator; returns the corrupted cell
Change = Callable[[Any, Any, np.random.Generator], Any]


@runtime_checkable
class HasStd(Protocol):
    """Statistics with the standard deviation of the training split, such as `schema.Moments`."""

    @property
    def std(self) -> Any:
        """float > 0 in the input's unit, of a date in days; a list for cells of several numbers."""


@runtime_checkable
class HasWords(Protocol):
    """Statistics with the values of the training split, such as `schema.Vocabulary`."""

    @property
    def words(self) -> list[str]:
        """The values, without duplicates."""


@dataclasses.dataclass(frozen=True)
class Corruption:
    """Corrupts a cell such that the served graph can still read it.

    Args:
        name: lower case, the same in every report.
        unit: unit of the strengths.
        strengths: the strengths of severities 1 to 5, in `unit`.
        change: `(cell, strength, numpy Generator) -> cell`. Never called with a missing cell.

    Example:
        >>> def add_marks(cell, n, random):
        ...     return cell + b"!" * n
        >>> shout = Corruption("shout", "exclamation marks", (1, 2, 3, 4, 5), add_marks)
        >>> shout(b"stop", 2, np.random.default_rng(0)), shout(b"", 2, np.random.default_rng(0))
        (b'stop!!', b'')
    """

    name: str
    unit: str
    strengths: tuple[Any, Any, Any, Any, Any]
    change: Change

    def __call__(self, cell: Cell, severity: int, random: np.random.Generator) -> Any:
        """The corrupted cell. A missing cell is returned unchanged.

        Raises:
            ValueError: `severity` is not 1 to 5, or the cell cannot be decoded.
        """
        _check_severity(severity)
        return cell if is_missing(cell) else self.change(cell, self.strengths[severity - 1], random)


def is_missing(cell: Cell) -> bool:
    """Whether a record's cell is empty: "", white space, NaN, a list without files or numbers."""
    if isinstance(cell, list):
        return all(one == b"" or one != one for one in cell)
    return not cell.strip() if isinstance(cell, bytes) else bool(np.isnan(cell))


def corrupted(
    cells: Cells,
    name: str,
    corruption: Corruption,
    severity: int,
    seed: int,
    rows: Sequence[int] | np.ndarray,
) -> Any:
    """Corrupts the cells of one input.

    The random draws of a cell depend on `seed`, `name`, the corruption's name, `severity` and the
    row's number only. The result therefore does not depend on batch size, order or process.

    Args:
        cells: object `(rows,)` of bytes, float `(rows,)` or `(rows, numbers)`, object `(rows,
            files)` with b"" for no file, or a list of cells.
        name: name of the input. Two inputs of the same type are corrupted differently.
        corruption: `Corruption`.
        severity: int, 1 to 5.
        seed: int, not negative.
        rows: int `(rows,)`, numbers of the rows in the table.

    Returns:
        Cells of the same type. Missing cells stay missing. A GIF becomes one file per frame.

    Raises:
        ValueError: `severity` or `seed` is out of range, `rows` and `cells` differ in length, or a
            cell cannot be decoded (the message names its row).

    Example:
        >>> from multimodal_tf.corruptions import text
        >>> cells = np.array([b"a small red shoe", b""], dtype=object)
        >>> corrupted(cells, "title", text.DELETION, severity=3, seed=0, rows=[7, 8])
        array([b'a smll red soe', b''], dtype=object)
    """
    _check_severity(severity)
    if seed < 0:
        raise ValueError(f"seed must not be negative, received {seed}")
    if len(rows) != len(cells):
        raise ValueError(f"rows must be as many as cells, {len(cells)}, received {len(rows)}")
    key = (seed, zlib.crc32(name.encode()), zlib.crc32(corruption.name.encode()), severity)
    changed = [
        _corrupt_cell(cell, corruption, severity, (*key, int(row)), name)
        for cell, row in zip(cells, rows)
    ]
    return _as_array(changed, cells) if isinstance(cells, np.ndarray) else changed


def _check_severity(severity: int) -> None:
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be 1 to 5, received {severity!r}")


def _corrupt_cell(
    cell: Any, corruption: Corruption, severity: int, key: tuple[int, ...], name: str
) -> Any:
    cell = cell.tolist() if isinstance(cell, np.ndarray) else cell
    if is_missing(cell):
        return cell
    try:
        return corruption(cell, severity, np.random.default_rng(key))
    except ValueError as error:
        raise ValueError(f"row {key[-1]} of the input {name!r}: {error}") from error


def _as_array(changed: list[Any], cells: np.ndarray) -> np.ndarray:
    """The changed cells in an array like `cells`. Lists of files are padded to the longest."""
    if cells.ndim == 1 or cells.dtype != object:
        array = np.empty_like(cells)
        for index, cell in enumerate(changed):
            array[index] = cell
        return array
    frames = max([cells.shape[1], *map(len, changed)])
    array = np.full([len(changed), frames], b"", dtype=object)
    for index, cell in enumerate(changed):
        array[index, : len(cell)] = cell
    return array
