"""Served tensors as columns of a DataFrame."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.config import HIGH, LOW, PROBABILITY, Config, Head
from multimodal_tf.config.heads import output_key
from multimodal_tf.schema import Classes, Schema

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
    # of an image head it is a file
    is_file = head.cell_input is not None
    columns = {name: files(served[name]) if is_file else column(served[name])}
    output = served[output_key(name, head)]
    for ending in head.endings:
        columns[name + ending] = (
            DERIVED[ending](output) if ending in DERIVED else column(served[name + ending])
        )
    return columns


def status(
    served: Mapping[str, np.ndarray], inputs: Sequence[str], faults: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """The columns `valid`, `error` and `present`.

    Args:
        served: by key.
        inputs: names of the model's inputs.
        faults: of each row what is broken in cells that the graph did not get.
    """
    errors = [
        "; ".join([*fault, *filter(None, [error])])
        for fault, error in zip(faults, texts(served["error"]))
    ]
    present = [",".join(itertools.compress(inputs, flags)) for flags in served["present"]]
    return {
        "valid": served["valid"] & ~np.array(list(map(bool, faults)), dtype=bool),
        "error": pd.Series(errors, dtype="str"),
        "present": pd.Series(present, dtype="str"),
    }


def files(served: np.ndarray) -> Any:
    """A column of the bytes of files."""
    return pd.Series(list(served), dtype=object)


def column(served: np.ndarray) -> Any:
    """A column of a DataFrame: texts, numbers, or an array a row."""
    if served.dtype == object:
        return pd.Series(texts(served), dtype="str")
    return served if served.ndim == 1 else pd.Series(list(served), dtype=object)


def of_whole_numbers(config: Config, schema: Schema) -> frozenset[str]:
    """The heads that choose one class, all of which are whole numbers: labels that were integers.

    Codes such as 007 are texts.
    """
    found = set()
    for name, head in config.heads.items():
        stats = schema.heads.get(name)
        names = stats.names if isinstance(stats, Classes) else []
        if head.target_type == "class" and names and all(map(_is_whole, names)):
            found.add(name)
    return frozenset(found)


def _is_whole(name: str) -> bool:
    try:
        return str(int(name)) == name and -(2**63) <= int(name) < 2**63
    except ValueError:
        return False
