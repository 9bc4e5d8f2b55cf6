"""`tune`: searches a space for the best configuration, with tables and plots of the trials."""

import dataclasses
import pathlib
from typing import get_args

import keras_tuner
import pandas as pd

from multimodal_tf.config import Config
from multimodal_tf.config.search_space import Space
from multimodal_tf.data import atomic, pipeline
from multimodal_tf.data.csv_frame import escape_frame
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import Table
from multimodal_tf.training.devices import check_precision
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.identity import Identity, check_same, save_identity
from multimodal_tf.training.tune import processes, report, tuners
from multimodal_tf.training.tune.model import SearchModel
from multimodal_tf.training.tune.progress import quiet, search_progress
from multimodal_tf.training.tune.tuners import Settings, TunerName

BEST, TRIALS, SPACE, IDENTITY = "best.yaml", "trials.csv", "space.yaml", "search.json"
LOOPBACK = "127.0.0.1"
_TRIALS = 30


@dataclasses.dataclass(frozen=True)
class Search:
    """A finished search. `table` has a row for each trial, as `trials.csv`."""

    best: Config
    # the best objective
    score: float
    # its standard deviation over folds; NaN without folds
    std: float
    table: pd.DataFrame
    out: pathlib.Path


def tune(
    space: Space,
    records: PathLike,
    out: str | pathlib.Path,
    objective: str = "val_loss",
    trials: int | None = None,
    tuner: TunerName = "bayesian",
    folds: int | None = None,
    table: Table | None = None,
    group: str | None = None,
    workers: int = 1,
    listen: str = LOOPBACK,
    chief: str | None = None,
    progress: bool | None = None,
    cache: bool = True,
) -> Search | None:
    """Searches a space for the configuration with the best objective.

    Call it again with the same arguments to resume, or with more `trials` to continue. The next
    trial depends on which ones have ended, so several workers try others than one would.

    Args:
        space: `Space`.
        records: folder that `ingest` wrote.
        out: gets `best.yaml`, `trials.csv` and plots, `space.yaml`, Keras Tuner's files in
            `trials`, the outcome of each trial in `outcomes`, `folds`, and `logs` of processes.
        objective: as for `SearchModel.objective`.
        trials: int; None: 30. With hyperband it must be None.
        tuner: Keras Tuner's. Hyperband tries many, and continues with the good ones only.
        folds: int. The objective is the mean over folds, the same ones in every trial
            (`make_folds`); None: that of the validation split.
        table, group: as for `make_folds`.
        workers: int. With 2 or more, each is a process with its share of the cores. They import
            the calling script, which therefore needs `if __name__ == "__main__":`.
        listen: `HOST` or `HOST:PORT` of the chief. Hosts other than this machine mean unencrypted
            gRPC without a password: for trusted networks only.
        chief: `HOST:PORT` of a chief on another host, for which the workers here work. `records`
            and `out` must be the same there and here, on a shared file system.
        progress: whether to show a progress bar; None: if standard error is a terminal.
        cache: as for `fit`, except another folder: all trials and folds share it.

    Returns:
        `Search`; None with `chief`, since the search ends there.

    Raises:
        FileNotFoundError: ingest has not finished in `records`.
        ValueError: an argument is wrong, an option of the space needs another ingest, `out` holds
            another search, or no trial was completed.
        OSError: `out` or the port cannot be used, no chief answers, or processes die.
    """
    out = pathlib.Path(out)
    trials = _check(space, trials, tuner, folds, workers)
    fold_dirs = tuple(out / "folds" / f"fold-{number}" for number in range(folds or 0))
    memory = pipeline.available_memory() // workers
    settings = Settings(space, records, out, objective, tuner, trials, fold_dirs, memory, cache)
    model = settings.model()
    if chief is None:
        return _search(settings, model, table, group, workers, listen, progress)
    _work_for(chief, settings, model, workers)
    return None


