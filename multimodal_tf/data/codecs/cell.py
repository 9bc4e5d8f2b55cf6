"""What a record holds of one input, and the error of a cell that cannot be read."""

# a file, text, a category or a date in UTF-8; a number or a boolean; several files or numbers
Cell = bytes | float | list[bytes] | list[float]


class CellError(ValueError):
    """A broken cell; the message is the reason, without row or column."""
