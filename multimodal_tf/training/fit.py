"""`fit`: what everyone writes around `model.fit` by hand.

Optimizer, schedule and callbacks are Keras' own. Whoever wants another loop compiles
`build_model`'s model and calls `model.fit` on `load_split`.
"""

import functools
import hashlib
import json
import math
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config, Training
from multimodal_tf.data import atomic, filesystem
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split, open_split
from multimodal_tf.data.targets import Targets
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute, peft, run_dir
from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.resume import Resumable
from multimodal_tf.training.run_dir import Run

# on what is learned
_WITHOUT_EFFECT = {"checkpoint_seconds", "checkpoint_steps"}


def fit(
    config: Config,
    schema: Schema,
    directory: str | os.PathLike,
    run_directory: str | pathlib.Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: Literal["auto", 0, 1, 2] = "auto",
    model: keras.Model | None = None,
    strategy: distribute.Name = "none",
) -> Run:
    """Trains the model that the configuration describes on an ingested table.

    The weights of the epoch with the lowest validation loss are kept. Without validation rows that
    have a label which training saw, all epochs are run, the last weights are kept, and a warning
    says so. Same configuration, data, versions and threads: same weights, bit for bit. With
    `config.peft`, that is done to the model first, and `peft.safetensors` holds what it taught, for
    `adapt.load_peft`.

    Interrupted in any way and called again with the same arguments, it goes on from the last
    checkpoint, and ends with the weights, history and figures of a training that was not
    interrupted, bit for bit. A finished run is trained anew.

    Under a strategy all replicas share each batch, and the outcome is that of one device within
    rounding, but for what is drawn at random and for batch normalisation that is not synchronised
    (`training.synchronized_batch_normalization`). Several workers call this alike, each in its
    process, with a `run_directory` that all of them see; the first one writes.

    Args:
        config: `Config`. Its inputs and heads may be some of those that were ingested.
        schema: `Schema`, which `ingest` learned.
        directory: where `ingest` wrote the shards.
        run_directory: gets `model.keras`, `config.yaml`, `schema.json`, `run.json`, `history.csv`
            and `logs/` (TensorBoard); while training lasts, `checkpoint.keras` holds the best model
            so far, and `checkpoints/` what it would go on from. A finished run's files there are
            replaced.
        callbacks: further Keras callbacks. One that is to survive an interruption has
            `get_state()`, which returns dicts, lists, tuples, strings, numbers, None and arrays,
            and `set_state(state)`; the state of Keras' own is kept.
        verbose: as in `model.fit`: 1 a progress bar, 2 a line an epoch, 0 silence.
        model: to begin with, such as `adapt.replace_heads` makes it; None: one that the
            configuration's seed draws. It is changed in place. For a strategy it is to be made
            `with strategy_of(...).scope()`.
        strategy: how the training is spread, as `distribute.strategy_of` says.

    Returns:
        `Run`.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`.
        OSError: `run_directory` is a file, cannot be written, or another process trains into it;
        the disk is full. ValueError: `run_directory` holds something else or an interrupted
        training of another configuration or other rows, a shard is not
            what ingest wrote, the table was ingested with other settings, configuration and schema
            are not of one table, the training split has no rows, the loss became NaN or infinite,
            `model` has other inputs or outputs or is of another strategy, the peft does not fit the
            model, the batches do not divide among the replicas, a worker was given other arguments,
            or what `distribute.strategy_of` says.
    """
    spread = distribute.strategy_of(strategy)
    distribute.check_batch(spread, config.training.batch_size)
    records, run_directory = filesystem.to_path(directory), pathlib.Path(run_directory)
    manifest = Manifest.load(directory)
    ingested = check_records(config, records)
    if config.split != ingested.split:
        raise ValueError(
            f"split: {directory} was ingested with {ingested.split}, received {config.split}: ingest the table again"
        )
    run_dir.check_place(run_directory)
    # refuses weights of classes that are not there
    Targets(config, schema, class_weights=True)
    given = [name for name, value in (("model", model), ("callbacks", callbacks)) if value]
    identity = _identity(
        config, schema, manifest, given, f"{strategy} of {spread.num_replicas_in_sync}"
    )
    distribute.check_alike(spread, "the same arguments of fit", json.dumps(identity))
    # what is wrong with it is said before a file is written
    trainee, adapting = _built(config, schema, model, spread)
    with distribute.written_by_chief(spread, run_directory) as place, atomic.locked(place):
        begun, state = _interrupted(run_directory, identity)
        seen = json.dumps(None if state is None else (state["epoch"], state["step"]))
        distribute.check_alike(
            spread, f"a run_directory in which they see the same, {run_directory}", seen
        )
        if begun is None or state is None:
            record = run_dir.begin(
                place,
                config,
                schema,
                records,
                manifest,
                given,
                strategy,
                spread.num_replicas_in_sync,
            )
        else:
            record = run_dir.go_on(begun, place, config)
        validation = _validation(directory, config, schema, manifest, spread)
        if validation is None:
            record.note = "without validation rows of known labels training does not stop early, and the last weights are kept"
            warnings.warn(f"{manifest.table}: {record.note}", stacklevel=2)
        all_callbacks = [
            *_callbacks(config.training, place, validation is not None),
            *adapting,
            *callbacks,
        ]
        checkpoints, batches = (
            Checkpoints(place / run_dir.CHECKPOINTS),
            _batches(directory, config, schema, spread),
        )
        steps = math.ceil(manifest.rows("train") / config.training.batch_size)
        with spread.scope():
            _compile(trainee, config, schema, steps)
        history = _train(
            trainee,
            config.training,
            batches,
            steps,
            validation,
            all_callbacks,
            verbose,
            checkpoints,
            identity,
            state,
        )
        record.epochs = len(history["loss"])
        try:
            record.best_epoch = _best_epoch(history, config.training)
        except ValueError:
            # with the same arguments it would end so again
            checkpoints.remove()
            raise
        record.figures = _figures_of(record.best_epoch, history, config.heads)
        trained = Run(trainee, config, schema, history, record, run_directory)
        if config.peft is not None:
            peft.save_peft(trainee, place / run_dir.PEFT)
        run_dir.finish(trained, place)
    return trained


