"""Lists that a cell writes as text: as JSON, as Python and pandas, or as NumPy writes them."""

import ast
import json
import re
from typing import Any

_STRING = r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"'
# NumPy names the type of its numbers and texts in lists of Python
_ITEM = re.compile(
    rf"(?:np\.\w+\((?P<typed>{_STRING}|[^\s,'\"()]+)\)|(?P<item>{_STRING}|[^\s,'\"\[\]]+))"
)
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_WORDS = {"None": None, "null": None, "nan": None, "NaN": None, "True": True, "False": False}


def list_of(text: str) -> list[Any] | None:
    """The values of a list that is written in brackets; None: it is no such list.

    Elements are texts in quotes, numbers, booleans, or None, null and nan, which are None. NumPy
    writes no commas.

    Example:
        >>> list_of('["red", "round"]'), list_of("['red' 'round']"), list_of("[1. 2.5]")
        (['red', 'round'], ['red', 'round'], [1.0, 2.5])
        >>> list_of("[red"), list_of("[red]"), list_of("[]")
        (None, None, [])
    """
    text = text.strip()
    if not is_bracketed(text):
        return None
    try:
        found = json.loads(text)
    # of numbers with thousands of digits, too, and of lists in one another
    except (ValueError, RecursionError):
        return _items(text[1:-1].strip())
    return found if isinstance(found, list) else None


def is_bracketed(text: str) -> bool:
    """Whether a text begins and ends as a list does."""
    return text[:1] == "[" and text[-1:] == "]" and len(text) > 1


def _items(text: str) -> list[Any] | None:
    found, place = [], 0
    while place < len(text):
        item = _ITEM.match(text, place)
        if item is None:
            return None
        try:
            found.append(_value(item["typed"] or item["item"]))
        # of a text with a broken escape, and of a word that is no number
        except (ValueError, SyntaxError):
            return None
        between = _BETWEEN.match(text, item.end())
        if between is None and item.end() < len(text):
            return None
        place = item.end() if between is None else between.end()
    return found


def _value(item: str) -> Any:
    if item[0] in "'\"":
        return ast.literal_eval(item)
    return _WORDS[item] if item in _WORDS else _number(item)


def _number(item: str) -> int | float:
    # Python reads 1_000, other programs do not
    if "_" in item:
        raise ValueError(item)
    return int(item) if item.lstrip("+-").isdecimal() else float(item)
