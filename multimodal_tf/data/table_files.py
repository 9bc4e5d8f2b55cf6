"""Reads the files that a table can be.

CSV, TSV, JSON Lines, JSON, Parquet, Excel's sheets, SQLite's tables, and a folder of files by
class. Every reader is bounded before it reads: a row of text by `MAX_ROW`, a table by
`MAX_COLUMNS`.
"""

import csv
import functools
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from multimodal_tf.data.table_formats import compression, json_objects
from multimodal_tf.data.table_formats.choice import PART
from multimodal_tf.data.table_formats.delimiter import (
    check_delimiter,
    find_delimiter,
    named_delimiter,
    shown,
)
from multimodal_tf.data.table_formats.encoding import check_encoding, find_encoding
from multimodal_tf.data.table_formats.excel import open_excel
from multimodal_tf.data.table_formats.folder import open_folder
from multimodal_tf.data.table_formats.lines import Lines
from multimodal_tf.data.table_formats.parquet import open_parquet
from multimodal_tf.data.table_formats.reader import (
    MAX_ROW,
    Reader,
    Records,
    check_width,
    named,
    record_cells,
)
from multimodal_tf.data.table_formats.sqlite import open_sqlite

_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_SQLITE = (".db", ".sqlite", ".sqlite3")
# files that hold several tables
_SEVERAL = (*_SQLITE, ".xlsx")
SUFFIXES = (*_TEXT, ".parquet", *_SEVERAL)
_COMPRESSED = tuple(compression.SUFFIXES)

# a cell may hold a whole file as base64; the default refuses 128 KB
csv.field_size_limit(MAX_ROW)


class Opened(NamedTuple):
    """The columns and the reader of a table, and how it is read where that is not plain."""

    columns: list[str]
    read: Reader
    note: str = ""


def open_file(
    path: pathlib.Path,
    part: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Opened:
    """The columns and the reader of a file or folder.

    Args:
        part: the name of a table in a file that may hold several; None: the only one.
        encoding: of a file of text; None: found.
        delimiter: of CSV and TSV; None: found.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no table, or is given an encoding or a delimiter that it cannot have.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}")
    # a pipe would block until it is written, and a table is read more than once
    if not path.is_dir() and not path.is_file():
        raise ValueError(f"{path} must be a folder or a regular file")
    suffix = "" if path.is_dir() else _suffix(path)
    for name, value, kinds in (
        ("encoding", encoding, _TEXT),
        ("delimiter", delimiter, (".csv", ".tsv")),
    ):
        if value is not None and suffix not in kinds:
            raise ValueError(
                f"{name} is for files that end in {', '.join(kinds)}, received {value!r} for {path}"
            )
    if part is not None and suffix not in _SEVERAL:
        raise ValueError(
            f"{PART}name is for files that end in {', '.join(_SEVERAL)}, received"
            f" {path}{PART}{part}"
        )
    if path.is_dir():
        return Opened(*open_folder(path))
    if suffix in _SQLITE:
        return Opened(*open_sqlite(path, part))
    if suffix == ".xlsx":
        return Opened(*open_excel(path, part))
    if suffix == ".parquet":
        return Opened(*open_parquet(path))
    return _open_text(path, suffix, encoding, delimiter)


def _suffix(path: pathlib.Path) -> str:
    """The kind of a file, in lower case and without that of its compression."""
    name = path.name.lower()
    for packed in _COMPRESSED:
        if name.endswith(tuple(suffix + packed for suffix in _TEXT)):
            name = name.removesuffix(packed)
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
    if suffix is None:
        raise ValueError(
            f"{path} must be a folder or end in one of {', '.join(SUFFIXES)}; those of text may be"
            f" compressed ({', '.join(_COMPRESSED)})"
        )
    return suffix


def _open_text(
    path: pathlib.Path, suffix: str, encoding: str | None, delimiter: str | None
) -> Opened:
    note = ""
    if encoding is None:
        encoding, note = find_encoding(path)
    else:
        encoding = check_encoding(encoding)
    if suffix == ".json":
        return Opened(*json_objects.open_json(path, encoding), note)
    if suffix in (".jsonl", ".ndjson"):
        return Opened(*json_objects.open_lines(path, encoding), note)
    usual = "\t" if suffix == ".tsv" else ","
    if delimiter is None:
        delimiter = find_delimiter(path, encoding, usual)
        if delimiter != usual:
            note = "; ".join(filter(None, [note, f"its cells are separated by {shown(delimiter)}"]))
    else:
        delimiter = check_delimiter(delimiter)
    records: Records = functools.partial(_csv_records, path, encoding, delimiter)
    header = next(records(), [])
    if not any(name.strip() for name in header):
        raise ValueError(f"{path} has no header: its first line must name the columns")
    columns = named(header)
    body = functools.partial(_body, records)
    return Opened(columns, functools.partial(record_cells, body, columns), note)


def _body(records: Records) -> Iterator[list[Any]]:
    return itertools.islice(records(), 1, None)


def _csv_records(path: pathlib.Path, encoding: str, delimiter: str) -> Iterator[list[str]]:
    """The header, then the rows, each as long as the header; blank lines are skipped.

    Not by pandas, which silently fills short lines, shifts long ones and renames repeated columns.
    """
    lines = Lines(path, encoding)
    stream = iter(lines)
    first = next(stream, "")
    # `sep=;`, a line of Excel's before the header
    skipped = named_delimiter(first) is not None
    reader = csv.reader(
        stream if skipped else itertools.chain([first], stream), delimiter=delimiter, strict=True
    )
    width, line = None, 1 + skipped
    divided = "" if delimiter in ",\t" else f", divided by {shown(delimiter)}"
    try:
        for record in reader:
            lines.end_row(is_blank=not record)
            if record:
                if width is None:
                    width = len(record)
                    check_width(str(path), width)
                if len(record) != width:
                    raise ValueError(
                        f"{path}, line {line}: every line must have {width} cells as the header"
                        f" has, received {len(record)}{divided}"
                    )
                yield record
            line = reader.line_num + 1 + skipped
    except csv.Error as error:
        # the csv module's message is about opening the file
        reason = "a carriage return outside quotes" if "new-line" in str(error) else error
        raise ValueError(f"{path}, line {line}: {reason}") from error
