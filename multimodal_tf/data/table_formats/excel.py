"""A sheet of an Excel workbook, through openpyxl, a row at a time.

A formula is its value, as Excel last computed it. Merged cells are refused: all but the first of
them would be missing.
"""

import contextlib
import functools
import importlib
import itertools
import pathlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.table_formats.choice import chosen
from multimodal_tf.data.table_formats.reader import (
    MAX_ROW,
    Reader,
    check_width,
    first_line,
    named,
    record_cells,
)

# the first bytes of a workbook with a password, and of Excel's format before 2007
_OLD = b"\xd0\xcf\x11\xe0"
# bytes of a sheet, and of what is in memory as a whole: texts, styles
_MOST_SHEET, _MOST_PART = 2**31, MAX_ROW
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref="([A-Z0-9:]+)"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
# bytes that are searched at a time, and of the longest tag that may be divided
_BLOCK, _TAG = 2**20, 200


def open_excel(path: pathlib.Path, part: str | None) -> tuple[list[str], Reader]:
    """The columns and the reader of a sheet.

    Args:
        part: the sheet's name; None: the only one that is not empty.

    Raises:
        ValueError: it is no workbook, has a password, several sheets or merged cells, or openpyxl
            is not installed.
    """
    with _workbook(path) as workbook:
        names = workbook.sheetnames if part is not None else _filled(workbook)
        # a chart has no cells
        names = [name for name in names if hasattr(workbook[name], "iter_rows")]
        name = chosen(path, names, part, "sheets")
        formulas = _has_formulas(path, workbook, name)
        header = next(_rows(workbook[name]), [])
    titles = ["" if cell.value is None else str(cell.value) for cell in header]
    while titles and not titles[-1].strip():
        titles.pop()
    if not titles:
        raise ValueError(f"{path} has no header: the first row of {name!r} must name the columns")
    check_width(str(path), len(titles))
    columns = named(titles)
    records = functools.partial(_records, path, name, len(columns), formulas)
    return columns, functools.partial(record_cells, records, columns)


def _records(path: pathlib.Path, name: str, width: int, formulas: bool) -> Iterator[list[Any]]:
    """Rows of cells; those without any are left out, as blank lines are."""
    with contextlib.ExitStack() as stack:
        values = _rows(stack.enter_context(_workbook(path))[name])
        written: Iterator[Sequence[Any]] = itertools.repeat(())
        if formulas:
            written = _rows(stack.enter_context(_workbook(path, values=False))[name])
        for number, (row, source) in enumerate(zip(values, written), start=1):
            if number == 1:
                continue
            cells = [_value(cell, one) for cell, one in itertools.zip_longest(row, source)]
            if any(cell is not None for cell in cells[width:]):
                raise ValueError(
                    f"{path}, row {number} of {name!r}: a cell stands to the right of the header's"
                    f" {width} columns: name its column, or move it to another sheet"
                )
            if any(cell is not None for cell in cells):
                yield (cells + [None] * width)[:width]


def _value(cell: Any, source: Any) -> Any:
    """The value of a cell; `source` is the same cell with its formula, if there are any."""
    if cell.data_type == "e":
        return BrokenCell(f"Excel's error {cell.value}")
    is_formula = source is not None and source.data_type == "f"
    # a formula of an empty text has the type of a text
    if is_formula and cell.value is None and cell.data_type != "str":
        return BrokenCell("a formula without its value: open the file in Excel and save it")
    return cell.value


def _rows(sheet: Any) -> Iterator[Sequence[Any]]:
    # the size that the file states may be wrong
    sheet.reset_dimensions()
    rows: Iterator[Sequence[Any]] = sheet.iter_rows()
    return rows


def _filled(workbook: Any) -> list[str]:
    """The sheets that have a cell with a value in their first rows."""
    return [
        sheet.title
        for sheet in workbook.worksheets
        if any(
            cell.value is not None for row in itertools.islice(_rows(sheet), 100) for cell in row
        )
    ]


def _has_formulas(path: pathlib.Path, workbook: Any, name: str) -> bool:
    """Whether a sheet has formulas.

    Raises:
        ValueError: it has merged cells.
    """
    found, carried = False, b""
    # openpyxl tells of merged cells only where it reads a whole sheet into memory
    member = workbook[name]._worksheet_path
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        while block := file.read(_BLOCK):
            block = carried + block
            merged = _MERGED.search(block)
            if merged:
                raise ValueError(
                    f"{path}: {name!r} has merged cells ({merged[1].decode()}), of which all but"
                    " the first would be missing: unmerge them, and fill in their values"
                )
            found = found or _FORMULA.search(block) is not None
            carried = block[-_TAG:]
    return found


@contextlib.contextmanager
def _workbook(path: pathlib.Path, values: bool = True) -> Iterator[Any]:
    """Opens a workbook; its errors are one sentence."""
    library = _openpyxl()
    _check(path)
    workbook = None
    try:
        workbook = library.load_workbook(path, read_only=True, data_only=values, keep_links=False)
        yield workbook
    except (ValueError, FileNotFoundError, PermissionError, GeneratorExit):
        if workbook is None:
            raise ValueError(f"{path} is not a readable Excel file: it is damaged") from None
        raise
    # the libraries of zip files and XML may raise anything
    except Exception as error:
        raise ValueError(f"{path} is not a readable Excel file: {first_line(error)}") from error
    finally:
        if workbook is not None:
            workbook.close()


def _check(path: pathlib.Path) -> None:
    """Checks what a file is, and its size unpacked, before it is read."""
    with open(path, "rb") as file:
        head = file.read(4)
    if head == _OLD:
        raise ValueError(
            f"{path} has a password, or is in Excel's format before 2007: save it without one as"
            " .xlsx"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise ValueError(f"{path} is not a readable Excel file: {first_line(error)}") from error
    for member in members:
        most = _MOST_SHEET if "/worksheets/" in member.filename else _MOST_PART
        # pictures are not read
        if member.file_size > most and not member.filename.startswith("xl/media/"):
            raise ValueError(
                f"{path}: {member.filename} must have at most {most:,} bytes unpacked, received"
                f" {member.file_size:,}: save the table as CSV or Parquet"
            )


def _openpyxl() -> ModuleType:
    try:
        # an extra
        return importlib.import_module("openpyxl")
    except ImportError as error:
        raise ValueError(
            f"a table of Excel needs openpyxl, which is not installed ({error}):"
            " pip install 'multimodal_tf[excel]'"
        ) from error
