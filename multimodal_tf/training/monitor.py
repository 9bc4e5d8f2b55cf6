"""`training.monitor`: the score on validation rows that chooses the epoch that is kept."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.heads import Head
from multimodal_tf.config.monitor import VAL_LOSS, chosen_monitor, monitors
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.monitored import LOWER
from multimodal_tf.training.validation_rows import HeadRows, ValidationRows, score


@dataclasses.dataclass(frozen=True)
class Monitor:
    """The name of a score in the history, and whether the least or the most is best.

    Args:
        name: as Keras logs it.
        mode: of `keras.callbacks.EarlyStopping`.
        callback: adds the score to the logs; None: Keras logs it.
        note: why it is not the configured one; "": it is.
    """

    name: str
    mode: Literal["min", "max"] = "min"
    callback: keras.callbacks.Callback | None = None
    note: str = ""

    def scores(self, first: Mapping[str, float]) -> dict[str, float]:
        """The score of the model as it is, by its name.

        Args:
            first: metrics of these weights; empty: they do not count, and nothing is computed.
        """
        return self.callback.scores() if first and isinstance(self.callback, _Score) else {}

    def best(
        self, history: Mapping[str, list[float]], first: Mapping[str, float], start: int = 0
    ) -> int:
        """The epoch, from 1, with the best score: of equal ones the first, as Keras keeps it.

        Args:
            history: one number per epoch by name.
            first: metrics of the first weights, which are those of epoch 0; may be empty.
            start: epochs at the beginning that do not count.
        """
        values = np.array(history[self.name], float)
        values[:start] = np.nan
        before = first.get(self.name, np.nan)
        signed = (1 if self.mode == "min" else -1) * np.array([before, *values])
        return int(np.nanargmin(signed))


def direction(monitor: str) -> Literal["min", "max"]:
    """Whether the least or the most is best, by a name of `training.monitor`.

    Example:
        >>> direction("val_price_mae"), direction("val_label_f1")
        ('min', 'max')
    """
    lower = monitor == VAL_LOSS or monitor.endswith(tuple(f"_{name}" for name in LOWER))
    return "min" if lower else "max"


def make_monitor(
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
    validated: bool,
    frozen: FrozenCells | None = None,
) -> Monitor:
    """The configured monitor; the validation loss where these rows do not define it.

    Args:
        model: that is trained.
        config, schema: of the model.
        records: folder of ingested records.
        validated: whether there are validation rows of known labels.
        frozen: as for `load_split`.
    """
    name = chosen_monitor(config.training.monitor, config.heads)
    if name == VAL_LOSS or not validated:
        return Monitor(VAL_LOSS)
    of_head, wanted = monitors(config.heads)[name]
    head = config.heads[of_head]
    rows = ValidationRows(model, config, schema, records, [of_head], frozen)
    if not _is_defined(wanted, head, rows, of_head):
        note = (
            f"training.monitor {name} is not defined on the validation rows, "
            "so the validation loss chooses the epoch"
        )
        return Monitor(VAL_LOSS, note=note if config.training.monitor else "")
    return Monitor(name, direction(name), _Score(name, of_head, wanted, head, rows))


def _is_defined(wanted: str, head: Head, rows: ValidationRows, of_head: str) -> bool:
    """Whether these rows define a score, whatever is predicted."""
    if head.compared_cells:
        # which cells a row has shows in what is predicted
        return not np.isnan(score(wanted, head, rows.predicted()[of_head]))
    targets = rows.targets()[of_head]
    # where a teacher teaches rows without labels
    if not len(targets):
        return False
    classes = int(targets.max(initial=0)) + 1
    right = np.eye(classes)[targets.astype(int)] if head.target_type == "class" else targets
    if head.target_type == "number":
        right = np.repeat(targets, head.point_index + 1, axis=1)
    return not np.isnan(score(wanted, head, HeadRows(targets, right)))


class _Score(keras.callbacks.Callback):
    """Adds a head's score on the validation rows to the logs of each epoch.

    It comes before the callbacks that read the logs.
    """

    def __init__(
        self, name: str, of_head: str, wanted: str, head: Head, rows: ValidationRows
    ) -> None:
        super().__init__()
        self._name, self._of_head, self._wanted = name, of_head, wanted
        self._head, self._rows = head, rows

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Predicts the rows, and adds the score under the monitor's name."""
        if logs is not None:
            logs.update(self.scores())

    def scores(self) -> dict[str, float]:
        """The score of the model as it is, by the monitor's name."""
        rows = self._rows.predicted()[self._of_head]
        # of a loss that has become NaN
        if not np.isfinite(rows.predictions).all():
            return {self._name: np.nan}
        return {self._name: score(self._wanted, self._head, rows)}
