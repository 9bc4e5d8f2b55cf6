"""A page as a folder: the HTML file, and beside it its data as JSON and CSV. The folder is there
whole or not at all.
"""

import csv
import dataclasses
import io
import json
import numbers
import os
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence

from multimodal_tf.data import atomic, filesystem
from multimodal_tf.report.page.blocks import Cell, Column, Figure, Page, Picture, Sound, Table
from multimodal_tf.report.page.render import html
from multimodal_tf.report.page.tables import as_table

_PAGE, _JSON, _DATA = "index.html", "report.json", "data"
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
# characters of a title in the name of its file
_LONGEST_NAME = 40


def check_place(directory: str | pathlib.Path) -> pathlib.Path:
    """Says whether `save` may write to `directory`, before the work that fills the page.

    Returns:
        The directory. It is not made.

    Raises:
        ValueError: it is not on this machine's disks.
        FileExistsError: it is a file, or holds files that are not a page's.
    """
    place = filesystem.to_path(directory)
    if not isinstance(place, pathlib.Path):
        raise ValueError(
            f"a page must be written to a directory of this machine, received {directory}"
        )
    if place.exists() and not place.is_dir():
        raise FileExistsError(
            f"a page must be written to a directory, received the file {directory}"
        )
    held = {path.name for path in place.iterdir()} if place.exists() else set()
    if held and not {_PAGE, _JSON} <= held or held - {_PAGE, _JSON, _DATA}:
        strange = min(held - {_PAGE, _JSON, _DATA}, default=min(held))
        raise FileExistsError(
            f"a page takes the place of an earlier page or of nothing, received {directory}, which holds {strange}"
        )
    return place


def save(page: Page, directory: str | pathlib.Path):
    """Writes `index.html`, `report.json` and `data/*.csv`; an earlier page in `directory` is
    replaced.

    Args:
        page: `Page`.
        directory: a new or empty one, or that of an earlier page. Those above it are made.

    Raises:
        ValueError, FileExistsError: as `check_place`.
        OSError: it cannot be written; an earlier page is then as it was.

    Example:
        >>> import tempfile
        >>> from multimodal_tf.report.page import Section
        >>> place = pathlib.Path(tempfile.mkdtemp(), "report")
        >>> sizes = Table("Sizes", [Column("shoe"), Column("size", "number")], [["boot", 43]])
        >>> save(Page("Shoes", ["One shoe was measured."], [Section("Sizes", "The boot is large.", [sizes])], {}), place)
        >>> sorted(path.relative_to(place).as_posix() for path in place.rglob("*.*"))
        ['data/01-01-sizes.csv', 'index.html', 'report.json']
    """
    place = check_place(directory)
    tables = dict(_tables(page))
    files = {at: f"{_DATA}/{_file_name(at, table)}" for at, table in tables.items()}
    texts = {
        _PAGE: html(page, files),
        _JSON: json.dumps(_document(page, files), ensure_ascii=False, indent=1),
    }
    texts |= {files[at]: _csv(table) for at, table in tables.items()}
    try:
        _write(place, {name: text.encode("utf-8", "replace") for name, text in texts.items()})
    except OSError as error:
        raise type(error)(
            f"the page cannot be written to {directory}: {error.strerror or error}"
        ) from error


def _write(place: pathlib.Path, contents: Mapping[str, bytes]):
    """Writes all into a directory beside `place`, then puts that in its place.

    A process that dies between the two renames leaves an earlier page under the name `earlier`,
    whole.
    """
    place = place.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    beside, earlier = atomic.temporary(place), place.with_name(f"{place.name}.{os.getpid()}.old")
    try:
        (beside / _DATA).mkdir(parents=True)
        for name, content in contents.items():
            with atomic.replacing(beside / name) as file:
                file.write_bytes(content)
        if place.exists():
            os.rename(place, earlier)
        try:
            os.rename(beside, place)
        except OSError:
            if earlier.exists():
                os.rename(earlier, place)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(earlier, ignore_errors=True)


def _tables(page: Page) -> Iterable[tuple[tuple[int, int], Table]]:
    for place, section in enumerate(page.sections):
        for number, block in enumerate(section.blocks):
            table = as_table(block)
            if table is not None:
                yield (place, number), table


def _file_name(at: tuple[int, int], table: Table) -> str:
    """Unique by its numbers, and made of letters that every file system and address takes."""
    slug = _NOT_IN_A_NAME.sub("-", table.title.lower())[:_LONGEST_NAME].strip("-")
    return "-".join([f"{at[0] + 1:02}", f"{at[1] + 1:02}", *([slug] if slug else [])]) + ".csv"


def _csv(table: Table) -> str:
    """A figure becomes five columns: its value under the column's name, then low, high, n and unit."""
    holds_figures = [
        any(isinstance(row[place], Figure) for row in table.rows)
        for place in range(len(table.columns))
    ]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            name
            for column, wide in zip(table.columns, holds_figures)
            for name in _headings(column, wide)
        ]
    )
    for row in table.rows:
        writer.writerow(
            [
                part
                for cell, wide in zip(row, holds_figures)
                for part in (_parts(cell) if wide else [cell])
            ]
        )
    return file.getvalue()


def _headings(column: Column, wide: bool) -> list[str]:
    return (
        [column.name, *(f"{column.name}_{part}" for part in ("low", "high", "n", "unit"))]
        if wide
        else [column.name]
    )


def _parts(cell: Cell) -> Sequence[object]:
    return (
        (cell.value, cell.low, cell.high, cell.n, cell.unit)
        if isinstance(cell, Figure)
        else (cell, "", "", "", "")
    )


def _document(page: Page, files: Mapping[tuple[int, int], str]) -> dict:
    """The page as JSON values: every block with its type, and the CSV that has the same data;
    without pictures and sounds.
    """
    document = _plain(page)
    for place, section in enumerate(page.sections):
        for number, block in enumerate(section.blocks):
            filed = {"csv": files[place, number]} if (place, number) in files else {}
            document["sections"][place]["blocks"][number] = {
                "type": type(block).__name__,
                **filed,
                **_plain(block),
            }
    return document


def _plain(value):
    match value:
        case Picture() | Sound():
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
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return [_plain(each) for each in value]