def _work_for(chief: str, settings: Settings, model: SearchModel, workers: int) -> None:
    """Runs the workers of a search whose chief is elsewhere."""
    # a wrong objective is refused here, too
    model.objective(settings.objective)
    processes.run(settings, workers, processes.parse_address(chief), chief=False)


def _search(
    settings: Settings,
    model: SearchModel,
    table: Table | None,
    group: str | None,
    workers: int,
    listen: str,
    progress: bool | None,
) -> Search:
    objective = model.objective(settings.objective)
    in_processes = workers > 1 or listen != LOOPBACK
    address = processes.listen_address(listen) if in_processes else None
    with atomic.locked(settings.out):
        identity = _identity(settings)
        if settings.folds:
            folds = len(settings.folds)
            make_folds(settings.records, settings.out / "folds", folds, table, group)
        _check_default_model(model)
        save_identity(settings.out / IDENTITY, identity)
        atomic.write_text(settings.out / SPACE, settings.space.to_yaml())
        with search_progress(settings.project, settings.trials, objective.direction, progress):
            if address is None:
                with quiet():
                    tuners.search(settings, model=model)
            else:
                processes.run(settings, workers, address, chief=True)
        return _write_results(settings, objective)


def _check(
    space: Space, trials: int | None, tuner: str, folds: int | None, workers: int
) -> int | None:
    """The number of trials; None if the tuner decides."""
    for name, value in (("trials", trials), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, received {value}")
    if tuner not in get_args(TunerName):
        raise ValueError(f"tuner must be random, bayesian or hyperband, received {tuner!r}")
    if tuner != "hyperband":
        return _TRIALS if trials is None else trials
    if trials is not None:
        raise ValueError(
            "trials must be left to hyperband, which decides on their number itself, "
            f"received {trials}"
        )
    if folds is not None:
        raise ValueError(
            "folds need the tuner random or bayesian, since hyperband continues to train one "
            f"model, received {folds}"
        )
    peft = [config.peft for config in space.variants() if config.peft is not None]
    if any(one.lora or one.adapters for one in peft):
        raise ValueError(
            "hyperband continues to train a model's own weights, so the search space must be "
            "without peft.lora and peft.adapters"
        )
    return None


def _identity(settings: Settings) -> Identity:
    """What makes a search the same when it is resumed.

    Raises:
        ValueError: the folder holds another search.
    """
    identity: Identity = {
        "space": settings.space.to_yaml(),
        "records": Manifest.load(settings.records).hash,
        "objective": settings.objective,
        "tuner": settings.tuner,
        "folds": len(settings.folds),
    }
    check_same(settings.out / IDENTITY, identity, "search", lengthy="space")
    return identity


def _check_default_model(model: SearchModel) -> None:
    """Checks the model of first options, which Keras Tuner builds before the first trial."""
    check_precision(model.config(model.hyperparameters()).training)
    try:
        model.build(model.hyperparameters())
    except keras_tuner.errors.FailedTrialError as error:
        raise ValueError(
            f"the search space's first options must make a model that can be trained: {error}"
        ) from error


def _write_results(settings: Settings, objective: keras_tuner.Objective) -> Search:
    """Writes the table, the plots and the best configuration."""
    out = settings.out
    table = report.trials_table(settings.project, out, settings.space, objective.name)
    with atomic.replacing(out / TRIALS) as temporary:
        escape_frame(table).to_csv(temporary, index=False)
    best = report.best(table, objective.direction)
    if best is None:
        raise ValueError(f"none of {len(table)} trials was completed: {out / TRIALS} says why")
    config = settings.space.config(report.trial_values(settings.project, best["trial"]))
    atomic.write_text(out / BEST, config.to_yaml())
    plots = {
        "objective": report.plot_objective(table, settings.objective, objective.direction),
        "fields": report.plot_fields(table, settings.space, settings.objective),
    }
    importance = report.field_importance(table, settings.space)
    if importance is not None:
        plots["importance"] = report.plot_importance(importance)
    for name, plot in plots.items():
        plot.savefig(out / f"{name}.png")
    return Search(config, float(best["objective"]), float(best["std"]), table, out)
