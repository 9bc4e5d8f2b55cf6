"""One row, variants of its cells, and the score that is explained."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from multimodal_tf.corruptions.columns import missing_like
from multimodal_tf.corruptions.corruption import Cell, is_missing

# limits of one call of the model: a large photo is repeated in every variant of its row
_ROWS, _BYTES = 1024, 2**27


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One row, and the score of its prediction that is explained.

    Args:
        cells: by input, an array of length 1 of undecoded cells, as `pipeline.load_raw` yields
            them.
        predict: function of such cells of n rows to predictions by head, as `EvalSplit.predict`.
        score: function of these predictions to float `(rows,)`, such as one class's probability.

    Example:
        >>> def predict(raw):
        ...     return {"length": np.array([len(cell) for cell in raw["title"]])}
        >>> cells = {"title": np.array([b"red shoe"], object), "price": np.array([3.0])}
        >>> row = Row(cells, predict, lambda predictions: predictions["length"])
        >>> row.present, row.scores([{}, {"title": b"red"}, row.without("title")])
        (['title', 'price'], array([8., 3., 0.]))
    """

    cells: Mapping[str, np.ndarray]
    predict: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
    score: Callable[[Mapping[str, np.ndarray]], np.ndarray]

    @property
    def present(self) -> list[str]:
        """The inputs whose cell is not missing. The cell may be broken."""
        return [name for name in self.cells if not is_missing(self.cell(name))]

    def cell(self, name: str) -> Any:
        """A cell as bytes, a float, or a list of bytes or floats."""
        return self.cells[name][0].tolist() if self.cells[name].ndim == 2 else self.cells[name][0]

    def without(self, *names: str) -> dict[str, Cell]:
        """The change that empties the cells of these inputs."""
        return {name: missing_like(self._own_cells[name]) for name in names}

    def scores(self, changes: Iterable[Mapping[str, Cell]]) -> np.ndarray:
        """The scores of variants of the row, predicted in large batches.

        Args:
            changes: for each variant, its changed cells by input. They are computed lazily.

        Returns:
            float64 `(variants,)`.

        Raises:
            ValueError: the score has another shape, or is not finite.
        """
        batches = (self._scores_of(batch) for batch in self._batches(changes))
        return np.concatenate([np.zeros(0), *batches])

    def _batches(self, changes: Iterable[Mapping[str, Cell]]) -> Iterator[list[Mapping[str, Cell]]]:
        batch: list[Mapping[str, Cell]] = []
        size = 0
        for change in changes:
            batch.append(change)
            size += sum(_bytes(change.get(name, own)) for name, own in self._own_cells.items())
            if len(batch) >= _ROWS or size >= _BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    @functools.cached_property
    def _own_cells(self) -> dict[str, Cell]:
        return {name: self.cell(name) for name in self.cells}

    def _scores_of(self, batch: Sequence[Mapping[str, Cell]]) -> np.ndarray:
        raw = {
            name: _column(own, [change.get(name) for change in batch])
            for name, own in self.cells.items()
        }
        scores = np.asarray(self.score(self.predict(raw)), dtype=float)
        if scores.shape != (len(batch),) or not np.isfinite(scores).all():
            raise ValueError(
                f"the score must be a finite number for each of the {len(batch)} variants, "
                f"received {scores!r:.200}"
            )
        return scores


def _bytes(cell: Cell) -> int:
    if isinstance(cell, list):
        return sum(map(_bytes, cell))
    return len(cell) if isinstance(cell, bytes) else 8


def _column(own: np.ndarray, changed: Sequence[Cell | None]) -> np.ndarray:
    """One input of all variants; None stands for the row's own cell."""
    if own.ndim == 1 or own.dtype != object:
        column = np.repeat(own, len(changed), axis=0)
        for index, cell in enumerate(changed):
            if cell is not None:
                column[index] = cell
        return column
    frames: list[Any] = [own[0].tolist() if cell is None else cell for cell in changed]
    table = np.full((len(frames), max(1, *map(len, frames))), b"", dtype=object)
    for index, files in enumerate(frames):
        table[index, : len(files)] = files
    return table
