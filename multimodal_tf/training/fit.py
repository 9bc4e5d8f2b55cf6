"""`fit`: trains a configured model, with callbacks, checkpoints and a run record.

Optimizer, schedule and callbacks are Keras' own. For a custom loop, compile the model from
`build_model` and call `model.fit` on `load_split`.

Results: the same configuration, records, versions and threads give the same weights, bit for bit.
Without validation rows whose labels training saw, all epochs are run, the last weights are kept,
and a warning says so.

PEFT: `config.peft` is applied to the model first. What was trained or added is written to
`peft.safetensors`, for `peft.load_peft`.

Resuming: during training, the run's folder also holds `checkpoint.keras`, the best model so far
(where writing each takes more than a tenth of the time, an earlier one), and `checkpoints/`.
Weights, history and metrics of a resumed training equal those of an uninterrupted one. The state of
Keras' callbacks is kept. The state of another callback is what its `get_state()` returns (dicts,
lists, tuples, strings, numbers, None and arrays); it is passed to its `set_state(state)`.

Strategies: all replicas share each batch. Up to rounding, the result is that of one device, except
for random numbers and for batch normalisation that is not synchronised
(`training.synchronized_batch_normalization`). All workers call `fit` alike, with a `run_dir` that
they share; the chief writes.
"""

import contextlib
import dataclasses
import pathlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data import atomic
from multimodal_tf.data.cache import FrozenCells, started_after
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.taught import Taught
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.models.heads.taught import compile_arguments as taught_arguments
from multimodal_tf.models.precision import precision
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute, peft
from multimodal_tf.training.batches import Batches, training_batches, validation_batches
from multimodal_tf.training.callbacks import check_callbacks, make_callbacks
from multimodal_tf.training.checkpoint import Checkpoints, State
from multimodal_tf.training.ctc_targets import unaligned_note
from multimodal_tf.training.distribute import StrategyName
from multimodal_tf.training.given_model import check_model
from multimodal_tf.training.interrupt import Signals
from multimodal_tf.training.job import Job, begin_or_resume, prepare
from multimodal_tf.training.linear_start import LinearStart, begin_linear
from multimodal_tf.training.monitor import make_monitor
from multimodal_tf.training.optimizer import make_optimizer
from multimodal_tf.training.pruning import GradualPruning, sparsity
from multimodal_tf.training.result import History, record_result
from multimodal_tf.training.resume import Resumable
from multimodal_tf.training.run_dir import (
    CHECKPOINTS,
    HISTORY,
    PEFT,
    Run,
    RunRecord,
    check_unfinished,
    finish_run,
)
from multimodal_tf.training.teacher import teacher_note
from multimodal_tf.training.validation_rows import with_thresholds


def fit(
    config: Config,
    schema: Schema,
    records: PathLike,
    run_dir: str | pathlib.Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: Literal["auto", 0, 1, 2] = "auto",
    model: keras.Model | None = None,
    strategy: StrategyName = "none",
    cache: bool | PathLike = True,
    overwrite: bool = False,
) -> Run:
    """Trains the configured model on ingested records, and keeps the best epoch's weights.

    The best epoch has the lowest validation loss, with the class weights of training, or the best
    score that `training.monitor` names. Thresholds of heads with `threshold: fitted` are those of
    the validation rows, and stand in the run's schema. Called again with the same arguments, it
    resumes an interrupted training bit-identically. Ctrl-C and SIGTERM let the step end, write a
    checkpoint, and raise `KeyboardInterrupt` with a sentence on how to go on.

    Args:
        config: `Config`. Its inputs and heads may be some of those that were ingested.
        schema: `Schema`, which `ingest` fitted.
        records: folder that `ingest` wrote.
        run_dir: gets `model.keras`, `config.yaml`, `schema.json`, `run.json`, `history.csv`,
            `logs/` (TensorBoard) and, with `config.peft`, `peft.safetensors`.
        callbacks: further callbacks. One with a state has `get_state()` and `set_state(state)`.
            Where heads that begin as regressions are all that is trained, there are no epochs.
        verbose: as in `model.fit`.
        model: to begin with, such as `peft.replace_heads` returns it; changed in place. None: one
            drawn by the configuration's seed. Make it `with strategy_of(...).scope()`.
        strategy: as for `distribute.strategy_of`.
        cache: whether outputs of frozen towers are computed once for each distinct cell and kept
            in `records/cache`; or another folder. The weights are the same but for rounding.
        overwrite: whether a finished run in `run_dir` is replaced.

    Returns:
        `Run`.

    Raises:
        FileNotFoundError: ingest has not finished in `records`.
        OSError: `run_dir` cannot be written or is in use by another process, or the disk is full.
        FileExistsError: `run_dir` holds a finished run, and not `overwrite`.
        ValueError: configuration, schema, records, model, strategy and `run_dir` do not fit
            together; there are no training rows; the loss became NaN or infinite.
    """
    check_unfinished(pathlib.Path(run_dir), overwrite)
    given = (config, schema, records, run_dir, callbacks, verbose, model, strategy, cache)
    return fit_model(*given, begins=model is None)


