"""What became of a trial: a small file for each drawn configuration, beside what Keras Tuner keeps.

Keras Tuner's own record has neither the folds' figures nor, where workers report to a chief, why a
trial failed.
"""

import hashlib
import json
import pathlib
from typing import Literal

import pydantic

from multimodal_tf.data import atomic

_ROOM = "outcomes"


class Outcome(pydantic.BaseModel):
    """Of one trial. Figures are those of the epoch whose weights were kept, or their mean over
    folds.
    """

    status: Literal["completed", "diverged", "refused", "failed"]
    # a hash of what was trained, and on which rows
    of: str = ""
    # why it is not completed, one sentence
    reason: str = ""
    figures: dict[str, float] = {}
    # standard deviation over the folds
    spread: dict[str, float] = {}
    folds: list[dict[str, float]] = []
    # of all folds together
    epochs: int = 0
    seconds: float = 0.0
    parameters: int = 0


def key(values) -> str:
    """A name for what a tuner drew, the same in every process.

    Example:
        >>> key({"a": 1, "b": 2.0}) == key({"b": 2.0, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def key_of(hp) -> str:
    """The key of a trial's hyperparameters.

    Values of fields that do not exist do not count: a worker gets some of them from the chief,
    because Keras Tuner sends the fields sorted by kind, and takes the first options for drawn while
    it unpacks them.
    """
    absent = {one.name for one in hp.space if not hp.is_active(one)}
    return key({name: value for name, value in hp.values.items() if name not in absent})


def save(directory: pathlib.Path, name: str, outcome: Outcome):
    """Writes an outcome, whole or not at all."""
    path = directory / _ROOM / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, outcome.model_dump_json(indent=1))


def load(directory: pathlib.Path, name: str) -> Outcome | None:
    """The outcome of a name; None where there is none yet."""
    path = directory / _ROOM / f"{name}.json"
    return Outcome.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None
