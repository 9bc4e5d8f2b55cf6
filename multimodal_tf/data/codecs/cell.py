"""What a record holds of one input, the error of a broken cell, and a cell that has no value."""

import dataclasses

# a file, text, a category or a date in UTF-8; a number or a boolean; several files or numbers
Cell = bytes | float | list[bytes] | list[float]

# A variance of numbers up to it is a finite float32; all whole numbers of 64 bits are.
LARGEST_NUMBER = 2.0**64
TOO_LARGE = "larger than 2^64 (1.8e19), the largest number that is read"


class CellError(ValueError):
    """A broken cell; the message is the reason, without row or column."""


@dataclasses.dataclass(frozen=True)
class BrokenCell:
    """Stands in a table for a cell that no Python value can hold, or that nothing can read."""

    reason: str

    def __str__(self) -> str:
        return self.reason


def unreadable(what: str, error: Exception) -> BrokenCell:
    """Stands for a value that raised an error when it was read.

    Example:
        >>> unreadable("type date32", ValueError("year 38505 is out of range")).reason
        'a value of type date32 that cannot be read: year 38505 is out of range'
    """
    reason = " ".join(str(error).split())[:200]
    return BrokenCell(f"a value of {what} that cannot be read: {reason}")
