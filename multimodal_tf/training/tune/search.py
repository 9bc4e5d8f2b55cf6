"""`tune`: what everyone writes around a tuner by hand."""

import contextlib
import dataclasses
import io
import json
import logging
import os
import pathlib
import threading
import warnings
from typing import Literal

import keras_tuner
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from multimodal_tf.config import Config
from multimodal_tf.config.search_space import Space
from multimodal_tf.data import atomic, pipeline
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.tune import processes, report, tuners
from multimodal_tf.training.tune.tuners import Settings

BEST, TRIALS, SPACE, IDENTITY = "best.yaml", "trials.csv", "space.yaml", "search.json"
LOOPBACK = "127.0.0.1"
_TRIALS = 30
# seconds between two looks at how far the search is
_LOOK = 0.5


@dataclasses.dataclass(frozen=True)
class Search:
    """A search that has ended. `table` has a row a trial: see `trials.csv`."""

    best: Config
    score: float
    # of the best over folds; NaN without folds
    spread: float
    table: pd.DataFrame
    directory: pathlib.Path


def tune(
    space: Space,
    records: str | os.PathLike,
    directory: str | pathlib.Path,
    objective: str = "val_loss",
    trials: int | None = None,
    tuner: Literal["random", "bayesian", "hyperband"] = "bayesian",
    folds: int | None = None,
    table: Table | None = None,
    group: str | None = None,
    workers: int = 1,
    listen: str = LOOPBACK,
    chief: str | None = None,
    progress: bool | None = None,
) -> Search | None:
    """Searches a space for the configuration that does best.

    Killed in any way and called again with the same arguments, it goes on; with more `trials` it
    also goes on. What trial is drawn next depends on which ended before, so several workers do not
    try the same as one.

    Args:
        space: `Space`.
        records: where `ingest` wrote.
        directory: gets `best.yaml`, `trials.csv`, `objective.png`, `fields.png` and, from eight
            completed trials on, `importance.png`; also `space.yaml`, Keras Tuner's files in
            `trials`, the outcome of each trial in `outcomes`, `folds`, and `logs` of the processes.
        objective: as `SearchModel.objective`.
        trials: int. How many; None: 30. Hyperband decides that itself.
        tuner: Keras Tuner's RandomSearch, BayesianOptimization or Hyperband; the last draws many,
            and trains only good ones on, up to `training.epochs`.
        folds: int. The objective is the mean over so many folds (`make_folds`), the same ones in
        every trial; None: the validation split.
        table, group: as `make_folds`.
        workers: int. With 2 or more, each is a process with its share of the cores, and a chief
            tells them what to try. They start by importing the calling script, which therefore
            needs `if __name__ == "__main__":`.
        listen: `HOST` or `HOST:PORT` of the chief. By default only this machine can reach it. Any
            other host means unencrypted gRPC without a password: for networks in which everyone is
            trusted.
        chief: `HOST:PORT` of a chief on another host, for which the workers here work; `records`
            and `directory` must be the same there and here, on a shared file system.
        progress: whether to show a progress bar; None: where standard error is a terminal.

    Returns:
        `Search`; None with `chief`, since the search ends there.

    Raises:
        FileNotFoundError: ingest has not ended in `records`.
        ValueError: an argument is out of range, the objective is no head's, an option of the space
            needs another ingest, `directory` holds another search, or no trial was completed.
        OSError: `directory` cannot be used or another process searches there, the port is in use,
        no chief answers, or processes die.
    """
    directory, trials = pathlib.Path(directory), _checked(space, trials, tuner, folds, workers)
    turns = tuple(directory / "folds" / f"turn-{number}" for number in range(folds or 0))
    settings = Settings(
        space,
        records,
        directory,
        objective,
        tuner,
        trials,
        turns,
        pipeline.available_memory() // workers,
    )
    model = settings.model()
    direction = model.objective(objective).direction
    if chief is not None:
        processes.run(settings, workers, processes.address(chief), chief=False)
        return None
    where = processes.listening(listen) if workers > 1 or listen != LOOPBACK else None
    with atomic.locked(directory):
        identity = _identity(settings)
        if folds is not None:
            make_folds(records, directory / "folds", folds, table, group)
        _check_first(model)
        atomic.write_text(directory / IDENTITY, json.dumps(identity, indent=1))
        atomic.write_text(directory / SPACE, space.to_yaml())
        with _progress_bar(settings, direction, progress):
            if where is None:
                with _quiet():
                    tuners.search(settings)
            else:
                processes.run(settings, workers, where, chief=True)
        return _conclude(settings, model.objective(objective))


