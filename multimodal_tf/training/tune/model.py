"""A search space as a `keras_tuner.HyperModel`."""

import contextlib
import os
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence

import keras
import keras_tuner
import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.search_space import Choice, Field, Float, Int, Space
from multimodal_tf.data import filesystem, pipeline
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.models import heads
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Schema
from multimodal_tf.training import run_dir
from multimodal_tf.training.fit import fit, make_optimizer
from multimodal_tf.training.tune import outcome
from multimodal_tf.training.tune.memory import shown, training_bytes
from multimodal_tf.training.tune.outcome import Outcome

# a figure `val_loss` has its standard deviation over folds in `val_loss_spread`
SPREAD = "_spread"
# a coverage is to be near a share, neither high nor low
_DIRECTIONS = {"accuracy": "max", "mae": "min"}


class SearchModel(keras_tuner.HyperModel):
    """The models of a search space, for any tuner of Keras Tuner.

    A trial trains as `fit` does, on the records, so `tuner.search()` takes no data; `epochs` there
    is instead of the configuration's. What it reports are the figures of the epoch whose weights
    `fit` would keep, or with `folds` their means over the folds, and beside each figure its
    standard deviation, as `..._spread`. A trial fails, with a reason and without ending the search,
    if what is drawn breaks a rule of the configuration, would not fit in memory, diverges, or ends
    in an error.

    Args:
        space: `Space`.
        records: where `ingest` wrote.
        directory: keeps the outcome of each trial, and the training that goes on if it is killed;
        None: nothing is kept.
        folds: directories of `make_folds`; none: the validation split.
        memory: bytes that a trial may take, by `training_bytes`; None: what this machine, or its
        container, has.

    Raises:
        FileNotFoundError: ingest has not ended in `records`.
        ValueError: an option of the space needs another ingest, or there are neither validation
        rows nor folds.

    Example:
        >>> model = SearchModel(Space.load("space.yaml"), "records")  # doctest: +SKIP
        >>> objective = model.objective("val_label_accuracy")  # doctest: +SKIP
        >>> tuner = keras_tuner.RandomSearch(model, objective, max_trials=20, directory="search")  # doctest: +SKIP
        >>> tuner.search()  # doctest: +SKIP
        >>> model.config(tuner.get_best_hyperparameters()[0]).save("best.yaml")  # doctest: +SKIP
    """

    def __init__(
        self,
        space: Space,
        records: str | os.PathLike,
        directory: str | pathlib.Path | None = None,
        folds: Sequence[str | os.PathLike] = (),
        memory: int | None = None,
    ):
        super().__init__()
        self.space = space
        self._records = filesystem.to_path(records)
        self._folds = [filesystem.to_path(one) for one in folds]
        self._directory = None if directory is None else pathlib.Path(directory)
        self._schemas: dict[str, Schema] = {}
        self._memory = pipeline.available_memory() if memory is None else memory
        manifest = Manifest.load(self._records)
        if not self._folds and not manifest.rows("validation"):
            raise ValueError(
                f"a search needs validation rows or folds, received {self._records} without rows for validation"
            )
        self._data = manifest.hash
        for variant in space.variants():
            ingested = check_records(variant, self._records)
            if variant.split != ingested.split:
                raise ValueError(
                    f"split: {self._records} was ingested with {ingested.split}, received {variant.split}: ingest the table again"
                )

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """The space in Keras Tuner's terms, all fields, with the conditions on which they exist."""
        hp = keras_tuner.HyperParameters()
        for field in self.space.fields():
            with contextlib.ExitStack() as scopes:
                for parent, label in field.conditions:
                    scopes.enter_context(hp.conditional_scope(parent, [label]))
                _declare(hp, field)
        return hp

    def config(self, hp: keras_tuner.HyperParameters) -> Config:
        """The configuration that a tuner drew.

        Raises:
            ValueError: it breaks a rule.
        """
        return self.space.draw(hp.values)

    def objective(self, name: str) -> keras_tuner.Objective:
        """An objective with its direction.

        Args:
            name: `val_loss`, or `val_{head}_{metric}` for a metric of a head, such as
                `val_label_accuracy` or `val_price_mae`.

        Raises:
            ValueError: a head or metric of this name is not in all models of the space.
        """
        found = [_objectives(variant) for variant in self.space.variants()]
        common = [
            one for one in found[0] if all(others.get(one) == found[0][one] for others in found)
        ]
        if name not in common:
            raise ValueError(f"the objective must be one of {', '.join(common)}, received {name!r}")
        logged, direction = found[0][name]
        return keras_tuner.Objective(logged, direction)

    def declare_hyperparameters(self, hp):
        hp.merge(self.hyperparameters(), overwrite=False)

    def build(self, hp):
        """The compiled model that a tuner drew.

        Raises:
            keras_tuner.errors.FailedTrialError: it breaks a rule of the configuration, or would not
            fit in memory.
        """
        # All fields at once, also those that do not exist now: else Keras Tuner would build models
        # until it has met every one of them.
        self.declare_hyperparameters(hp)
        with self._recorded(hp):
            config = self.config(hp)
            directory = (self._folds or [self._records])[0]
            schema = self._schema(directory, config)
            needed = training_bytes(config, schema)
            if needed > self._memory:
                raise _RefusedError(
                    f"the model would take {shown(needed)} of memory to train, and {shown(self._memory)} are to be had"
                )
            model = build_model(config, schema)
            steps = -(-Manifest.load(directory).rows("train") // config.training.batch_size)
            # for tuners of one's own: our `fit` compiles it anew, adapted
            model.compile(
                make_optimizer(config.training, model, steps), **compile_arguments(config, schema)
            )
        return model

    def fit(
        self, hp, model, *args, callbacks=(), epochs=None, initial_epoch=0, verbose=0, **kwargs
    ):
        """Trains the model that a tuner drew; its figures by name.

        Raises:
            ValueError: data or other arguments of `model.fit` were given.
            keras_tuner.errors.FailedTrialError: the loss became NaN or infinite, or the training
            ended in an error.
        """
        if args or kwargs:
            raise keras_tuner.errors.FatalValueError(
                f"search() takes epochs, callbacks and verbose, since the data are the records', received {list(kwargs) or 'data'}"
            )
        with self._recorded(hp):
            config = self.config(hp)
            if epochs is not None:
                config.training.epochs = epochs - initial_epoch
            trained_of = outcome.key(
                [config.model_dump(mode="json"), self._data, list(map(str, self._folds))]
            )
            known = (
                None
                if self._directory is None
                else outcome.load(self._directory, outcome.key_of(hp))
            )
            if known is not None and known.status == "completed" and known.of == trained_of:
                # the process was killed before the tuner noted it
                return _reported(known)
            with self._room(trained_of) as room:
                started = time.monotonic()
                reached = _outcome(
                    self._train(config, model, room, callbacks, verbose), bool(self._folds)
                )
                reached.of, reached.parameters, reached.seconds = (
                    trained_of,
                    model.count_params(),
                    time.monotonic() - started,
                )
                self._keep(hp, reached)
        return _reported(reached)

    def _keep(self, hp, reached):
        if self._directory is not None:
            outcome.save(self._directory, outcome.key_of(hp), reached)

    def _train(self, config, model, room, callbacks, verbose):
        """The records of the runs, one a fold; one that is finished already is not trained again."""
        if not self._folds:
            return [
                _trained(
                    config,
                    self._schema(self._records, config),
                    self._records,
                    room / "run",
                    callbacks,
                    verbose,
                    model,
                )
            ]
        done = []
        # the tuner's own callbacks keep one model's weights, and here are several models
        for number, fold in enumerate(self._folds):
            done.append(
                _trained(
                    config,
                    self._schema(fold, config),
                    fold,
                    room / f"fold-{number}",
                    (),
                    verbose,
                    None if number else model,
                )
            )
        return done

    @contextlib.contextmanager
    def _room(self, name):
        """A directory for the runs of a trial, which outlives only the death of the process."""
        if self._directory is None:
            with tempfile.TemporaryDirectory() as room:
                yield pathlib.Path(room)
            return
        room = self._directory / "runs" / name
        room.mkdir(parents=True, exist_ok=True)
        try:
            yield room
        except Exception:
            shutil.rmtree(room)
            raise
        shutil.rmtree(room)

    @contextlib.contextmanager
    def _recorded(self, hp):
        """Keeps why a trial failed, and tells the tuner that it did."""
        try:
            yield
        except Exception as error:
            status = (
                "diverged"
                if isinstance(error, _DivergedError)
                else "refused"
                if isinstance(error, _RefusedError)
                else "failed"
            )
            reason = " ".join(str(error).split())[:1000] or type(error).__name__
            self._keep(hp, Outcome(status=status, reason=reason))
            raise keras_tuner.errors.FailedTrialError(reason) from error

    def _schema(self, directory, config):
        """What the training rows of a directory teach, learned once for all configurations that
        differ in nothing that it depends on.
        """
        parts = config.model_dump(mode="json", include={"inputs", "heads", "seed"})
        for part in parts["inputs"].values():
            part.pop("augmentation", None)
            # these have the width of the tower
            if part.get("vectors") is None:
                part.pop("tower")
        wanted = f"{directory} {parts}"
        if wanted not in self._schemas:
            self._schemas[wanted] = schema_for(config, directory)
        return self._schemas[wanted]


class _DivergedError(ValueError):
    pass


class _RefusedError(ValueError):
    pass


def _declare(hp, field: Field):
    match field.part:
        case Choice(labels=labels):
            hp.Choice(field.name, list(labels))
        case Int(low=low, high=high, step=step, sampling=sampling):
            hp.Int(field.name, low, high, step=step, sampling=sampling)
        case Float(low=low, high=high, step=step, sampling=sampling):
            hp.Float(field.name, low, high, step=step, sampling=sampling)


def _objectives(config):
    """By the name that an objective has here: the name that Keras logs it under, and its direction."""
    found = {"val_loss": ("val_loss", "min")}
    for name, head in config.heads.items():
        for metric in heads.metrics(head):
            if metric.name in _DIRECTIONS:
                logged = (
                    f"val_{metric.name}" if len(config.heads) == 1 else f"val_{name}_{metric.name}"
                )
                found[f"val_{name}_{metric.name}"] = (logged, _DIRECTIONS[metric.name])
    return found


def _trained(config, schema, directory, place, callbacks, verbose, model):
    """The record of a run, which is trained unless it has ended already.

    Raises:
        _DivergedError: its loss became NaN or infinite.
    """
    if (place / run_dir.RECORD).is_file():
        record = run_dir.Record.model_validate_json(
            (place / run_dir.RECORD).read_text(encoding="utf-8")
        )
        if record.status == "finished":
            return record
    history = keras.callbacks.History()
    try:
        return fit(config, schema, directory, place, [history, *callbacks], verbose, model).record
    except ValueError as error:
        losses = history.history.get("loss", [])
        raise (
            _DivergedError(str(error)) if losses and not np.isfinite(losses[-1]) else error
        ) from error


def _outcome(trained, folded):
    """The outcome of a trial's runs."""
    figures = [
        {own: value for own, value in one.figures.items() if value is not None} for one in trained
    ]
    common = [own for own in figures[0] if all(own in one for one in figures)]
    return Outcome(
        status="completed",
        figures={own: statistics.fmean(one[own] for one in figures) for own in common},
        spread={own: statistics.stdev(one[own] for one in figures) for own in common}
        if folded
        else {},
        folds=figures if folded else [],
        epochs=sum(one.epochs for one in trained),
    )


def _reported(reached):
    return reached.figures | {name + SPREAD: value for name, value in reached.spread.items()}
