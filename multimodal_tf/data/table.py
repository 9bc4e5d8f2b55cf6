"""Any table as a stream of chunks: CSV, TSV, JSON Lines, Parquet, a pandas DataFrame, or a folder
of files by class.

Cells stay what they were written as: a CSV cell is text ("007" stays "007"), a JSON or Parquet cell
keeps its type. One rule says what is missing (`cells.is_missing`: None, NaN, NaT, empty bytes, text
of white space alone); a chunk holds None there. The texts "NA", "null" and "nan" are not missing,
because they can be real (a country code, a surname); read as a number, "nan" is NaN and so missing
all the same.
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
from collections.abc import Callable, Iterable, Iterator

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

Columns = dict[str, list]
Reader = Callable[[int, list[str]], Iterator[tuple[int, Columns]]]

# a cell may hold a whole file as base64; the default refuses 128 KB
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that can be read again and again, a chunk at a time.

    Attributes:
        name: what messages call it.
        root: the folder that relative paths in its cells start from.
        columns: names of the columns, in the table's order.
    """

    name: str
    root: pathlib.Path
    columns: list[str]
    read: Reader = dataclasses.field(repr=False)

    def chunks(self, rows=1000, columns=None) -> Iterator[pandas.DataFrame]:
        """Streams the table; memory holds one chunk, so choose few `rows` where cells hold whole
        files.

        Args:
            rows: int > 0. Rows a chunk, fewer in the last.
            columns: names to read, in this order; None reads all, `[]` only counts.

        Returns:
            Iterator of DataFrames of Python objects, None where missing, with a RangeIndex of the
            row's number in the table, from 0.

        Raises:
            ValueError: a column is not there, or (while reading) the file is not what its name
            says.

        Example:
            >>> table = read_table(pandas.DataFrame({"title": ["owl", ""], "price": [1.5, float("nan")]}))
            >>> [chunk.values.tolist() for chunk in table.chunks(rows=1)]
            [[['owl', 1.5]], [[None, None]]]
        """
        if rows < 1:
            raise ValueError(f"a chunk must have at least 1 row, received rows={rows}")
        return self._frames(
            rows, self.columns if columns is None else [self.column(name) for name in columns]
        )

    def column(self, name) -> str:
        """The name itself, if it is a column's.

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

    def _frames(self, rows, columns):
        start = 0
        for count, cells in self.read(rows, columns):
            data = {
                name: pandas.Series(
                    [None if is_missing(cell) else cell for cell in cells[name]], dtype=object
                )
                for name in columns
            }
            frame = pandas.DataFrame(data, columns=columns, index=range(count))
            frame.index = pandas.RangeIndex(start, start + count)
            start += count
            yield frame


def read_table(source, root=None) -> Table:
    """Opens a table and checks that it has a header and a row.

    Args:
        source: path of a file with one of the `SUFFIXES`; or of a folder of files by class, which
            gives the columns `file` (path relative to the folder) and `label` (name of the folder's
            own folder that holds the file), sorted, without hidden files and without files that lie
            beside the class folders; or a pandas DataFrame.
        root: folder that relative paths in cells start from; None: the file's own folder (a
        DataFrame: the current folder).

    Returns:
        `Table`. Nothing of it is in memory but a DataFrame that the caller gave.

    Raises:
        FileNotFoundError: there is nothing at `source`.
        ValueError: unknown suffix; no rows, no header, a column twice or not in UTF-8, a line with
            more or fewer cells than the header, a line that is not JSON, or not Parquet. The
            sentence names the file and, where there are lines, the line.
    """
    if isinstance(source, pandas.DataFrame):
        columns, reader = (
            [str(name) for name in source.columns],
            functools.partial(_frame_cells, source),
        )
        table = Table("the DataFrame", _folder(root or "."), columns, reader)
    elif isinstance(source, (str, os.PathLike)):
        path = pathlib.Path(source)
        columns, reader = _open(path)
        table = Table(
            str(path), _folder(root or (path if path.is_dir() else path.parent)), columns, reader
        )
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


def _open(path):
    """The columns and the reader of a file or folder."""
    if path.is_dir():
        return [FILE, LABEL], functools.partial(
            _record_cells, functools.partial(_folder_records, path), [FILE, LABEL]
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}")
    # a pipe would wait for its writer for ever, and a table is read more than once
    if not path.is_file():
        raise ValueError(f"{path} must be a folder or a regular file")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{path} must be a folder or end in one of {', '.join(SUFFIXES)}")
    if kind == "parquet":
        return _parquet(path).schema_arrow.names, functools.partial(_parquet_cells, path)
    if kind in ("jsonl", "ndjson"):
        # any line may bring a new key
        columns = list(dict.fromkeys(itertools.chain.from_iterable(_objects(path))))
        return columns, functools.partial(
            _record_cells, functools.partial(_json_records, path, columns), columns
        )
    records = functools.partial(_csv_records, path, "\t" if kind == "tsv" else ",")
    header = next(records(), [])
    if not any(name.strip() for name in header):
        raise ValueError(f"{path} has no header: its first line must name the columns")
    # A column without a name is called as pandas calls it: it is usually the index that
    # `DataFrame.to_csv` wrote.
    columns = [name if name.strip() else f"Unnamed: {index}" for index, name in enumerate(header)]
    return columns, functools.partial(_record_cells, functools.partial(_body, records), columns)


def _body(records):
    return itertools.islice(records(), 1, None)


def _check_columns(table):
    if not table.columns:
        raise ValueError(f"{table.name} has no columns")
    seen: set[str] = set()
    for name in table.columns:
        if name != name.encode("utf-8", "replace").decode():
            raise ValueError(f"{table.name} is not UTF-8: it has a column named {name!r}")
        if name in seen:
            raise ValueError(f"{table.name} has two columns named {name!r}: rename one")
        seen.add(name)


def _folder(path):
    return pathlib.Path(path).absolute()


def _listed(names, limit=20):
    return ", ".join(map(repr, names[:limit])) + (
        f" and {len(names) - limit} more" if len(names) > limit else ""
    )


# Readers: (rows, columns) -> (number of rows, {column: cells}) a chunk.


def _frame_cells(frame, rows, columns):
    positions = {str(name): position for position, name in enumerate(frame.columns)}
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows]
        yield (
            len(part),
            {name: part.iloc[:, positions[name]].astype(object).tolist() for name in columns},
        )


def _parquet_cells(path, rows, columns):
    try:
        # Without a cell at a time through pandas an integer column with gaps would come as floats:
        # 7 as 7.0.
        for batch in _parquet(path).iter_batches(batch_size=rows, columns=columns):
            yield batch.num_rows, {name: _arrow_cells(batch.column(name)) for name in columns}
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {_first_line(error)}") from error


def _arrow_cells(column):
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        # as in `_lines`
        cells = column.cast(pyarrow.large_binary()).to_pylist()
        return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in cells]


def _parquet(path):
    try:
        # else it reads whole row groups ahead
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file: {_first_line(error)}") from error


def _record_cells(records, names, rows, columns):
    places = [names.index(name) for name in columns]
    stream = records()
    while chunk := list(itertools.islice(stream, rows)):
        yield (
            len(chunk),
            {name: [record[place] for record in chunk] for name, place in zip(columns, places)},
        )


# Records: one list of cells a row.


def _csv_records(path, delimiter) -> Iterator[list[str]]:
    """The header, then the rows, each as long as the header; blank lines are passed over.

    The reader of the standard library, because pandas fills a short line, shifts a long one and
    renames a repeated column in silence.
    """
    reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    width, line = None, 1
    try:
        for record in reader:
            if record:
                width = len(record) if width is None else width
                if len(record) != width:
                    raise ValueError(
                        f"{path}, line {line}: every line must have {width} cells as the header has, received {len(record)}"
                    )
                yield record
            line = reader.line_num + 1
    except csv.Error as error:
        # the csv module tells how to open the file
        reason = "a carriage return outside quotes" if "new-line" in str(error) else error
        raise ValueError(f"{path}, line {line}: {reason}") from error


def _json_records(path, columns):
    return ([row.get(name) for name in columns] for row in _objects(path))


def _objects(path) -> Iterator[dict]:
    for number, line in enumerate(_lines(path), start=1):
        if line.isspace():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, line {number}: every line must be a JSON object, received {line.strip():.40}"
            )
        yield row


def _object(pairs):
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise ValueError(f"the key {twice!r} stands twice")
    return result


def _lines(path) -> Iterator[str]:
    """Lines of a UTF-8 file, with their ends; a byte order mark is dropped.

    A byte that is not UTF-8 becomes a lone surrogate, which no text may hold: its cell is rejected
    (`cells.read_cell`), not the table.
    """
    for number, line in enumerate(_raw_lines(path), start=1):
        yield line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")


def _raw_lines(path) -> Iterable[bytes]:
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
        try:
            yield from file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is not a readable gzip file: {_first_line(error)}") from error


def _folder_records(root):
    """Sorted by class, then by folder and file name, so that the table is the same on every
    machine.
    """
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


def _raise(error):
    raise error


def _first_line(error):
    return str(error).strip().partition("\n")[0]