def _identity(config, schema, manifest, given, strategy):
    """What an interrupted training must have in common with the one that goes on."""
    whole = config.model_dump(mode="json")
    whole["training"] = {
        name: value for name, value in whole["training"].items() if name not in _WITHOUT_EFFECT
    }
    stats = hashlib.sha256(schema.model_dump_json().encode()).hexdigest()
    return {
        "data": manifest.hash,
        "schema": stats,
        "given": given,
        "strategy": strategy,
        "configuration": whole,
    }


def _interrupted(directory, identity):
    """Record and state of an interrupted training that is to go on; None for what is not there."""
    if not run_dir.unfinished(directory):
        return None, None
    state = Checkpoints(directory / run_dir.CHECKPOINTS).latest()
    if state is not None:
        _check_identity(identity, state["identity"], directory)
    return run_dir.load_record(directory / run_dir.RECORD), state


def _check_identity(ours, theirs, directory):
    for part, value in ours.items():
        # None: a version that did not write it
        before = theirs.get(part)
        if value != before:
            where = (
                f"{part}.{_first_difference(value, before or {})}"
                if isinstance(value, dict)
                else part
            )
            if part == "strategy":
                where = f"{part} ({before!r}, received {value!r})"
            raise ValueError(
                f"{directory} holds an interrupted training with other {where}: give it the same again, or delete "
                f"{directory / run_dir.CHECKPOINTS} to start anew"
            )


def _first_difference(ours, theirs):
    """The field in which two configurations differ, and their values there."""
    for name in {**ours, **theirs}:
        one, other = ours.get(name), theirs.get(name)
        if one != other:
            both = isinstance(one, dict) and isinstance(other, dict)
            return (
                f"{name}.{_first_difference(one, other)}"
                if both
                else f"{name} ({other!r}, received {one!r})"
            )
    return ""


def _built(config, schema, model, spread):
    """The model as it is to be compiled, and the callbacks of its PEFT configuration."""
    with spread.scope():
        keras.utils.set_random_seed(config.seed)
        fresh = build_model(config, schema)
        if model is not None:
            _check_model(model, fresh, spread)
            fresh = model
        adapting = [] if config.peft is None else peft.adapt(fresh, config.peft)
        if config.training.synchronized_batch_normalization:
            distribute.synchronize(fresh)
    return fresh, adapting


def _check_model(model, fresh, spread):
    """Refuses a model to begin with that does not take and answer what the configuration's own
    would, or is of another strategy.
    """
    for place in ("input", "output"):
        ours, theirs = (
            keras.tree.map_structure(lambda x: str(x.shape), getattr(one, place))
            for one in (fresh, model)
        )
        if ours != theirs:
            raise ValueError(
                f"model: its {place}s must be the configuration's, {ours}, received {theirs}"
            )
    if model.distribute_strategy is not spread:
        names = [type(one).__name__ for one in (spread, model.distribute_strategy)]
        raise ValueError(
            f"model: it must be made in the scope of the strategy that fit is given, {names[0]}, received one of {names[1]}: "
            "make it `with strategy_of(...).scope()`"
        )


def _validation(directory, config, schema, manifest, spread):
    """The validation rows; None where no row has a label that training saw: the loss would be 0
    from the first epoch on.
    """
    if not manifest.rows("validation"):
        return None
    rows = load_split(config, schema, directory, "validation")
    if not any(
        np.any(weight > 0)
        for _, _, weights in rows.as_numpy_iterator()
        for weight in weights.values()
    ):
        return None

    def share(worker):
        return (
            rows
            if worker == (0, 1)
            else load_split(config, schema, directory, "validation", worker=worker)
        )

    return distribute.distributed(spread, share)


