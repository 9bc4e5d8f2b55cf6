"""The training of one trial, on the validation split or on folds."""

import pathlib
import statistics
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras_tuner.src.engine.tuner_utils import SaveBestEpoch

from multimodal_tf.config import Config
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit_model
from multimodal_tf.training.run_dir import RECORD, Run, RunRecord, load_record
from multimodal_tf.training.tune.outcome import Outcome

Verbose = Literal["auto", 0, 1, 2]

# the standard deviation over folds of a metric `val_loss` is reported as `val_loss_std`
STD = "_std"


class DivergedError(ValueError):
    """The loss of a trial became NaN or infinite."""


class RefusedError(ValueError):
    """The model of a trial would not fit in memory."""


def train_run(
    config: Config,
    schema: Schema,
    records: PathLike,
    run_dir: pathlib.Path,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: Verbose,
    model: keras.Model | None,
    cache: bool | PathLike,
    begins: bool,
) -> RunRecord:
    """The record of a run, which is trained unless it has finished already.

    Args:
        config, schema, records, run_dir, callbacks, verbose, model, cache, begins: as for
            `fit_model`.

    Raises:
        DivergedError: its loss became NaN or infinite.
    """
    if (run_dir / RECORD).is_file():
        record = load_record(run_dir / RECORD)
        if record.status == "finished":
            return record
    history = keras.callbacks.History()
    given = [history, *callbacks]
    try:
        run = fit_model(
            config,
            schema,
            records,
            run_dir,
            given,
            verbose,
            model,
            "none",
            cache,
            begins,
            saves=False,
        )
    except ValueError as error:
        losses = history.history.get("loss", [])
        if losses and not np.isfinite(losses[-1]):
            raise DivergedError(str(error)) from error
        raise
    _keep_start(callbacks, run)
    return run.record


def _keep_start(callbacks: Sequence[keras.callbacks.Callback], run: Run) -> None:
    """Lets Keras Tuner save the model of a trial whose first weights were the best."""
    if run.record.best_epoch:
        return
    for callback in callbacks:
        if isinstance(callback, SaveBestEpoch):
            callback.set_model(run.model)
            callback.on_epoch_end(0, run.metrics)


def outcome_of(runs: Sequence[RunRecord], folded: bool) -> Outcome:
    """The outcome of a trial from its runs: one, or with `folded` one for each fold."""
    metrics = [
        {name: value for name, value in run.metrics.items() if value is not None} for run in runs
    ]
    common = [name for name in metrics[0] if all(name in one for one in metrics)]
    values = {name: [one[name] for one in metrics] for name in common}
    return Outcome(
        status="completed",
        metrics={name: statistics.fmean(several) for name, several in values.items()},
        std={name: statistics.stdev(several) for name, several in values.items()} if folded else {},
        folds=metrics if folded else [],
        epochs=sum(run.epochs for run in runs),
    )


def failed(error: Exception) -> Outcome:
    """The outcome of a trial that ended in an error."""
    reason = " ".join(str(error).split())[:1000] or type(error).__name__
    match error:
        case DivergedError():
            return Outcome(status="diverged", reason=reason)
        case RefusedError():
            return Outcome(status="refused", reason=reason)
        case _:
            return Outcome(status="failed", reason=reason)


def reported(outcome: Outcome) -> dict[str, float]:
    """The metrics that a tuner gets, with their standard deviations over folds."""
    return outcome.metrics | {name + STD: value for name, value in outcome.std.items()}
