"""A table or view of an SQLite database."""

import contextlib
import functools
import pathlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from multimodal_tf.data.table_formats.choice import chosen
from multimodal_tf.data.table_formats.reader import (
    MAX_ROW,
    Reader,
    check_width,
    first_line,
    record_cells,
)

_NAMES = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
)


def open_sqlite(path: pathlib.Path, part: str | None) -> tuple[list[str], Reader]:
    """The columns and the reader of a table or view.

    Args:
        part: its name; None: the only one.

    Raises:
        ValueError: it is no database, or has several tables, or none of this name.
    """
    with _connected(path) as connection:
        names = [name for (name,) in connection.execute(_NAMES)]
        query = _query(chosen(path, names, part, "tables and views"))
        columns = [each[0] for each in connection.execute(f"{query} LIMIT 0").description]
    check_width(str(path), len(columns))
    records = functools.partial(_records, path, query)
    # `read_table` refuses columns of one name
    return columns, functools.partial(record_cells, records, columns)


def _query(name: str) -> str:
    # All columns in each query: of some alone, an index may give the rows in another order.
    # A name cannot be a parameter, and is quoted.
    return 'SELECT * FROM "{}"'.format(name.replace('"', '""'))


def _records(path: pathlib.Path, query: str) -> Iterator[list[Any]]:
    with _connected(path) as connection:
        for row in connection.execute(query):
            size = sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
            if size > MAX_ROW:
                raise ValueError(
                    f"{path}: a row must have at most {MAX_ROW:,} bytes, received {size:,}:"
                    " large files are named by their path"
                )
            yield list(row)


@contextlib.contextmanager
def _connected(path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    """Opens a database to read alone; its errors are one sentence."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW)
            # views and defaults of the file call no function with side effects
            connection.execute("PRAGMA trusted_schema = OFF")
            # as in files of text: what is not UTF-8 spoils its cell alone
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            yield connection
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ValueError(
                f"{path} is locked by a program that writes to it: try again when it is done"
            ) from error
        raise ValueError(_unreadable(path, error)) from error
    # the latter of names and messages that are not UTF-8
    except (sqlite3.Error, UnicodeError) as error:
        raise ValueError(_unreadable(path, error)) from error


def _unreadable(path: pathlib.Path, error: Exception) -> str:
    return f"{path} is not a readable SQLite file: {first_line(error)}"
