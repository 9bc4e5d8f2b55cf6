"""What a record holds of one input, and the error of a cell that cannot be read."""

# an image or audio file, UTF-8 text, a category or a date; a number or a boolean; several files
Cell = bytes | float | list[bytes]


class CellError(ValueError):
    """A broken cell; the message is the reason, without row or column."""
