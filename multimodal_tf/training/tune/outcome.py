"""The outcome of a trial: a small file beside what Keras Tuner keeps.

Keras Tuner's own record does not have the metrics of folds. If workers report to a chief, it does
not have the reason why a trial failed, either.
"""

import hashlib
import json
import pathlib
from typing import Any, Literal

import keras_tuner
import pydantic

from multimodal_tf.config.json_files import read_model
from multimodal_tf.data import atomic

_FOLDER = "outcomes"


class Outcome(pydantic.BaseModel):
    """The outcome of a trial."""

    status: Literal["completed", "diverged", "refused", "failed"]
    # of the configuration and the rows
    key: str = ""
    # why it is not completed, one sentence
    reason: str = ""
    # of the epoch whose weights were kept, or their means over folds
    metrics: dict[str, float] = {}
    # standard deviations over folds
    std: dict[str, float] = {}
    # the metrics of each fold
    folds: list[dict[str, float]] = []
    # of all folds together
    epochs: int = 0
    seconds: float = 0.0
    parameters: int = 0


def key_of(values: Any) -> str:
    """A name for JSON values, the same in every process.

    Example:
        >>> key_of({"a": 1, "b": 2.0}) == key_of({"b": 2.0, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def trial_key(hp: keras_tuner.HyperParameters) -> str:
    """The key of a trial's hyperparameters.

    Inactive fields do not count. A worker gets values for some of them from the chief, because
    Keras Tuner sends the fields sorted by kind, and takes first options for chosen ones while it
    unpacks them.
    """
    inactive = {one.name for one in hp.space if not hp.is_active(one)}
    return key_of({name: value for name, value in hp.values.items() if name not in inactive})


def save(folder: pathlib.Path, key: str, outcome: Outcome) -> None:
    """Writes an outcome atomically."""
    path = folder / _FOLDER / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, outcome.model_dump_json(indent=1))


def load(folder: pathlib.Path, key: str) -> Outcome | None:
    """The outcome of a trial; None if there is none yet."""
    path = folder / _FOLDER / f"{key}.json"
    return read_model(path, Outcome, "the outcome of a trial") if path.is_file() else None