def fit_model(
    config: Config,
    schema: Schema,
    records: PathLike,
    run_dir: str | pathlib.Path,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: Literal["auto", 0, 1, 2],
    model: keras.Model | None,
    strategy: StrategyName,
    cache: bool | PathLike,
    begins: bool,
    saves: bool = True,
) -> Run:
    """`fit`, also of a trial, whose model was built before and whose metrics alone are wanted.

    Args:
        config, schema, records, run_dir, callbacks, verbose, model, strategy, cache: as for `fit`.
        begins: whether the model has the weights that it was drawn with, so that heads may begin
            as regressions.
        saves: whether the model and logs are written to `run_dir`, beside what resuming needs.
    """
    run_dir = pathlib.Path(run_dir)
    check_callbacks(callbacks)
    arguments = [name for name, one in (("model", model), ("callbacks", callbacks)) if one]
    job = prepare(config, schema, records, run_dir, arguments, strategy)
    job = dataclasses.replace(job, begins=begins, saves=saves)
    # errors of the model are raised before a file is written
    trainee, further = _build(job, model, callbacks)
    unaligned = unaligned_note(trainee, *job.read[:3])
    with (
        atomic.full_disk_explained(run_dir),
        distribute.chief_path(job.strategy, run_dir) as own_dir,
        atomic.locked(own_dir),
    ):
        record, state = begin_or_resume(job, run_dir, own_dir)
        # a training that goes on has it
        _note(record, unaligned if state is None else "", job)
        with _beside(job, trainee, cache, verbose) as beside:
            found = _trained(job, trainee, further, record, state, own_dir, beside, verbose)
        if config.peft is not None:
            peft.save_peft(trainee, own_dir / PEFT)
        run = Run(trainee, config, *found, record, run_dir)
        finish_run(run, own_dir, saves)
    return run


def _build(
    job: Job, model: keras.Model | None, callbacks: Sequence[keras.callbacks.Callback]
) -> tuple[keras.Model, list[keras.callbacks.Callback]]:
    """The model to be compiled; the callbacks of its PEFT configuration, and the given ones."""
    with job.strategy.scope(), precision(job.config):
        keras.utils.set_random_seed(job.config.seed)
        if model is None:
            model = build_model(job.config, job.schema)
        else:
            check_model(model, job.config, job.schema, job.strategy)
        own = [] if job.config.peft is None else peft.apply_peft(model, job.config.peft)
        if job.config.training.synchronized_batch_normalization:
            distribute.synchronize_batch_normalization(model)
    return model, [*own, *callbacks]


class _Beside(NamedTuple):
    """What was computed once for the rows: outputs of frozen towers, predictions of teachers."""

    frozen: FrozenCells | None
    taught: Taught | None


@contextlib.contextmanager
def _beside(
    job: Job, model: keras.Model, cache: bool | PathLike, verbose: Literal["auto", 0, 1, 2]
) -> Iterator[_Beside]:
    """What the model is trained with in the block."""
    shown = bool(verbose) and distribute.is_chief(job.strategy)
    splits, of_model = ("train", "validation"), (model, job.config, job.schema)
    with (
        job.lessons.taught(job.records, cache, shown) as taught,
        started_after(*of_model, job.records, splits, cache, shown) as frozen,
    ):
        yield _Beside(frozen, taught)


def _validation(job: Job, record: RunRecord, beside: _Beside) -> Any:
    validation = validation_batches(*job.read, *beside)
    if validation is None:
        note = (
            "without validation rows of known labels training does not stop early, "
            "and the last weights are kept"
        )
        _note(record, note, job, stacklevel=4)
    return validation


