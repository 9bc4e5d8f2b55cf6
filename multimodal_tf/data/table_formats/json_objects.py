"""JSON Lines, and JSON files that hold a list of objects."""

import collections
import functools
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.table_formats.compression import opened
from multimodal_tf.data.table_formats.lines import Lines
from multimodal_tf.data.table_formats.reader import Reader, check_width, record_cells

# bytes of a JSON file, which is read as a whole
MAX_JSON = 2**27
# lists and maps in one another, in a line of JSON: far fewer than Python's own limit
_DEEPEST = 100
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

Objects = Callable[[], Iterable[dict[str, Any]]]


def open_lines(path: pathlib.Path, encoding: str) -> tuple[list[str], Reader]:
    """The columns and the reader of a file of JSON Lines.

    Raises:
        ValueError: a line is no JSON object.
    """
    return _opened(path, functools.partial(_lines, path, encoding))


def open_json(path: pathlib.Path, encoding: str) -> tuple[list[str], Reader]:
    """The columns and the reader of a JSON file: a list of objects, or JSON Lines all the same.

    Raises:
        ValueError: it holds something else, or is larger than `MAX_JSON`.
    """
    if _has_lines(path, encoding):
        return open_lines(path, encoding)
    return _opened(path, functools.partial(_whole, path, encoding))


def _opened(path: pathlib.Path, objects: Objects) -> tuple[list[str], Reader]:
    # any row may have a new key
    keys: dict[str, None] = {}
    for row in objects():
        keys.update(dict.fromkeys(row))
        check_width(str(path), len(keys))
    columns = list(keys)
    records = functools.partial(_records, objects, columns)
    return columns, functools.partial(record_cells, records, columns)


def _records(objects: Objects, columns: Sequence[str]) -> Iterator[list[Any]]:
    return ([row.get(name) for name in columns] for row in objects())


def _lines(path: pathlib.Path, encoding: str) -> Iterator[dict[str, Any]]:
    lines = Lines(path, encoding)
    for number, line in enumerate(lines, start=1):
        lines.end_row(is_blank=line.isspace())
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


def _has_lines(path: pathlib.Path, encoding: str) -> bool:
    """Whether a file is JSON Lines: its first two lines are objects."""
    lines = Lines(path, encoding)
    found = 0
    for line in lines:
        if line.isspace():
            continue
        if not line.lstrip().startswith("{") or not line.rstrip().endswith("}"):
            return False
        try:
            found += isinstance(_json(line), dict)
        except ValueError:
            return False
        if found == 2:
            return True
        lines.bytes = 0
    return False


def _whole(path: pathlib.Path, encoding: str) -> list[dict[str, Any]]:
    with opened(path) as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ValueError(
            f"{path}: a JSON file must have at most {MAX_JSON:,} bytes, since it is read as a"
            " whole, received more: write JSON Lines (.jsonl), a row a line"
        )
    try:
        rows = _json(data.decode(encoding, "surrogateescape").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not {encoding}: {error!s:.80}") from error
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(
            f"{path} must hold a list of objects, one a row, received {_noun(rows)}: of a"
            " DataFrame, write it with to_json(orient='records')"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"{path}, row {number}: must be an object, received {_noun(row)}")
    return rows


def _noun(value: Any) -> str:
    kinds = {dict: "one object", list: "a list", str: "a text", bool: "a boolean"}
    return kinds.get(type(value), "null" if value is None else "a number")


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
