"""The cell that each worker process is at, in memory that outlives it.

When a worker dies, the process that started it reads there which cell it died of. A process that
reads cells itself, or that Beam started, keeps it in a small file beside the shard's part file: the
next ingest finds it there.
"""

import contextlib
import mmap
import pathlib
import struct
import threading
from collections.abc import Iterator, MutableSequence
from multiprocessing.context import SpawnContext
from typing import NamedTuple, cast

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
        _here.place, _here.is_claimed = (self._numbers, first), True
        self._numbers[first] = process
        leave()

    def of(self, process: int | None) -> Position | None:
        """Where a process was last; None: at no cell."""
        for first in range(0, len(self._numbers), _WIDTH):
            number, row, column = self._numbers[first : first + _WIDTH]
            if number == process and row != _NOWHERE:
                return Position(row, column)
        return None


class _Here(threading.local):
    """Where this thread writes, which nobody reads unless it is a worker's or a file's."""

    place: tuple[MutableSequence[int], int] = ([0] * _WIDTH, 0)
    is_claimed = False


_here = _Here()
# of a file: `Position`, in the bytes of this machine
_FORMAT = struct.Struct("=qq")
_SUFFIX = ".at"


def at(row: int, column: int) -> None:
    """Says that this thread now reads a cell."""
    numbers, first = _here.place
    numbers[first + 1], numbers[first + 2] = row, column


def leave() -> None:
    """Says that this thread now reads no cell."""
    at(_NOWHERE, 0)


@contextlib.contextmanager
def recorded(part: pathlib.Path) -> Iterator[None]:
    """Keeps the cell that this thread is at in a file that only the death of the process leaves.

    It is mapped into memory, so that a cell costs no call of the system. Workers of `Positions`
    need none.

    Args:
        part: local path of the part file that will be written.
    """
    if _here.is_claimed:
        yield
        return
    file, before = part.with_suffix(_SUFFIX), _here.place
    file.write_bytes(_FORMAT.pack(_NOWHERE, 0))
    try:
        with open(file, "r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
            numbers = memoryview(mapped).cast("q")
            # it has all of one that is used
            _here.place = (cast("MutableSequence[int]", numbers), -1)
            try:
                yield
            finally:
                _here.place = before
                numbers.release()
    finally:
        file.unlink(missing_ok=True)


def left(folder: pathlib.Path) -> list[Position]:
    """The cells at which earlier processes died; their files in the folder are removed."""
    found = []
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        content = file.read_bytes()
        file.unlink(missing_ok=True)
        if len(content) == _FORMAT.size:
            found.append(Position(*_FORMAT.unpack(content)))
    return [one for one in found if one.row != _NOWHERE]
