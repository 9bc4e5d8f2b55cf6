"""The cell that each worker process is at, in memory that outlives it.

When a worker dies, the process that started it reads there which cell it died of.
"""

from collections.abc import MutableSequence
from multiprocessing.context import SpawnContext
from typing import NamedTuple

# numbers of a worker: its process id, and `Position`
_WIDTH = 3
_NOWHERE = -1


class Position(NamedTuple):
    """A cell of the table."""

    row: int
    # in `Job.columns`
    column: int


class Positions:
    """The positions of all workers.

    Args:
        processes: number of workers.
    """

    def __init__(self, context: SpawnContext, processes: int) -> None:
        self._claimed = context.Value("q", 0)
        self._numbers: MutableSequence[int] = context.RawArray("q", _WIDTH * processes)

    def claim(self, process: int) -> None:
        """Makes `at` of this process write here."""
        with self._claimed.get_lock():
            first = self._claimed.value * _WIDTH
            self._claimed.value += 1
        global _place
        _place = (self._numbers, first)
        self._numbers[first] = process
        leave()

    def of(self, process: int | None) -> Position | None:
        """Where a process was last; None: at no cell."""
        for first in range(0, len(self._numbers), _WIDTH):
            number, row, column = self._numbers[first : first + _WIDTH]
            if number == process and row != _NOWHERE:
                return Position(row, column)
        return None


# where this process writes, which nobody reads unless it is a worker
_place: tuple[MutableSequence[int], int] = ([0] * _WIDTH, 0)


def at(row: int, column: int) -> None:
    """Says that this process now reads a cell."""
    numbers, first = _place
    numbers[first + 1], numbers[first + 2] = row, column


def leave() -> None:
    """Says that this process now reads no cell."""
    at(_NOWHERE, 0)
