"""What all kinds of cells share: which are missing or broken, and how a text is read."""

import datetime
import decimal
import math
import numbers
import os
from collections.abc import Collection, Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.config.spelling import spelling
from multimodal_tf.data.codecs import dates
from multimodal_tf.data.codecs.cell import BrokenCell, CellError
from multimodal_tf.data.kinds.objects import plain

# the pixels of several frames, as lists in lists, have four levels
_DEEPEST = 32
# of a whole number: Python writes no more than 4,300 digits as text
_MOST_BITS = 14_000
# of a decimal number that is written without an exponent
_MOST_DIGITS = 400
# characters of a word for gaps, and of spaces around it
_LONGEST_WORD = 200
# these need no look
_PLAIN = (str, float, bytes, bool, type(None))
_NESTED = (list, tuple, set, frozenset, dict)
_KNOWN = (numbers.Number, np.generic, np.ndarray, os.PathLike, datetime.date)


def clean(value: Any) -> Any:
    """A cell as all kinds of input and all heads can take it: missing, broken, or any value.

    Returns:
        None where the cell is missing. `BrokenCell` where it is nested too deeply, a number of too
        many digits, or a value that raises where it is looked at. Bytes for a buffer, the element
        of an array without axes. Any other value is unchanged.

    Example:
        >>> clean(" "), clean(" red"), clean(10**5000)
        (None, ' red', BrokenCell(reason='a whole number of more than 4,200 digits'))
    """
    try:
        value = value if type(value) in _PLAIN else _checked(value)
    except CellError as error:
        return BrokenCell(str(error))
    return None if is_missing(value) else value


def readable(value: Any) -> Any:
    """As `clean`, but raises the reason of a broken cell.

    Raises:
        CellError: the cell is broken.
    """
    value = clean(value)
    if isinstance(value, BrokenCell):
        raise CellError(value.reason)
    return value


def cell_key(cell: Any) -> Hashable:
    """Equal for equal cells: a text or number by its spelling, an array by its content.

    Example:
        >>> cell_key(1.0) == cell_key("1") == cell_key(" 1.0")
        True
    """
    if isinstance(cell, str):
        return spelling(cell)
    if isinstance(cell, (numbers.Number, np.bool_, *dates.TYPES)):
        return read_value(cell)
    if isinstance(cell, np.ndarray):
        return (cell.shape, repr(cell.tolist()) if cell.dtype == object else cell.tobytes())
    try:
        hash(cell)
    # what is in a tuple, or an object of any library, may raise anything
    except Exception:  # noqa: BLE001
        return repr(cell)
    key: Hashable = cell
    return key


def _checked(value: Any) -> Any:
    """The value in its plain form.

    Raises:
        CellError: it cannot be read.
    """
    value = plain(value)
    if isinstance(value, list | tuple) and value and type(value[0]) not in _PLAIN:
        # frames
        value = [plain(one) for one in value]
    if isinstance(value, np.ma.MaskedArray) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.tolist()
    elif isinstance(value, np.void):
        value = value.tobytes()
    elif isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for one in level:
            if _is_nested(one):
                below.extend(_items(one))
            else:
                _check_one(one)
        if not below:
            return value
        level = below
    raise CellError(f"lists or maps in one another, more than {_DEEPEST} deep")


def _is_nested(value: Any) -> bool:
    return isinstance(value, _NESTED) or (isinstance(value, np.ndarray) and value.dtype == object)


def _items(value: Any) -> Iterable[Any]:
    """The elements that have to be looked at."""
    items = (
        value.values()
        if isinstance(value, dict)
        else value.flat
        if isinstance(value, np.ndarray)
        else value
    )
    return (item for item in items if type(item) not in _PLAIN)


