"""The rows that `Client` takes: a DataFrame, dicts, or one dict."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import pandas as pd

Row: TypeAlias = Mapping[Any, Any]
Rows: TypeAlias = pd.DataFrame | Iterable[Row] | Row
# of an error
_ROWS = "rows must be a DataFrame or dicts, such as [{'title': 'a red bird'}], received "


def dicts(rows: Iterable[Row] | Row) -> list[dict[Any, Any]]:
    """The rows with their keys as text; a mapping is one row.

    Raises:
        ValueError: they are no mappings.

    Example:
        >>> dicts({"title": "an owl"}) == dicts([{"title": "an owl"}])
        True
    """
    if isinstance(rows, Mapping):
        rows = [rows]
    if not isinstance(rows, Iterable):
        raise ValueError(_ROWS + type(rows).__name__)
    listed: list[dict[Any, Any]] = []
    for row in rows:
        try:
            listed.append({str(key): cell for key, cell in dict(row).items()})
        except (TypeError, ValueError):
            raise ValueError(f"{_ROWS}an iterable of {type(row).__name__}") from None
    return listed
