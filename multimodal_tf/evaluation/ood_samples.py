"""Out-of-distribution cells: corrupted ones, data of another kind, and broken files.

They are `Corruption`s of a cell, so they are drawn in the same way.
"""

import math
from typing import Any

import numpy as np

from multimodal_tf.config import Input
from multimodal_tf.corruptions import Corruption, columns, corruptions_for, other_data
from multimodal_tf.schema import InputStats

__all__ = ["any_corruption", "broken", "other_data"]

_NO_FILE = b"\xff\xfe"


def any_corruption(input_config: Input, stats: InputStats | None) -> Corruption:
    """One of all corruptions of an input except `missing`, drawn for each cell.

    Args:
        input_config: configuration of the input.
        stats: `schema.inputs[name]`, or None.
    """
    kinds = [kind for kind in corruptions_for(input_config, stats) if kind is not columns.MISSING]

    def change(cell: Any, severity: int, random: np.random.Generator) -> Any:
        return kinds[random.integers(len(kinds))](cell, severity, random)

    # the name seeds the draws
    return Corruption("damaged", "severity", (1, 2, 3, 4, 5), change)


def broken(input_config: Input) -> Corruption:
    """Bytes that cannot be read, or an infinite number; the severity changes nothing.

    Args:
        input_config: configuration of the input.
    """

    def change(cell: Any, _: int, random: np.random.Generator) -> Any:
        if input_config.cell_dtype != "string":
            return [math.inf for _ in cell] if isinstance(cell, list) else math.inf
        return [_NO_FILE if file else b"" for file in cell] if isinstance(cell, list) else _NO_FILE

    return Corruption("broken", "nothing", (1, 1, 1, 1, 1), change)
