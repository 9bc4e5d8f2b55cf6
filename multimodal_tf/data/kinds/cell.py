"""What all kinds of cells share: which ones are missing, and how a text is read."""

import math
import numbers
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.data.codecs import dates
from multimodal_tf.data.codecs.cell import CellError


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
    )


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
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        # pandas turns the integers of a column with gaps into floats: 3.0 means 3
        return str(int(value))
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


def scalar(value: Any) -> Any:
    """The element of an array of one element; any other value unchanged."""
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
