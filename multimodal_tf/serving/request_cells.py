"""Cells of a client's rows as an exported model takes them."""

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.serving.rows import Row


def of_rows(
    rows: Sequence[Row],
    keys: Mapping[str, Sequence[str]],
    config: Config,
    names: Collection[str],
    root: str | os.PathLike[str] | None,
) -> tuple[dict[str, list[Cell | None]], list[list[str]]]:
    """The cells for the graph, None where missing or broken, and what is broken in each row.

    Args:
        rows: by key.
        keys: by input those that it may read, the first that exists.
        config: of the model.
        names: of the inputs whose cells are read; those of others are None.
        root: folder that relative paths start from; None: paths are not taken.
    """
    cells: dict[str, list[Cell | None]] = {name: [None] * len(rows) for name in config.inputs}
    faults: list[list[str]] = [[] for _ in rows]
    for name in (name for name in cells if name in names):
        for number, row in enumerate(rows):
            value = next((row[key] for key in keys[name] if key in row), None)
            try:
                cells[name][number] = read_cell(value, config.inputs[name], root, config.missing)
            except CellError as error:
                faults[number].append(f"{name}: {error}")
    return cells, faults


def convert(config: Config, cells: Mapping[str, list[Cell | None]], present: np.ndarray) -> bool:
    """Converts cells that the graph refused, as ingest does; whether there were any.

    Args:
        config: of the model.
        cells: by input one a row; changed in place.
        present: bool `(rows, inputs)`, which the graph could read.
    """
    found = False
    for (name, one), flags in zip(config.inputs.items(), present.T):
        if not one.is_media:
            continue
        for row, cell in enumerate(cells[name]):
            if cell and not flags[row]:
                converted, reason = kind_of(one).checked(cell)
                if not reason:
                    cells[name][row], found = converted, True
    return found
