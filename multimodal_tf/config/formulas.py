"""Texts of a CSV that a spreadsheet would run as formulas."""

import re
from typing import Any

# the signs that begin a formula, or come before one; apostrophes that a text has already
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def escape(cell: Any) -> Any:
    """The cell for a CSV, so that no spreadsheet runs it.

    A text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets an apostrophe before
    it, by which spreadsheets know a text. Numbers, also those written as texts, stay as they are.
    `unescape` takes the apostrophe away.

    Example:
        >>> escape("=1+1"), escape("-1.5"), escape(-1.5), escape("owl"), unescape("'=1+1")
        ("'=1+1", '-1.5', -1.5, 'owl', '=1+1')
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def unescape(text: str) -> str:
    """The text that `escape` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
