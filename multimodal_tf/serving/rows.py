"""The rows that `Client` takes: a DataFrame, dicts, or one dict."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import pandas as pd

from multimodal_tf.config import Config

# rows that go through the graph at once
BATCH = 64

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


def batches(rows: list[Any]) -> list[list[Any]]:
    """One batch at least, which may be empty."""
    return [rows[start : start + BATCH] for start in range(0, max(len(rows), 1), BATCH)]


def keys_of(config: Config) -> dict[str, tuple[str, ...]]:
    """The keys of a row that each input may read, the first that exists.

    They are its column, then its name, unless that is the column of another input.
    """
    columns = {name: config.column(name) for name in config.inputs}
    return {
        name: (column,) if name in columns.values() else (column, name)
        for name, column in columns.items()
    }
