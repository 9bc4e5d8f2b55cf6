"""What the readers of all formats share: bounds, and cells by column out of rows."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# bytes of a row of text, with all its cells: a larger file is named by its path
MAX_ROW = 2**27
# more columns make a model that nobody can build
MAX_COLUMNS = 10_000
# blank lines after one another: a few bytes of gzip hold millions
MAX_BLANK = 1_000_000

# cells by column
Columns = Mapping[str, list[Any]]
# (rows, columns) -> (number of rows, cells) of each chunk
Reader = Callable[[int, Sequence[str]], Iterator[tuple[int, Columns]]]
# one list of cells per row
Records = Callable[[], Iterator[list[Any]]]


def record_cells(
    records: Records, names: Sequence[str], rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    """Chunks of the chosen columns of rows that hold the cells of all `names`."""
    places = {name: index for index, name in enumerate(names)}
    indices = [places[name] for name in columns]
    stream = records()
    while chunk := list(itertools.islice(stream, rows)):
        yield (
            len(chunk),
            {name: [record[index] for record in chunk] for name, index in zip(columns, indices)},
        )


def check_width(name: str, columns: int) -> None:
    """Checks the number of columns.

    Raises:
        ValueError: there are more than `MAX_COLUMNS`.
    """
    if columns > MAX_COLUMNS:
        raise ValueError(
            f"{name} must have at most {MAX_COLUMNS:,} columns, received {columns:,} or more:"
            " leave some out, or join numbers to one column of lists"
        )


def named(header: Sequence[str]) -> list[str]:
    """The names of columns; one without a name gets pandas' name for it.

    It is usually the index that `DataFrame.to_csv` wrote.
    """
    return [name if name.strip() else f"Unnamed: {index}" for index, name in enumerate(header)]


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().partition("\n")[0]
