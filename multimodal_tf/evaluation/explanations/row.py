"""One row with changes of its cells, and the one number of the answer that is explained."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from multimodal_tf.corruptions.corruption import Cell, is_missing

# of one call of the model: a large photo is repeated in every variant of its row
_ROWS, _BYTES = 1024, 2**27


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One row, and which number of the model's answer to it is to be explained.

    Args:
        cells: by input, an array of length 1 of undecoded cells, as `pipeline.load_raw` yields
            them.
        answer: function of such cells of any number of rows to the answers by head, as
        `perception.examined.Examined.answer`.
        score: function of these answers to float `(rows,)`, such as the probability of one class.

    Example:
        >>> cells = {"title": np.array([b"red shoe"], object), "price": np.array([3.0])}
        >>> row = Row(cells, lambda raw: {"length": np.array([len(cell) for cell in raw["title"]])}, lambda answers: answers["length"])
        >>> row.there, row.scores([{}, {"title": b"red"}, row.without("title")])
        (['title', 'price'], array([8., 3., 0.]))
    """

    cells: Mapping[str, np.ndarray]
    answer: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
    score: Callable[[Mapping[str, np.ndarray]], np.ndarray]

    @property
    def there(self) -> list[str]:
        """The inputs whose cell is not missing; it may be broken."""
        return [name for name in self.cells if not is_missing(self.cell(name))]

    def cell(self, name: str) -> Cell:
        """A cell as it stands: bytes, a float, or for a video a list of bytes."""
        return self.cells[name][0].tolist() if self.cells[name].ndim == 2 else self.cells[name][0]

    def without(self, *names: str) -> dict[str, Cell]:
        """The change by which these inputs are missing."""
        return {name: _missing(self.cells[name]) for name in names}

    def scores(self, changes: Iterable[Mapping[str, Cell]]) -> np.ndarray:
        """The scores of variants of the row, many of which the model answers in one call.

        Args:
            changes: for each variant, the cells that are other than the row's, by input. They are
                made as they are needed.

        Returns:
            float64 `(variants,)`.

        Raises:
            ValueError: the score has another shape, or is not finite.
        """
        return np.concatenate([np.zeros(0), *(self._of(batch) for batch in self._batches(changes))])

    def _batches(self, changes) -> Iterator[list[Mapping[str, Cell]]]:
        batch: list[Mapping[str, Cell]] = []
        size = 0
        for change in changes:
            batch.append(change)
            size += sum(_bytes(change.get(name, own)) for name, own in self._own.items())
            if len(batch) >= _ROWS or size >= _BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    @functools.cached_property
    def _own(self):
        return {name: self.cell(name) for name in self.cells}

    def _of(self, batch):
        raw = {
            name: _column(own, [change.get(name) for change in batch])
            for name, own in self.cells.items()
        }
        found = np.asarray(self.score(self.answer(raw)), dtype=float)
        if found.shape != (len(batch),) or not np.isfinite(found).all():
            raise ValueError(
                f"the score must be a finite number for each of the {len(batch)} variants, received {found!r:.200}"
            )
        return found


def _missing(cells: np.ndarray) -> Cell:
    if cells.ndim == 2:
        return []
    return b"" if cells.dtype == object else float("nan")


def _bytes(cell: Cell) -> int:
    return (
        sum(map(len, cell))
        if isinstance(cell, list)
        else len(cell)
        if isinstance(cell, bytes)
        else 8
    )


def _column(own: np.ndarray, changed: list) -> np.ndarray:
    """One input of all variants; None: the row's own cell."""
    if own.ndim == 1:
        column = np.repeat(own, len(changed))
        for place, cell in enumerate(changed):
            if cell is not None:
                column[place] = cell
        return column
    frames = [own[0].tolist() if cell is None else cell for cell in changed]
    table = np.full((len(frames), max(1, *map(len, frames))), b"", dtype=object)
    for place, files in enumerate(frames):
        table[place, : len(files)] = files
    return table
