"""Reads the files that a table can be: CSV, TSV, JSON Lines, Parquet, a folder of files by class.

Every reader is bounded before it reads: a row of text by `MAX_ROW`, a table by `MAX_COLUMNS`.
"""

import collections
import csv
import functools
import gzip
import itertools
import json
import pathlib
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.table_formats.folder import open_folder
from multimodal_tf.data.table_formats.parquet import open_parquet
from multimodal_tf.data.table_formats.reader import (
    MAX_ROW,
    Reader,
    Records,
    check_width,
    first_line,
    record_cells,
)

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
# lists and maps in one another, in a line of JSON: far fewer than Python's own limit
_DEEPEST = 100
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

# a cell may hold a whole file as base64; the default refuses 128 KB
csv.field_size_limit(MAX_ROW)


def open_file(path: pathlib.Path) -> tuple[list[str], Reader]:
    """The columns and the reader of a file or folder."""
    if path.is_dir():
        return open_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}")
    # a pipe would block until it is written, and a table is read more than once
    if not path.is_file():
        raise ValueError(f"{path} must be a folder or a regular file")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{path} must be a folder or end in one of {', '.join(SUFFIXES)}")
    if kind == "parquet":
        return open_parquet(path)
    if kind in ("jsonl", "ndjson"):
        # any line may have a new key
        columns = _keys(path)
        return columns, functools.partial(
            record_cells, functools.partial(_json_records, path, columns), columns
        )
    records: Records = functools.partial(_csv_records, path, "\t" if kind == "tsv" else ",")
    header = next(records(), [])
    if not any(name.strip() for name in header):
        raise ValueError(f"{path} has no header: its first line must name the columns")
    # A column without a name gets pandas' name for it: it is usually the index that
    # `DataFrame.to_csv` wrote.
    columns = [name if name.strip() else f"Unnamed: {index}" for index, name in enumerate(header)]
    return columns, functools.partial(record_cells, functools.partial(_body, records), columns)


def _keys(path: pathlib.Path) -> list[str]:
    """The keys of all lines in order of appearance."""
    keys: dict[str, None] = {}
    for row in _objects(path):
        keys.update(dict.fromkeys(row))
        check_width(str(path), len(keys))
    return list(keys)


def _body(records: Records) -> Iterator[list[Any]]:
    return itertools.islice(records(), 1, None)


# Records


def _csv_records(path: pathlib.Path, delimiter: str) -> Iterator[list[str]]:
    """The header, then the rows, each as long as the header; blank lines are skipped.

    Not by pandas, which silently fills short lines, shifts long ones and renames repeated columns.
    """
    lines = _Lines(path)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    width, line = None, 1
    try:
        for record in reader:
            lines.bytes = 0
            if record:
                if width is None:
                    width = len(record)
                    check_width(str(path), width)
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
    lines = _Lines(path)
    for number, line in enumerate(lines, start=1):
        lines.bytes = 0
        if line.isspace():
            continue
        try:
            row = _json(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, line {number}: every line must be a JSON object, received"
                f" {line.strip():.40}"
            )
        yield row


def _json(line: str) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_object)
    except json.JSONDecodeError:
        raise
    # what is nested too deeply, or has more digits than Python converts, spoils its cell alone
    except (RecursionError, ValueError):
        return json.loads(_shallow(line), object_pairs_hook=_object, parse_int=_whole_number)


def _shallow(line: str) -> str:
    """JSON without what is nested more than `_DEEPEST` deep: empty lists stand there.

    The cell is still nested too deeply for any kind of input, and so broken.
    """
    depth = keep = 0
    parts = []
    for found in _TOKEN.finditer(line):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == _DEEPEST:
                parts.append(line[keep : found.start()])
                keep = len(line)
        elif found[0] in ("]", "}"):
            if depth == _DEEPEST:
                parts.append("[]")
                keep = found.end()
            depth -= 1
    return "".join([*parts, line[keep:]])


def _whole_number(text: str) -> int | BrokenCell:
    try:
        return int(text)
    except ValueError as error:
        return BrokenCell(f"not a number: {error}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {repeated!r} is repeated")
    return result


class _Lines:
    """Lines of a UTF-8 file, with their ends and without a byte order mark.

    A byte that is not UTF-8 becomes a lone surrogate, which no text may hold: `ingest` rejects
    its cell, not the table.

    Attributes:
        bytes: read since this was last set to 0, as it is at the end of every row.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.bytes = 0
        self._path = path

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._raw_lines(), start=1):
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")

    def _raw_lines(self) -> Iterator[bytes]:
        path = self._path
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            try:
                while line := file.readline(MAX_ROW - self.bytes + 1):
                    self.bytes += len(line)
                    if self.bytes > MAX_ROW:
                        raise ValueError(
                            f"{path}: a row must have at most {MAX_ROW:,} bytes, received more: is"
                            " a quote not closed? Large files are named by their path"
                        )
                    yield line
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise ValueError(
                    f"{path} is not a readable gzip file: {first_line(error)}"
                ) from error
