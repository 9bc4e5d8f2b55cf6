"""Finds what separates the cells of a file of text, where it is sure."""

import csv
import itertools
import pathlib
import re
from collections import Counter

from multimodal_tf.data.table_formats.lines import Lines

_CANDIDATES = (",", ";", "\t", "|")
_NAMES = {"\t": "tabs", "tab": "\t", "\\t": "\t"}
# lines that are looked at, and characters
_LINES, _CHARACTERS = 1000, 2**22
# with which Excel names the delimiter
_NAMED = re.compile(r"sep=([^\r\n])\r?\n?", re.IGNORECASE)

# line and number of cells of each row
_Widths = list[tuple[int, int]]


def check_delimiter(delimiter: str) -> str:
    """A delimiter as it was given, where it can be one; "tab" is a tab.

    Raises:
        ValueError: it is no single sign, or one that lines and quotes are made of.
    """
    sign = _NAMES.get(delimiter, delimiter) if len(delimiter) != 1 else delimiter
    if len(sign) != 1 or sign in '"\r\n':
        raise ValueError(f"delimiter must be one sign, such as ';' or tab, received {delimiter!r}")
    return sign


def shown(delimiter: str) -> str:
    """A delimiter in a sentence."""
    return "tabs" if delimiter == "\t" else repr(delimiter)


def named_delimiter(line: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names."""
    found = _NAMED.fullmatch(line)
    return None if found is None else found[1]


def find_delimiter(path: pathlib.Path, encoding: str, usual: str) -> str:
    """The delimiter of a file: the usual one where it fits, or the one other that does.

    It fits where all rows that are looked at have as many cells as the header, two or more.

    Raises:
        ValueError: several fit, or one nearly does and the usual one makes a single column; the
            message names the line.
    """
    lines, characters = [], 0
    source = Lines(path, encoding)
    for line in itertools.islice(source, _LINES):
        source.bytes = 0
        lines.append(line)
        characters += len(line)
        if characters > _CHARACTERS:
            break
    if lines and named_delimiter(lines[0]):
        return named_delimiter(lines[0]) or usual
    widths = {sign: _widths(lines, sign) for sign in dict.fromkeys((usual, *_CANDIDATES))}
    fitting = [sign for sign, found in widths.items() if _fits(found)]
    if len(fitting) == 1 or (fitting and len(widths[usual]) < 2):
        return fitting[0]
    if fitting:
        raise ValueError(
            f"{path}, line 1: {' and '.join(map(shown, fitting))} both divide all lines into as"
            f" many cells: name the delimiter, such as delimiter={fitting[0]!r}"
            f" (--delimiter {fitting[0]!r})"
        )
    for sign, found in widths.items():
        if sign != usual and _nearly_fits(found) and widths[usual] and widths[usual][0][1] == 1:
            return _near(path, sign, found, usual, widths[usual])
    return usual


def _near(path: pathlib.Path, sign: str, found: _Widths, usual: str, usual_widths: _Widths) -> str:
    """A delimiter of most rows, where the usual one reads no table."""
    if len({width for _, width in usual_widths}) > 1:
        return sign
    line, width = next(each for each in found if each[1] != found[0][1])
    raise ValueError(
        f"{path}, line {line}: divided by {shown(sign)} it has {width} cells and the header"
        f" {found[0][1]}, divided by {shown(usual)} every line has one: mend the line, or name the"
        f" delimiter, such as delimiter={sign!r} (--delimiter {sign!r})"
    )


def _widths(lines: list[str], delimiter: str) -> _Widths:
    """Of the rows up to the first that is malformed, or that is not whole."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    widths, line = [], 1
    try:
        for record in reader:
            if record:
                widths.append((line, len(record)))
            line = reader.line_num + 1
    except csv.Error:
        # the last may go on after the lines; another one is reported where it is read
        if reader.line_num < len(lines):
            widths.append((line, 0))
    return widths


def _fits(widths: _Widths) -> bool:
    return bool(widths) and widths[0][1] > 1 and len({width for _, width in widths}) == 1


def _nearly_fits(widths: _Widths) -> bool:
    if len(widths) < 2 or widths[0][1] < 2:
        return False
    counts = Counter(width for _, width in widths)
    return 2 * counts[widths[0][1]] > len(widths) and len(widths) > 2
