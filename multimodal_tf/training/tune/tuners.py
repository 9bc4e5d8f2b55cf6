"""Keras Tuner's tuners over a `SearchModel`, in a directory that a killed search goes on from."""

import dataclasses
import json
import os
import pathlib
import shutil
from typing import Literal

import keras_tuner
import keras_tuner.src.config
import keras_tuner.src.utils

from multimodal_tf.config.search_space import Space
from multimodal_tf.data import atomic
from multimodal_tf.training.tune.model import SearchModel

# Keras Tuner's own files
PROJECT = "trials"
_ORACLE = "oracle.json"
# Keras Tuner's names of the process that keeps the trials
_NAMES = ("tuner0", "chief")
# a search goes on however many trials fail
_NEVER = 10**9


@dataclasses.dataclass(frozen=True)
class Settings:
    """What every process of a search is told."""

    space: Space
    records: str | os.PathLike
    directory: pathlib.Path
    objective: str
    tuner: Literal["random", "bayesian", "hyperband"]
    trials: int | None
    folds: tuple[pathlib.Path, ...]
    memory: int | None

    @property
    def project(self) -> pathlib.Path:
        """Where Keras Tuner's files are."""
        return self.directory / PROJECT

    def model(self) -> SearchModel:
        """The search space as a HyperModel; errors as `SearchModel`."""
        return SearchModel(self.space, self.records, self.directory, self.folds, self.memory)


def search(settings: Settings, keeps: bool = True):
    """Runs the part of a search that this process has: all of it, or what Keras Tuner's environment
    variables say.

    Args:
        settings: `Settings`.
        keeps: whether this process keeps the trials, alone or as chief; else it is a worker.
    """
    _mend()
    if keeps:
        make_ready(settings.project)
    model = settings.model()
    _tuner(settings, model).search(verbose=0)


def _tuner(settings, model):
    first = settings.space.first()
    common = {
        "objective": model.objective(settings.objective),
        "directory": str(settings.directory),
        "project_name": PROJECT,
        # 0 would be none
        "seed": first.seed + 1,
        "max_consecutive_failed_trials": _NEVER,
    }
    match settings.tuner:
        case "random":
            return keras_tuner.RandomSearch(model, max_trials=settings.trials, **common)
        case "bayesian":
            # By default it draws three times as many at random as there are fields, which may be
            # all.
            drawn = max(3, min(3 * len(settings.space.fields()), settings.trials // 2))
            return keras_tuner.BayesianOptimization(
                model, max_trials=settings.trials, num_initial_points=drawn, **common
            )
    return keras_tuner.Hyperband(model, max_epochs=first.training.epochs, **common)


def make_ready(project: pathlib.Path):
    """Makes what a killed search left such that Keras Tuner goes on from it, whichever process was
    killed, and when.

    Keras Tuner takes up a search only where a file of its own process's name is, which it writes at
    the end of the first trial; and a trial that was written just before the list of trials would be
    counted for ever, and never run.
    """
    if not (project / _ORACLE).is_file():
        return
    for name in _NAMES:
        atomic.write_text(project / f"{name}.json", "{}")
    listed = json.loads((project / _ORACLE).read_text(encoding="utf-8"))["start_order"]
    for trial in project.glob("trial_*"):
        if trial.name.removeprefix("trial_") not in listed:
            shutil.rmtree(trial)


def _mend():
    """Mends two things of Keras Tuner 1.4.8, in this process.

    It writes its files in place, and one that a kill cuts short could not be read again: they are
    replaced as a whole. And it prints the
    traceback of every trial that fails, into the progress bar: the table of trials says why.
    """

    def save_json(path, content):
        text = json.dumps(content)
        atomic.write_text(pathlib.Path(path), text)
        return text

    keras_tuner.src.utils.save_json = save_json
    keras_tuner.src.config.DEBUG = False