def _check_one(value: Any) -> None:
    if isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise CellError("a whole number of more than 4,200 digits")
    elif isinstance(value, BrokenCell):
        raise CellError(value.reason)
    elif isinstance(value, datetime.datetime):
        if value is not pd.NaT:
            _check_zone(value)
    elif isinstance(value, decimal.Decimal):
        if value.is_snan():
            raise CellError("not a number: sNaN")
    elif not isinstance(value, _KNOWN):
        _check_shown(value)


def _check_zone(value: datetime.datetime) -> None:
    try:
        value.utcoffset()
    # a time zone of any library may raise anything
    except Exception as error:  # noqa: BLE001
        raise CellError(f"a date of an unknown time zone: {_short(error)}") from None


def _check_shown(value: Any) -> None:
    try:
        hash(repr(value))
    # an object of any library may raise anything
    except Exception as error:  # noqa: BLE001
        raise CellError(f"a {type(value).__name__} that cannot be read: {_short(error)}") from None


def _short(error: Exception) -> str:
    return f"{type(error).__name__} {' '.join(str(error).split())}"[:200].strip()


def is_missing(value: Any) -> bool:
    """Whether a cell is missing: None, NaN, NaT, "", b"" or white space."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return not len(value)
    if isinstance(value, dict):
        return all(map(is_missing, value.values()))
    if isinstance(value, np.datetime64):
        return bool(np.isnat(value))
    return (
        value is None
        or value is pd.NaT
        or value is pd.NA
        or (isinstance(value, (float, np.floating)) and math.isnan(value))
        or (isinstance(value, decimal.Decimal) and value.is_nan())
    )


def is_gap(value: Any, words: Collection[str]) -> bool:
    """Whether a cell is one of the words that a table has for gaps.

    Args:
        value: any cell.
        words: in the one spelling of `config.spelling`, as `Config.missing` has them.

    Example:
        >>> is_gap(" NA", ["NA"]), is_gap(-999.0, ["-999"]), is_gap("NA", [])
        (True, True, False)
    """
    if not words:
        return False
    if isinstance(value, str):
        return len(value) <= _LONGEST_WORD and spelling(value) in words
    return isinstance(value, (int, float, np.number)) and spelling(str(value)) in words


def read_text(value: Any) -> str:
    """The text of a string, of bytes in UTF-8, of a number or of a date.

    Raises:
        CellError: the value is something else, or not UTF-8.

    Example:
        >>> read_text(b"red"), read_text(3.0)
        ('red', '3')
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CellError(f"not UTF-8: byte {value[error.start]:#04x} at {error.start}") from None
    if isinstance(value, (float, np.floating)):
        # pandas turns the integers of a column with gaps into floats: 3.0 means 3
        return spelling(str(value))
    if isinstance(value, decimal.Decimal) and abs(value.adjusted()) < _MOST_DIGITS:
        # not 1E+2
        return format(value, "f")
    if not isinstance(value, (str, numbers.Number, np.bool_, *dates.TYPES)):
        raise CellError(f"neither text nor a number, but {type(value).__name__}")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # `data.table` reads the byte E9, where it is not UTF-8, as U+DCE9
        code = ord(text[error.start])
        what = f"byte {code - 0xDC00:#04x}" if 0xDC80 <= code <= 0xDCFF else "a lone surrogate"
        raise CellError(f"not UTF-8: {what}") from None
    return text


def read_value(value: Any) -> str:
    """The one spelling of a category, class, label, group or stratum: `config.spelling`.

    Raises:
        CellError: as `read_text`.

    Example:
        >>> read_value(1), read_value("1.0"), read_value(b" 2.50"), read_value("007")
        ('1', '1', '2.5', '007')
    """
    if isinstance(value, np.datetime64):
        # as pandas writes it; a moment that Python does not know is a number
        moment = value.astype("datetime64[us]").item()
        value = moment if isinstance(moment, datetime.date) else value
    return spelling(read_text(value))


def scalar(value: Any) -> Any:
    """The element of an array of one element; any other value unchanged."""
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
