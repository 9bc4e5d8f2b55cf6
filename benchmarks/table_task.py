"""One table with one split: what the models of `benchmarks.tables` are fitted to."""

import functools
import pathlib

import numpy as np

from benchmarks.table_sources.source import GROUP, LABEL, fingerprint, split_rows
from multimodal_tf.data.split import SPLITS
from multimodal_tf.metrics.clustered import group_codes


class Task:
    """A table's rows, its split, and its labels as arrays.

    Args:
        source: `table_sources.source.Source`.
        frame: what it made.
        seed: int, of the split.

    Attributes:
        words: the split of each row, `(rows,)` of str.
        classes: names of classes or labels, sorted; empty for numbers.
        digest: of the cells and the split.
    """

    def __init__(self, source, frame, seed):
        self.source, self.frame, self.seed = source, frame, seed
        self.words = split_rows(frame, source.metric, seed)
        self.digest = fingerprint(frame.assign(split=self.words))
        labels = frame[LABEL]
        many = source.metric == "average_precision"
        names = {one for row in labels for one in row} if many else {*labels}
        self.classes = [] if source.metric == "r2" else sorted(names)

    @functools.cached_property
    def targets(self):
        """By split int `(rows,)`, bool `(rows, labels)`, or float `(rows,)` for numbers."""
        labels = [*self.frame[LABEL]]
        if self.source.metric == "r2":
            targets = np.array(labels, float)
        elif self.source.metric == "average_precision":
            targets = np.array([[name in row for name in self.classes] for row in labels])
        else:
            index = {name: number for number, name in enumerate(self.classes)}
            targets = np.array([index[label] for label in labels])
        return {split: targets[self.words == split] for split in SPLITS}

    @functools.cached_property
    def cells(self):
        """As `features.raw`: by split and column."""
        columns = {
            name: [self._cell(cell, kind) for cell in self.frame[name]]
            for name, kind in self.source.kinds.items()
        }
        return {
            split: {
                name: [cells[row] for row in np.flatnonzero(self.words == split)]
                for name, cells in columns.items()
            }
            for split in SPLITS
        }

    @property
    def rows(self):
        """Numbers of the test rows in the table, int `(rows,)`."""
        return np.flatnonzero(self.words == "test")

    @property
    def groups(self):
        """A number for the group of every row of the table."""
        return group_codes(self.frame.get(GROUP), len(self.frame))

    def _cell(self, cell, kind):
        missing = cell is None or cell != cell
        if kind == "number":
            return np.nan if missing else float(cell)
        if kind == "category":
            return "" if missing else str(cell)
        if missing:
            return b""
        if kind == "text":
            return str(cell).encode()
        is_bytes = isinstance(cell, bytes)
        return cell if is_bytes else (pathlib.Path(self.source.root) / cell).read_bytes()
