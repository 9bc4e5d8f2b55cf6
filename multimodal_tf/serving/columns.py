"""Served tensors as columns of a DataFrame."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.config import HIGH, LOW, PROBABILITY, Head
from multimodal_tf.config.heads import output_key

# columns that are computed from the whole output of a head `(rows, numbers)`
DERIVED = {
    PROBABILITY: lambda output: output.max(axis=1),
    LOW: lambda output: output[:, 0],
    HIGH: lambda output: output[:, -1],
}


def texts(served: np.ndarray) -> list[str]:
    """Served bytes as text."""
    return [value.decode(errors="replace") for value in served]


def head_columns(name: str, head: Head, served: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The columns of one head."""
    columns = {name: column(served[name])}
    output = served[output_key(name, head)]
    for ending in head.endings:
        columns[name + ending] = (
            DERIVED[ending](output) if ending in DERIVED else column(served[name + ending])
        )
    return columns


def column(served: np.ndarray) -> Any:
    """A column of a DataFrame: texts, numbers, or an array a row."""
    if served.dtype == object:
        return pd.Series(texts(served), dtype="str")
    return served if served.ndim == 1 else pd.Series(list(served), dtype=object)
