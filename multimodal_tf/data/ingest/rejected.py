"""The list of rejected cells, `rejected.csv`."""

import csv
import heapq
from collections.abc import Iterable

import pydantic

from multimodal_tf.config.formulas import escape
from multimodal_tf.data import atomic
from multimodal_tf.data.filesystem import Path

FILE = "rejected.csv"


class Rejected(pydantic.BaseModel):
    """A broken cell; with `column` "", a row that is left out for no single cell's sake."""

    row: int
    column: str
    path: str
    reason: str


def write_rejected(records: Path, by_split: Iterable[Iterable[Rejected]]) -> int:
    """Writes the list sorted by row, and returns its length; no spreadsheet runs its cells.

    Args:
        records: the folder to write into.
        by_split: for each split, its rejected cells sorted by row; they are not held in memory.
    """
    count = 0
    with (
        atomic.replacing(records / FILE) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(Rejected.model_fields)
        for rejected in heapq.merge(*by_split, key=lambda one: one.row):
            writer.writerow(map(escape, rejected.model_dump().values()))
            count += 1
    return count
