"""What a record holds of one input, the error of a broken cell, and a cell that has no value."""

import dataclasses

# a file, text, a category or a date in UTF-8; a number or a boolean; several files or numbers
Cell = bytes | float | list[bytes] | list[float]


class CellError(ValueError):
    """A broken cell; the message is the reason, without row or column."""


@dataclasses.dataclass(frozen=True)
class BrokenCell:
    """Stands in a table for a cell that no Python value can hold, or that nothing can read."""

    reason: str

    def __str__(self) -> str:
        return self.reason