def _note(record: RunRecord, note: str, job: Job, stacklevel: int = 3) -> None:
    """Adds a sentence to the record, and warns of it; nothing without one."""
    if note:
        record.note = "; ".join(filter(None, [record.note, note]))
        warnings.warn(f"{job.manifest.table}: {note}", stacklevel=stacklevel)


def _trained(
    job: Job,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    record: RunRecord,
    state: State,
    own_dir: pathlib.Path,
    beside: _Beside,
    verbose: Literal["auto", 0, 1, 2],
) -> tuple[Schema, History]:
    """Compiles and trains a model, and notes in the record how it ended.

    Where heads that begin as regressions are all that is trained, no epoch follows.
    """
    checkpoints = Checkpoints(own_dir / CHECKPOINTS)
    validation, of_run = _validation(job, record, beside), job.read[:3]
    data = training_batches(*job.read, *beside), validation
    validated = validation is not None
    monitor = make_monitor(model, *of_run, validated, beside.frozen)
    _note(record, monitor.note, job)
    _compile(job, model)
    begun = (
        begin_linear(model, *of_run, validation, own_dir if job.saves else None, beside.frozen)
        # it would solve what is not pruned yet
        if job.begins and state is None and job.config.training.pruning is None
        else LinearStart({}, False)
    )
    first = begun.metrics | monitor.scores(begun.metrics)
    replicas = job.strategy.num_replicas_in_sync
    if job.config.training.pruning is not None:
        pruning = job.config.training.pruning, job.config.training.pruned_in
        callbacks = [GradualPruning(*pruning, keeps=not job.begins), *callbacks]
    own = make_callbacks(
        job.config.training, own_dir, validated, monitor, first, replicas, job.saves
    )
    # what solves the labels does not solve what a teacher teaches
    if begun.is_whole and not beside.taught:
        history: History = {}
        atomic.write_text(own_dir / HISTORY, "epoch\n")
        checkpoints.close()
    else:
        history = _train(job, model, data, [*own, *callbacks], checkpoints, state, verbose)
    if job.config.training.pruning is not None:
        record.sparsity = sparsity(model)
    record_result(record, history, checkpoints, own, monitor)
    learned, note = with_thresholds(model, *of_run, beside.frozen)
    _note(record, note, job)
    _note(record, teacher_note(model, *of_run, beside.taught, beside.frozen), job)
    if beside.taught:
        # batches of `load_split` hold labels alone
        with job.strategy.scope():
            model.compile(model.optimizer, **compile_arguments(job.config, job.schema))
    return learned, history


def _train(
    job: Job,
    model: keras.Model,
    data: tuple[Batches, Any],
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoints: Checkpoints,
    state: State,
    verbose: Literal["auto", 0, 1, 2],
) -> History:
    """Fits the compiled model, from a state on if there is one.

    `data` are training batches and validation batches.
    """
    batches, validation = data
    training, epoch = job.config.training, tf.Variable(0, dtype=tf.int64)
    signals = Signals()
    resumable = Resumable(
        callbacks,
        model,
        checkpoints,
        batches=lambda step: batches(step, epoch),
        epoch=epoch,
        identity=job.identity,
        seconds=training.checkpoint_seconds,
        steps_between=training.checkpoint_steps,
        state=state,
        signals=signals,
        verbose=verbose,
        epochs=training.epochs,
        steps=job.steps,
    )
    try:
        # several workers would have to stop together, and a trial ends with its search
        with signals.awaited(job.saves and job.strategy_name != "multi_worker"):
            fitted = model.fit(
                batches(0, epoch),
                validation_data=validation,
                initial_epoch=0 if state is None else state["epoch"],
                epochs=training.epochs,
                callbacks=resumable,
                # the dataset shuffles; with Keras' default there would be a warning
                shuffle=False,
                verbose=verbose,
            )
    except tf.errors.DataLossError as error:
        raise ValueError(
            f"a training shard is damaged ({error.message}): ingest the table again"
        ) from error
    finally:
        checkpoints.close()
    history: History = fitted.history
    return history


def _compile(job: Job, model: keras.Model) -> None:
    factors = {} if job.config.peft is None else job.config.peft.learning_rate_factors
    with job.strategy.scope():
        optimizer = make_optimizer(job.config.training, model, job.steps, factors)
        # Keras does so by itself, but for models from a file, which have forgotten their policy
        if job.config.training.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        model.compile(optimizer, **taught_arguments(job.config, job.schema, job.lessons.heads))
        # otherwise Keras builds it in the first step, and traces that step's graph twice
        model.optimizer.build(model.trainable_variables)
