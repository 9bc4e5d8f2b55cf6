"""Cells of an Arrow column as Python values, one by one where Python cannot hold some of them."""

from typing import Any

import numpy as np
import pyarrow

from multimodal_tf.data.codecs.cell import unreadable

_DAY_MS = 86_400_000


def arrow_cells(column: pyarrow.Array) -> list[Any]:
    """Converts a column; one bad cell does not spoil the others.

    Returns:
        A Python value a cell. A moment out of Python's years, or of an unknown time zone, is a
        `numpy.datetime64` in UTC; text that is not UTF-8 has lone surrogates, as `data.table_files`
        reads it; what else cannot be read is a `BrokenCell`.

    Example:
        >>> arrow_cells(pyarrow.array([0, 10**18]).cast(pyarrow.timestamp("us")))
        [datetime.datetime(1970, 1, 1, 0, 0), np.datetime64('33658-09-27T01:46:40.000000')]
    """
    try:
        return list(column.to_pylist())
    # Arrow, pandas and the libraries of time zones have errors of their own
    except Exception:  # noqa: BLE001
        return [_cell(scalar) for scalar in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    # as above
    except Exception as error:  # noqa: BLE001
        return _cell_without_python(scalar, error)


def _cell_without_python(scalar: Any, error: Exception) -> Any:
    kind = scalar.type
    if pyarrow.types.is_dictionary(kind):
        return _cell(scalar.value)
    if isinstance(error, UnicodeDecodeError) and isinstance(scalar, pyarrow.StringScalar):
        return scalar.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
    if pyarrow.types.is_timestamp(kind):
        return np.datetime64(scalar.value, kind.unit)
    if pyarrow.types.is_date32(kind):
        return np.datetime64(scalar.value, "D")
    if pyarrow.types.is_date64(kind):
        return np.datetime64(scalar.value // _DAY_MS, "D")
    return unreadable(f"Parquet's type {kind!s:.60}", error)
