"""A page as a folder: the HTML file with its data as JSON and CSV. It is replaced as a whole."""

import csv
import dataclasses
import io
import json
import numbers
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multimodal_tf.config.formulas import escape
from multimodal_tf.data import atomic
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.page.blocks import AudioClip, Cell, Column, Image, Page, Table
from multimodal_tf.report.page.render import html
from multimodal_tf.report.page.tables import as_table

_PAGE, _JSON, _DATA = "index.html", "report.json", "data"
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
# characters of a title in the name of its file
_LONGEST_NAME = 40


def check_out(out: str | os.PathLike[str]) -> pathlib.Path:
    """Checks that `save` may write to `out`, before the work that fills the page.

    Returns:
        `out` as a path. It is not created.

    Raises:
        ValueError: `out` is not on a disk of this machine.
        FileExistsError: `out` is a file, or holds files that are not a page's.
    """
    if "://" in str(out):
        raise ValueError(f"a page must be written to a directory of this machine, received {out}")
    path = pathlib.Path(out)
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"a page must be written to a directory, received the file {out}")
    names = {each.name for each in path.iterdir()} if path.exists() else set()
    if names and not {_PAGE, _JSON} <= names or names - {_PAGE, _JSON, _DATA}:
        other = min(names - {_PAGE, _JSON, _DATA}, default=min(names))
        raise FileExistsError(
            f"a page must be written to an empty folder or over an earlier page, received {out}, "
            f"which holds {other}"
        )
    return path


def save(page: Page, out: str | os.PathLike[str]) -> None:
    """Writes `index.html`, `report.json` and `data/*.csv`, and replaces an earlier page in `out`.

    Args:
        page: `Page`.
        out: a new or empty folder, or that of an earlier page. Its parents are created.

    Raises:
        ValueError, FileExistsError: as `check_out`.
        OSError: it cannot be written. An earlier page is then unchanged.

    Example:
        >>> import tempfile
        >>> from multimodal_tf.report.page import Section
        >>> sizes = Table("Sizes", [Column("shoe"), Column("size", "number")], [["boot", 43]])
        >>> page = Page("Shoes", ["Boots are large."], [Section("Sizes", "One boot.", [sizes])], {})
        >>> out = pathlib.Path(tempfile.mkdtemp(), "report")
        >>> save(page, out)
        >>> sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
        ['data/01-01-sizes.csv', 'index.html', 'report.json']
    """
    path = check_out(out)
    tables = dict(_tables(page))
    files = {at: f"{_DATA}/{_file_name(at, table)}" for at, table in tables.items()}
    texts = {
        _PAGE: html(page, files),
        _JSON: json.dumps(_document(page, files), ensure_ascii=False, indent=1),
    }
    texts |= {files[at]: _csv(table) for at, table in tables.items()}
    try:
        _write(path, {name: text.encode("utf-8", "replace") for name, text in texts.items()})
    except OSError as error:
        raise type(error)(
            f"the page cannot be written to {out}: {error.strerror or error}"
        ) from error


def _write(out: pathlib.Path, contents: Mapping[str, bytes]) -> None:
    """Writes all into a temporary directory beside `out`, then renames it to `out`.

    A process that dies between the two renames leaves the earlier page whole, as `OUT.old...tmp`.
    What one that died has left is removed: that page only when the new one is there.
    """
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    earlier = out.with_name(f"{out.name}.old")
    new, old = atomic.temporary(out), atomic.temporary(earlier)
    atomic.remove_abandoned(out)
    try:
        (new / _DATA).mkdir(parents=True)
        for name, content in contents.items():
            with open(new / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if out.exists():
            os.rename(out, old)
        try:
            os.rename(new, out)
        except OSError:
            if old.exists():
                os.rename(old, out)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    atomic.remove_abandoned(earlier)


def _tables(page: Page) -> Iterator[tuple[tuple[int, int], Table]]:
    for index, section in enumerate(page.sections):
        for number, block in enumerate(section.blocks):
            table = as_table(block)
            if table is not None:
                yield (index, number), table


def _file_name(at: tuple[int, int], table: Table) -> str:
    """Unique by its numbers, in characters that every file system and address accepts."""
    slug = _NOT_IN_A_NAME.sub("-", table.title.lower())[:_LONGEST_NAME].strip("-")
    return "-".join([f"{at[0] + 1:02}", f"{at[1] + 1:02}", *([slug] if slug else [])]) + ".csv"


def _csv(table: Table) -> str:
    """A metric becomes five columns: its value under the column's name, low, high, n and unit.

    No spreadsheet runs its texts as formulas.
    """
    has_metrics = [
        any(isinstance(row[index], Metric) for row in table.rows)
        for index in range(len(table.columns))
    ]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    headings = zip(table.columns, has_metrics)
    names = [name for column, wide in headings for name in _headings(column, wide)]
    writer.writerow(map(escape, names))
    for row in table.rows:
        cells = zip(row, has_metrics)
        writer.writerow([escape(each) for cell, wide in cells for each in _values(cell, wide)])
    return file.getvalue()


def _headings(column: Column, wide: bool) -> list[str]:
    more = [f"{column.name}_{field}" for field in ("low", "high", "n", "unit")]
    return [column.name, *(more if wide else [])]


def _values(cell: Cell, wide: bool) -> Sequence[object]:
    if isinstance(cell, Metric):
        return (cell.value, cell.low, cell.high, cell.n, cell.unit)
    return (cell, "", "", "", "") if wide else (cell,)


def _document(page: Page, files: Mapping[tuple[int, int], str]) -> dict[str, Any]:
    """The page as JSON values: each block with its type and CSV file, without images and clips."""
    document: dict[str, Any] = _plain(page)
    for index, section in enumerate(page.sections):
        for number, block in enumerate(section.blocks):
            file = {"csv": files[index, number]} if (index, number) in files else {}
            values = {"type": type(block).__name__, **file, **_plain(block)}
            document["sections"][index]["blocks"][number] = values
    return document


def _plain(value: Any) -> Any:
    match value:
        case Image() | AudioClip():
            return {"type": type(value).__name__, "bytes": len(value.data)}
        case str() | None | bool():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    return [_plain(each) for each in value]
