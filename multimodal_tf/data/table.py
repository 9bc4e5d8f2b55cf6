"""A table as a stream of chunks: a file of any format, a DataFrame, or a folder of files.

Cells keep the type they were written with: a CSV cell is text ("007" stays "007"), a JSON or
Parquet cell keeps its type. `is_missing` says what is missing (None, NaN, NaT, empty bytes, white
space); a chunk holds None there, and a `BrokenCell` where no Python value can hold the cell. The
texts "NA", "null" and "nan" are not missing unless `Table.with_missing` names them, because they
can be real values (a country code, a surname); read as a number, "nan" is NaN and so missing.
"""

import collections
import dataclasses
import difflib
import functools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas

from multimodal_tf.data import table_files
from multimodal_tf.data.codecs.cell import unreadable
from multimodal_tf.data.kinds.cell import clean, is_gap
from multimodal_tf.data.table_formats.choice import divided
from multimodal_tf.data.table_formats.reader import Columns, Reader, check_width


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that can be read repeatedly, a chunk at a time.

    Attributes:
        name: its name in messages.
        root: the folder that relative paths in its cells start from.
        columns: names of the columns, in the table's order.
        note: how it is read where that is not plain: its encoding, its delimiter; "" otherwise.
        missing: words that stand for gaps, in the spelling of `Config.missing`.
        given: the arguments of `read_table` by which it is read, besides its name and root.
    """

    name: str
    root: pathlib.Path
    columns: list[str]
    read: Reader = dataclasses.field(repr=False)
    note: str = ""
    missing: frozenset[str] = frozenset()
    given: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def chunks(
        self, rows: int = 1000, columns: Sequence[str] | None = None
    ) -> Iterator[pandas.DataFrame]:
        """Streams the table; memory holds one chunk.

        Args:
            rows: at least 1. Rows per chunk, fewer in the last; choose few where cells hold whole
                files.
            columns: names to read, in this order; None reads all, `[]` only counts.

        Returns:
            Iterator of DataFrames of Python objects, None where missing. The index is the row's
            number in the table, from 0.

        Raises:
            ValueError: a column does not exist, or (while reading) the file is malformed.

        Example:
            >>> frame = pandas.DataFrame({"title": ["owl", ""], "price": [1.5, float("nan")]})
            >>> [chunk.values.tolist() for chunk in read_table(frame).chunks(rows=1)]
            [[['owl', 1.5]], [[None, None]]]
        """
        if rows < 1:
            raise ValueError(f"a chunk must have at least 1 row, received rows={rows}")
        return self._frames(
            rows, self.columns if columns is None else [self.column(name) for name in columns]
        )

    def with_missing(self, words: Iterable[str]) -> "Table":
        """The same table, with these words for gaps: their cells are missing.

        Example:
            >>> frame = pandas.DataFrame({"price": ["1.5", "NA"]})
            >>> next(read_table(frame).with_missing(["NA"]).chunks()).values.tolist()
            [['1.5'], [None]]
        """
        return dataclasses.replace(self, missing=frozenset(words))

    def column(self, name: str | int) -> str:
        """Returns the name as text, if it is a column's.

        Raises:
            ValueError: it is not; the message names a similar one.
        """
        name = str(name)
        if name in self.columns:
            return name
        similar = difflib.get_close_matches(name, self.columns, n=1)
        hint = (
            f"did you mean {similar[0]!r}?"
            if similar
            else f"its columns are {_listed(self.columns)}"
        )
        raise ValueError(f"{self.name} has no column {name!r}: {hint}")

    def _cell(self, value: Any) -> Any:
        value = clean(value)
        return None if is_gap(value, self.missing) else value

    def _frames(self, rows: int, columns: Sequence[str]) -> Iterator[pandas.DataFrame]:
        start = 0
        for count, cells in self.read(rows, columns):
            # a row group of a Parquet file may be empty
            if not count:
                continue
            # a series for each of thousands of columns would take most of the time
            data = np.empty([len(columns), count], dtype=object)
            for row, name in zip(data, columns):
                row[:] = np.fromiter(map(self._cell, cells[name]), dtype=object, count=count)
            index = pandas.RangeIndex(start, start + count)
            frame = pandas.DataFrame(data.T, index, list(columns), dtype=object)
            start += count
            yield frame


def read_table(
    source: str | os.PathLike[str] | pandas.DataFrame,
    root: str | os.PathLike[str] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Table:
    """Opens a table and checks that it has a header and a row.

    Args:
        source: path of a file with one of the `SUFFIXES`, or of a folder of files by class, or a
            pandas DataFrame. Of a database or workbook that holds several tables,
            "shop.db::prices" names one. A folder gives the columns `file` (path relative to it)
            and `label` (name of its subfolder that holds the file), sorted; hidden files and files
            outside subfolders are left out, links are followed. Where its subfolders are called
            train, test and the like, they are a third column `split`, and the labels are the
            folders below; files in no such folder have no label.
        root: folder that relative paths in cells start from; None: the file's own folder, or for a
            DataFrame the current one.
        encoding: of a file of text, such as "cp1252"; None: found where it is sure (a byte order
            mark, UTF-16, UTF-8, Windows-1252 with words of one language).
        delimiter: of a CSV or TSV, such as ";"; None: found where one alone divides all lines into
            as many cells as the header has, or named by a first line such as `sep=;`.

    Returns:
        `Table`. Only the caller's DataFrame, if any, is in memory.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: unknown suffix; an encoding or a delimiter in doubt; no rows or header; a
            repeated column or one that is not UTF-8; a line of another length than the header, or
            that is not JSON; not Parquet. The message names the file and the line.

    Example:
        >>> read_table(pandas.DataFrame({"title": ["red shoe"], "label": ["shoe"]})).columns
        ['title', 'label']
    """
    options = {"encoding": encoding, "delimiter": delimiter}
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(source, pandas.DataFrame):
        table = _of_frame(source, _folder(root or "."), given)
    elif isinstance(source, (str, os.PathLike)):
        path, part = divided(pathlib.Path(source))
        columns, reader, note = table_files.open_file(path, part, **given)
        folder = _folder(root or (path if path.is_dir() else path.parent))
        table = Table(str(pathlib.Path(source)), folder, columns, reader, note, given=given)
    else:
        raise ValueError(
            f"a table must be a path or a pandas DataFrame, received {type(source).__name__}"
        )
    _check_columns(table)
    if next(table.chunks(rows=1, columns=[]), None) is None:
        hint = (
            ": a folder must hold one folder of files for each class"
            if pathlib.Path(table.name).is_dir()
            else ""
        )
        raise ValueError(f"{table.name} has no rows{hint}")
    return table


def as_table(source: "Table | str | os.PathLike[str] | pandas.DataFrame") -> Table:
    """A table as it is, or as `read_table` opens it.

    Raises:
        FileNotFoundError, ValueError: as `read_table`.

    Example:
        >>> as_table(pandas.DataFrame({"title": ["red shoe"]})).columns
        ['title']
    """
    return source if isinstance(source, Table) else read_table(source)


def column_names(frame: pandas.DataFrame) -> list[str]:
    """The names of a DataFrame's columns as text: a column may be called 0.

    Raises:
        ValueError: two have one name.

    Example:
        >>> column_names(pandas.DataFrame({0: [1], "title": ["owl"]}))
        ['0', 'title']
    """
    names = [str(name) for name in frame.columns]
    _check_unique("the DataFrame", names)
    return names


def _check_unique(table: str, names: Sequence[str]) -> None:
    counts = collections.Counter(names)
    twice = next((name for name in names if counts[name] > 1), None)
    if twice is not None:
        raise ValueError(f"{table} has two columns named {twice!r}: rename one")


def _of_frame(frame: pandas.DataFrame, root: pathlib.Path, options: Mapping[str, str]) -> Table:
    if options:
        raise ValueError(f"{next(iter(options))} is for files of text, received a DataFrame")
    read = functools.partial(_frame_cells, frame)
    return Table("the DataFrame", root, column_names(frame), read)


def _check_columns(table: Table) -> None:
    if not table.columns:
        raise ValueError(f"{table.name} has no columns")
    check_width(table.name, len(table.columns))
    for name in table.columns:
        if name != name.encode("utf-8", "replace").decode():
            raise ValueError(f"{table.name} is not UTF-8: it has a column named {name!r}")
    _check_unique(table.name, table.columns)


def _folder(path: str | os.PathLike[str]) -> pathlib.Path:
    return pathlib.Path(path).absolute()


def _listed(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


def _frame_cells(
    frame: pandas.DataFrame, rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    positions = {name: position for position, name in enumerate(column_names(frame))}
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows]
        yield (
            len(part),
            {name: _series_cells(part.iloc[:, positions[name]]) for name in columns},
        )


def _series_cells(series: pandas.Series) -> list[Any]:
    try:
        return list(series.astype(object).tolist())
    # an extension type of any library may raise anything
    except Exception:  # noqa: BLE001
        return [_element(series, index) for index in range(len(series))]


def _element(series: pandas.Series, index: int) -> Any:
    try:
        return series.iloc[index]
    # as above
    except Exception as error:  # noqa: BLE001
        return unreadable(f"type {series.dtype!s:.60}", error)
