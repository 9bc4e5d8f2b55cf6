"""A table as a stream of chunks: CSV, TSV, JSON Lines, Parquet, DataFrame, or a folder of files.

Cells keep the type they were written with: a CSV cell is text ("007" stays "007"), a JSON or
Parquet cell keeps its type. `is_missing` says what is missing (None, NaN, NaT, empty bytes, white
space); a chunk holds None there. The texts "NA", "null" and "nan" are not missing, because they
can be real values (a country code, a surname); read as a number, "nan" is NaN and so missing.
"""

import csv
import dataclasses
import difflib
import functools
import gzip
import itertools
import json
import os
import pathlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import pandas
import pyarrow
import pyarrow.parquet

from multimodal_tf.data.kinds.cell import is_missing

SUFFIXES = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
    ".csv.gz",
    ".tsv.gz",
    ".jsonl.gz",
    ".ndjson.gz",
    ".parquet",
)
# the columns of a folder of files by class
FILE, LABEL = "file", "label"

# cells by column
Columns = Mapping[str, list[Any]]
# (rows, columns) -> (number of rows, cells) of each chunk
Reader = Callable[[int, Sequence[str]], Iterator[tuple[int, Columns]]]
# one list of cells per row
Records = Callable[[], Iterator[list[Any]]]