def _checked(space, trials, tuner, folds, workers):
    """The number of trials, None where the tuner decides."""
    for name, value in (("trials", trials), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, received {value}")
    if tuner not in ("random", "bayesian", "hyperband"):
        raise ValueError(f"tuner must be random, bayesian or hyperband, received {tuner!r}")
    if tuner != "hyperband":
        return _TRIALS if trials is None else trials
    if trials is not None:
        raise ValueError(
            f"trials must be left to hyperband, which decides itself how many there are, received {trials}"
        )
    if folds is not None:
        raise ValueError(
            f"folds need the tuner random or bayesian, since hyperband trains one model on, received {folds}"
        )
    if any(
        one.peft is not None and (one.peft.lora or one.peft.adapters) for one in space.variants()
    ):
        raise ValueError(
            "hyperband trains a model's own weights on, so the search space must be without peft.lora and adapters"
        )
    return None


def _identity(settings):
    """What makes the search the one that it is.

    Raises:
        ValueError: the directory holds another.
    """
    ours = {
        "space": settings.space.to_yaml(),
        "records": Manifest.load(settings.records).hash,
        "objective": settings.objective,
        "tuner": settings.tuner,
        "folds": len(settings.folds),
    }
    file = settings.directory / IDENTITY
    if file.is_file():
        theirs = json.loads(file.read_text(encoding="utf-8"))
        other = next((name for name in ours if theirs.get(name) != ours[name]), None)
        if other is not None:
            shown = (
                "" if other == "space" else f" ({theirs.get(other)!r}, received {ours[other]!r})"
            )
            raise ValueError(
                f"{settings.directory} holds a search with another {other}{shown}: choose another directory"
            )
    return ours


def _check_first(model):
    """Keras Tuner builds a model of first options before it begins, which must therefore be one."""
    try:
        model.build(model.hyperparameters())
    except keras_tuner.errors.FailedTrialError as error:
        raise ValueError(
            f"the search space's first options must make a model that can be trained: {error}"
        ) from error


def _conclude(settings, objective):
    """Writes the table, the pictures and the best configuration."""
    table = report.table_of(settings.project, settings.directory, settings.space, objective.name)
    with atomic.replacing(settings.directory / TRIALS) as temporary:
        table.to_csv(temporary, index=False)
    best = report.best(table, objective.direction)
    if best is None:
        raise ValueError(
            f"none of {len(table)} trials was completed: {settings.directory / TRIALS} says why"
        )
    config = settings.space.draw(report.values_of(settings.project, best["trial"]))
    atomic.write_text(settings.directory / BEST, config.to_yaml())
    report.draw_objective(table, settings.objective, objective.direction).savefig(
        settings.directory / "objective.png"
    )
    report.draw_fields(table, settings.space, settings.objective).savefig(
        settings.directory / "fields.png"
    )
    weights = report.importance(table, settings.space)
    if weights is not None:
        report.draw_importance(weights).savefig(settings.directory / "importance.png")
    return Search(
        config, float(best["objective"]), float(best["spread"]), table, settings.directory
    )


@contextlib.contextmanager
def _quiet():
    """Keeps out of the progress bar what is no news in a search: that a loss ends in NaN, that each
    trial has another model to trace, and how well the tuner's own Gaussian process fits."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextlib.contextmanager
def _progress_bar(settings, direction, progress):
    """Shows how many trials have ended, and the best, as long as the block lasts; the files tell,
    whichever process writes them.
    """
    done = threading.Event()
    with progress_bar("tune", "trials", settings.trials, progress) as update:

        def look():
            ended, scores = report.ended(settings.project)
            best = f", best {(max if direction == 'max' else min)(scores):.4g}" if scores else ""
            update(completed=ended, note=best)

        def follow():
            while not done.wait(_LOOK):
                look()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            look()
