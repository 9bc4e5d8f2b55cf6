"""One way to damage a cell, at five severities, and how it is run over many cells."""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)

# what a record holds of one input
Cell = bytes | float | list[bytes]


@dataclasses.dataclass(frozen=True)
class Corruption:
    """Damages a cell, and leaves what the served graph can read.

    Args:
        name: in lower case, the same in every report.
        inputs: the types of input that it is for, such as `("image", "video")`.
        unit: what a strength counts.
        strengths: what severity 1 to 5 mean, in that unit.
        change: `(cell, strength, numpy Generator) -> cell`, never called with a missing cell.

    Example:
        >>> shout = Corruption("shout", ("text",), "exclamation marks", (1, 2, 3, 4, 5), lambda cell, marks, random: cell + b"!" * marks)
        >>> shout(b"stop", 2, np.random.default_rng(0)), shout(b"", 2, np.random.default_rng(0))
        (b'stop!!', b'')
    """

    name: str
    inputs: tuple[str, ...]
    unit: str
    strengths: tuple[Any, Any, Any, Any, Any]
    change: Callable[[Any, Any, np.random.Generator], Any]

    def __call__(self, cell: Cell, severity: int, random: np.random.Generator) -> Cell:
        """The damaged cell; a missing one stays as it is.

        Raises:
            ValueError: `severity` is not 1 to 5, or the cell is broken.
        """
        if severity not in SEVERITIES:
            raise ValueError(f"severity must be 1 to 5, received {severity!r}")
        return cell if is_missing(cell) else self.change(cell, self.strengths[severity - 1], random)


def is_missing(cell: Cell) -> bool:
    """Whether a record's cell holds nothing: "", white space, NaN, or a video without frames."""
    if isinstance(cell, (bytes, list)):
        return not any(cell) if isinstance(cell, list) else not cell.strip()
    return bool(np.isnan(cell))


def corrupted(cells, name: str, corruption: Corruption, severity: int, seed: int, rows):
    """Damages the cells of one input.

    What is drawn for a cell is a pure function of `seed`, `name`, the corruption's name, `severity`
    and the row's number: it does not depend on the other cells, so batches of any size in any
    order, in any number of processes, give the same bytes.

    Args:
        cells: as `pipeline.load_raw` yields them: object `(rows,)` of bytes, float `(rows,)`, or
            for a video object `(rows, frames)` with b"" for no frame; or a list of cells.
        name: the input's name. Two photos of a row are damaged differently.
        corruption: `Corruption`.
        severity: int, 1 to 5.
        seed: int, not negative.
        rows: int `(rows,)`, the rows' numbers in the table.

    Returns:
        The same kind of thing. Missing cells are missing as before. A video may have more frames
        than before where it was a GIF.

    Raises:
        ValueError: `severity` or `seed` is out of range, there are not as many rows as cells, or a
        cell is broken (its row is named).

    Example:
        >>> from multimodal_tf.corruptions import text
        >>> cells = np.array([b"a small red shoe", b""], dtype=object)
        >>> corrupted(cells, "title", text.DELETION, severity=3, seed=0, rows=[7, 8])
        array([b'a smll red soe', b''], dtype=object)
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be 1 to 5, received {severity!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, received {seed}")
    if len(rows) != len(cells):
        raise ValueError(f"rows must be as many as cells, {len(cells)}, received {len(rows)}")
    key = (seed, zlib.crc32(name.encode()), zlib.crc32(corruption.name.encode()), severity)
    made = [
        _one(cell, corruption, severity, (*key, int(row)), name) for cell, row in zip(cells, rows)
    ]
    return _as_array(made, cells) if isinstance(cells, np.ndarray) else made


def _one(cell, corruption, severity, key, name):
    cell = cell.tolist() if isinstance(cell, np.ndarray) else cell
    if is_missing(cell):
        return cell
    try:
        return corruption(cell, severity, np.random.default_rng(key))
    except ValueError as error:
        raise ValueError(f"row {key[-1]} of the input {name!r}: {error}") from error


def _as_array(made, cells):
    if cells.ndim == 1:
        array = np.empty_like(cells)
        for place, cell in enumerate(made):
            array[place] = cell
        return array
    array = np.full([len(made), max([cells.shape[1], *map(len, made)])], b"", dtype=object)
    for place, frames in enumerate(made):
        array[place, : len(frames)] = frames
    return array