def _batches(directory, config, schema, spread):
    """A function from a step and an epoch, as a variable, to the training batches from that step
    on.
    """

    @functools.cache
    def opened(worker):
        return open_split(config, schema, directory, "train", training=True, worker=worker)

    return lambda step, epoch: distribute.distributed(
        spread, lambda worker: opened(worker)(step, epoch)
    )


def _compile(model, config, schema, steps):
    rates = {} if config.peft is None else config.peft.rates
    model.compile(
        make_optimizer(config.training, model, steps, rates), **compile_arguments(config, schema)
    )
    # else Keras does in the midst of the first step, whose graph it then makes twice
    model.optimizer.build(model.trainable_variables)


def _train(
    model, settings, batches, steps, validation, callbacks, verbose, checkpoints, identity, state
):
    """Fits the compiled model, from a state on if there is one; the history."""
    epoch = tf.Variable(0, dtype=tf.int64)
    resumable = Resumable(
        callbacks,
        model,
        checkpoints,
        batches=lambda step: batches(step, epoch),
        epoch=epoch,
        identity=identity,
        seconds=settings.checkpoint_seconds,
        steps_between=settings.checkpoint_steps,
        state=state,
        verbose=verbose,
        epochs=settings.epochs,
        steps=steps,
    )
    try:
        # The dataset shuffles; Keras' own default for `shuffle` would only warn of that.
        fitted = model.fit(
            batches(0, epoch),
            validation_data=validation,
            initial_epoch=0 if state is None else state["epoch"],
            epochs=settings.epochs,
            callbacks=resumable,
            shuffle=False,
            verbose=verbose,
        )
    except tf.errors.DataLossError as error:
        raise ValueError(
            f"a training shard is damaged ({error.message}): ingest the table again"
        ) from error
    finally:
        checkpoints.close()
    return fitted.history


def make_optimizer(
    training: Training, model: keras.Model, steps: int, rates: Mapping[str, float] | None = None
) -> keras.optimizers.Optimizer:
    """The optimizer and learning rate schedule of a configuration.

    The learning rate rises in equal steps to `learning_rate` during `warmup_epochs`, then falls
    along a half cosine to 0 at the end of the last epoch, or stays. Weight decay spares biases and
    the scales and shifts of normalisations, that is, all that is not a matrix.

    Args:
        training: `Training`.
        model: a built model, whose variables the optimizer is for.
        steps: int. Batches an epoch.
        rates: factors of the learning rate by pattern over paths of layers, as
        `adapt.learning_rate_factors`.

    Returns:
        A Keras optimizer for `model.compile`.

    Raises:
        ValueError: a pattern in `rates` matches no layer.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled weight decay), 2017,
    arXiv:1608.03983 (cosine).
    """
    rate = _schedule(training, steps)
    options: dict = {"weight_decay": training.weight_decay}
    if rates:
        options["factors"] = peft.learning_rate_factors(model, rates)
    if training.optimizer == "adamw":
        optimizer = (peft.AdamWByDepth if rates else keras.optimizers.AdamW)(rate, **options)
    else:
        optimizer = (peft.SGDByDepth if rates else keras.optimizers.SGD)(
            rate, momentum=training.momentum, **options
        )
    optimizer.exclude_from_weight_decay(
        [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    )
    return optimizer


def _schedule(training, steps):
    total = training.epochs * steps
    warmup = min(round(training.warmup_epochs * steps), total)
    return keras.optimizers.schedules.CosineDecay(
        # The first step of a warm-up from 0 would teach nothing.
        initial_learning_rate=training.learning_rate / max(warmup, 1),
        warmup_target=training.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=max(total - warmup, 1),
        # the rate at the end, as a share of the highest
        alpha=1.0 if training.schedule == "constant" else 0.0,
    )


def _callbacks(training, run_directory, validated):
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(str(run_directory / run_dir.HISTORY)),
        keras.callbacks.TensorBoard(str(run_directory / run_dir.LOGS), write_graph=False),
        keras.callbacks.ModelCheckpoint(
            str(run_directory / run_dir.CHECKPOINT), monitor="val_loss", save_best_only=validated
        ),
    ]
    if validated:
        patience = training.epochs if training.patience is None else training.patience
        callbacks.append(
            keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        )
    return callbacks


def _best_epoch(history, training):
    """The epoch, from 1, whose weights the model has."""
    losses = history.get("val_loss", history["loss"])
    if not math.isfinite(history["loss"][-1]) or not np.isfinite(losses).any():
        raise ValueError(
            f"the loss became NaN or infinite in epoch {len(losses)}: "
            f"training.learning_rate must be lower, received {training.learning_rate}"
        )
    return int(np.nanargmin(losses)) + 1 if "val_loss" in history else len(losses)


def _figures_of(epoch, history, heads):
    """The figures of one epoch, without the losses of single heads: models of Keras' own class,
    which may be given, count them by batch.
    """
    wrong = {f"{prefix}{name}_loss" for name in heads for prefix in ("", "val_")}
    return {name: values[epoch - 1] for name, values in history.items() if name not in wrong}
