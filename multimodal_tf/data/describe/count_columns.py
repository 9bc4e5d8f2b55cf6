"""Counts every column of a table, and opens the cells of sampled rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_tf.data.describe.cell_types import inspect_cell
from multimodal_tf.data.describe.gap_words import gap_word
from multimodal_tf.data.describe.kinds import OPENED
from multimodal_tf.data.describe.number_formats import decimal_sign
from multimodal_tf.data.describe.sample import COUNTED, Column
from multimodal_tf.data.describe.splits import MOST_VALUES, may_be_split, words_of
from multimodal_tf.data.kinds.cell import cell_key
from multimodal_tf.data.table import Table

# rows in memory at a time
_ROWS = 200


def count_columns(table: Table, given: Mapping[str, str]) -> list[Column]:
    """Rows, missing cells and distinct values of every column, over the whole table."""
    columns = [Column(name) for name in table.columns]
    for column in columns:
        kind = given.get(column.name)
        if kind == "split" or (kind is None and may_be_split(column.name)):
            column.words = {}
    hashes: list[set[int]] = [set() for _ in columns]
    for chunk in table.chunks(rows=_ROWS):
        for column, values, (_, series) in zip(columns, hashes, chunk.items()):
            cells = [cell for cell in series.tolist() if cell is not None]
            column.rows += len(chunk)
            column.missing += len(chunk) - len(cells)
            if len(values) < COUNTED:
                values.update(map(_hash, cells))
            column.gaps.update(filter(None, map(gap_word, cells)))
            if column.words is not None and len(column.words) < MOST_VALUES:
                column.words = words_of([*column.words.values(), *cells])
    for column, values in zip(columns, hashes):
        column.distinct = min(len(values), COUNTED)
    return columns


def _hash(cell: Any) -> int:
    return hash(cell_key(cell))


def open_sample(
    table: Table, columns: list[Column], types: Mapping[str, str], sample: int, seed: int
) -> None:
    """Opens the cells of the sampled rows."""
    rows = columns[0].rows
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(sample, rows), replace=False))
    for chunk in table.chunks(rows=_ROWS):
        mine = chosen[(chosen >= chunk.index[0]) & (chosen <= chunk.index[-1])]
        # pandas takes ten times as long for a cell as for a column
        for column, (_, cells) in zip(columns, chunk.iloc[mine - chunk.index[0]].items()):
            kind = types.get(column.name)
            read_as = kind if kind is None or kind in OPENED else "plain"
            for row, cell in zip(mine.tolist(), cells.tolist()):
                if cell is not None:
                    column.cells.append(inspect_cell(row, cell, table.root, read_as))
    decimal = decimal_sign([column.texts() for column in columns])
    for column in columns:
        column.decimal = decimal