# a cell may hold a whole file as base64; the default refuses 128 KB
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that can be read repeatedly, a chunk at a time.

    Attributes:
        name: its name in messages.
        root: the folder that relative paths in its cells start from.
        columns: names of the columns, in the table's order.
    """

    name: str
    root: pathlib.Path
    columns: list[str]
    read: Reader = dataclasses.field(repr=False)

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

    def column(self, name: str) -> str:
        """Returns the name, if it is a column's.

        Raises:
            ValueError: it is not; the message names a similar one.
        """
        if name in self.columns:
            return name
        similar = difflib.get_close_matches(str(name), self.columns, n=1)
        hint = (
            f"did you mean {similar[0]!r}?"
            if similar
            else f"its columns are {_listed(self.columns)}"
        )
        raise ValueError(f"{self.name} has no column {name!r}: {hint}")

    def _frames(self, rows: int, columns: Sequence[str]) -> Iterator[pandas.DataFrame]:
        start = 0
        for count, cells in self.read(rows, columns):
            data = {
                name: pandas.Series(
                    [None if is_missing(cell) else cell for cell in cells[name]], dtype=object
                )
                for name in columns
            }
            frame = pandas.DataFrame(data, columns=list(columns), index=range(count))
            frame.index = pandas.RangeIndex(start, start + count)
            start += count
            yield frame


def read_table(
    source: str | os.PathLike[str] | pandas.DataFrame, root: str | os.PathLike[str] | None = None
) -> Table:
    """Opens a table and checks that it has a header and a row.

    Args:
        source: path of a file with one of the `SUFFIXES`, or of a folder of files by class, or a
            pandas DataFrame. A folder gives the columns `file` (path relative to it) and `label`
            (name of its subfolder that holds the file), sorted; hidden files and files outside
            subfolders are left out.
        root: folder that relative paths in cells start from; None: the file's own folder, or for a
            DataFrame the current one.

    Returns:
        `Table`. Only the caller's DataFrame, if any, is in memory.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: unknown suffix; no rows or header; a repeated column or one that is not UTF-8;
            a line of another length than the header, or that is not JSON; not Parquet. The message
            names the file and the line.

    Example:
        >>> read_table(pandas.DataFrame({"title": ["red shoe"], "label": ["shoe"]})).columns
        ['title', 'label']
    """
    if isinstance(source, pandas.DataFrame):
        columns = [str(name) for name in source.columns]
        table = Table(
            "the DataFrame",
            _folder(root or "."),
            columns,
            functools.partial(_frame_cells, source),
        )
    elif isinstance(source, (str, os.PathLike)):
        path = pathlib.Path(source)
        columns, reader = _open(path)
        folder = _folder(root or (path if path.is_dir() else path.parent))
        table = Table(str(path), folder, columns, reader)
    else:
        raise ValueError(
            f"a table must be a path or a pandas DataFrame, received {type(source).__name__}"
        )
    _check_columns(table)
    if next(table.chunks(rows=1), None) is None:
        hint = (
            ": a folder must hold one folder of files for each class"
            if pathlib.Path(table.name).is_dir()
            else ""
        )
        raise ValueError(f"{table.name} has no rows{hint}")
    return table


def _open(path: pathlib.Path) -> tuple[list[str], Reader]:
    """The columns and the reader of a file or folder."""
    if path.is_dir():
        return [FILE, LABEL], functools.partial(
            _record_cells, functools.partial(_folder_records, path), [FILE, LABEL]
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}")
    # a pipe would block until it is written, and a table is read more than once
    if not path.is_file():
        raise ValueError(f"{path} must be a folder or a regular file")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{path} must be a folder or end in one of {', '.join(SUFFIXES)}")
    if kind == "parquet":
        return _parquet(path).schema_arrow.names, functools.partial(_parquet_cells, path)
    if kind in ("jsonl", "ndjson"):
        # any line may have a new key
        columns = list(dict.fromkeys(itertools.chain.from_iterable(_objects(path))))
        return columns, functools.partial(
            _record_cells, functools.partial(_json_records, path, columns), columns
        )
    records = functools.partial(_csv_records, path, "\t" if kind == "tsv" else ",")
    header = next(records(), [])
    if not any(name.strip() for name in header):
        raise ValueError(f"{path} has no header: its first line must name the columns")
    # A column without a name gets pandas' name for it: it is usually the index that
    # `DataFrame.to_csv` wrote.
    columns = [name if name.strip() else f"Unnamed: {index}" for index, name in enumerate(header)]
    return columns, functools.partial(_record_cells, functools.partial(_body, records), columns)


def _body(records: Records) -> Iterator[list[Any]]:
    return itertools.islice(records(), 1, None)


def _check_columns(table: Table) -> None:
    if not table.columns:
        raise ValueError(f"{table.name} has no columns")
    seen: set[str] = set()
    for name in table.columns:
        if name != name.encode("utf-8", "replace").decode():
            raise ValueError(f"{table.name} is not UTF-8: it has a column named {name!r}")
        if name in seen:
            raise ValueError(f"{table.name} has two columns named {name!r}: rename one")
        seen.add(name)


def _folder(path: str | os.PathLike[str]) -> pathlib.Path:
    return pathlib.Path(path).absolute()


def _listed(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


# Readers


def _frame_cells(
    frame: pandas.DataFrame, rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    positions = {str(name): position for position, name in enumerate(frame.columns)}
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows]
        yield (
            len(part),
            {name: part.iloc[:, positions[name]].astype(object).tolist() for name in columns},
        )


def _parquet_cells(
    path: pathlib.Path, rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    try:
        # not through pandas, which turns integers into floats where a cell is missing
        for batch in _parquet(path).iter_batches(batch_size=rows, columns=list(columns)):
            yield batch.num_rows, {name: _arrow_cells(batch.column(name)) for name in columns}
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {_first_line(error)}") from error


def _arrow_cells(column: pyarrow.Array) -> list[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        # as in `_lines`
        cells = column.cast(pyarrow.large_binary()).to_pylist()
        return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in cells]


def _parquet(path: pathlib.Path) -> pyarrow.parquet.ParquetFile:
    try:
        # by default whole row groups are read ahead
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file: {_first_line(error)}") from error


def _record_cells(
    records: Records, names: Sequence[str], rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    indices = [names.index(name) for name in columns]
    stream = records()
    while chunk := list(itertools.islice(stream, rows)):
        yield (
            len(chunk),
            {name: [record[index] for record in chunk] for name, index in zip(columns, indices)},
        )


# Records


def _csv_records(path: pathlib.Path, delimiter: str) -> Iterator[list[str]]:
    """The header, then the rows, each as long as the header; blank lines are skipped.

    Not by pandas, which silently fills short lines, shifts long ones and renames repeated columns.
    """
    reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    width, line = None, 1
    try:
        for record in reader:
            if record:
                width = len(record) if width is None else width
                if len(record) != width:
                    raise ValueError(
                        f"{path}, line {line}: every line must have {width} cells as the header"
                        f" has, received {len(record)}"
                    )
                yield record
            line = reader.line_num + 1
    except csv.Error as error:
        # the csv module's message is about opening the file
        reason = "a carriage return outside quotes" if "new-line" in str(error) else error
        raise ValueError(f"{path}, line {line}: {reason}") from error


def _json_records(path: pathlib.Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    return ([row.get(name) for name in columns] for row in _objects(path))


def _objects(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), start=1):
        if line.isspace():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, line {number}: every line must be a JSON object, received"
                f" {line.strip():.40}"
            )
        yield row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise ValueError(f"the key {repeated!r} is repeated")
    return result


def _lines(path: pathlib.Path) -> Iterator[str]:
    """Lines of a UTF-8 file, with their ends and without a byte order mark.

    A byte that is not UTF-8 becomes a lone surrogate, which no text may hold: `ingest` rejects
    its cell, not the table.
    """
    for number, line in enumerate(_raw_lines(path), start=1):
        yield line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")


def _raw_lines(path: pathlib.Path) -> Iterable[bytes]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
        try:
            yield from file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is not a readable gzip file: {_first_line(error)}") from error


def _folder_records(root: pathlib.Path) -> Iterator[list[Any]]:
    """Sorted by class, folder and file name, so that the table is the same on every machine."""
    folders = sorted(
        entry.name
        for entry in os.scandir(root)
        if entry.is_dir() and not entry.name.startswith(".")
    )
    for label in folders:
        for folder, inner, files in os.walk(root / label, onerror=_raise):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    yield [(pathlib.Path(folder) / name).relative_to(root).as_posix(), label]


def _raise(error: OSError) -> NoReturn:
    raise error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
