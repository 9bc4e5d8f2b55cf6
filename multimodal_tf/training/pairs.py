"""Whether training rows can teach the heads over several inputs, before the training begins."""

from collections.abc import Mapping

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.heads import LossHead, input_pairs, objectives
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw

_BATCH = 256
# a pair is compared with another row's
_ENOUGH = 2


def check_pairs(config: Config, records: PathLike) -> None:
    """Checks that each head without labels finds two rows with its input, or two of its inputs.

    Cells are read, not decoded, until enough have been found.

    Args:
        config: `Config`.
        records: folder that `ingest` wrote.

    Raises:
        ValueError: a head does not; an input of a head is never present together with another of
            its inputs, or one of its `context` with its input; or its queue is longer than the
            training split.
    """
    heads = objectives(config.heads)
    rows = Manifest.load(records).rows("train")
    for name, head in config.heads.items():
        queue = getattr(head, "queue", 0)
        if queue > rows:
            raise ValueError(
                f"heads.{name}.queue must be at most the {rows} rows of the training split, or a "
                f"row would meet itself in it, received {queue}"
            )
    pairs = {name: _pairs(head) for name, head in heads.items()}
    found = {(name, own): 0 for name, of_head in pairs.items() for pair in of_head for own in pair}
    wanted = dict(found)
    for _, raw, _ in load_raw(config, records, "train", _BATCH).as_numpy_iterator():
        if not wanted:
            return
        present = _present(config, raw)
        for name, of_head in pairs.items():
            for pair in of_head:
                together = int((present[pair[0]] & present[pair[1]]).sum())
                for own in {*pair}:
                    found[name, own] += together
        wanted = {key: count for key, count in found.items() if count < _ENOUGH}
    for (name, own), count in wanted.items():
        inputs = heads[name].inputs or ()
        others = " or ".join(other for other in inputs if other != own)
        beside = f" together with {others}" if others else ""
        field = "inputs" if own in inputs else "context"
        raise ValueError(
            f"heads.{name}.{field}: {own!r} must be present{beside} in "
            f"{_ENOUGH} or more rows of the training split, received {count} of {rows}"
        )


def _pairs(head: LossHead) -> list[tuple[str, str]]:
    """Pairs of inputs that must meet in rows; an input that learns alone with itself."""
    alone = [(own, own) for own in head.inputs or ()]
    context = [(own, other) for own in head.inputs or () for other in getattr(head, "context", ())]
    return input_pairs(head) or alone + context


def _present(config: Config, raw: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By vector that heads compare: bool `(rows,)`, whether any of its inputs is present."""
    flags = {name: _has_cell(cells) for name, cells in raw.items()}
    return {
        name: np.any([flags[own] for own in behind], axis=0)
        for name, behind in config.vector_inputs().items()
    }


def _has_cell(cells: np.ndarray) -> np.ndarray:
    """bool `(rows,)`; a cell of several files or numbers is present where any of them is."""
    filled = cells != b"" if cells.dtype == object else ~np.isnan(cells)
    return np.asarray(filled.reshape(len(cells), -1).any(axis=1))
