"""A search space as a `keras_tuner.HyperModel`."""

import contextlib
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, assert_never

import keras
import keras_tuner

from multimodal_tf.config import Config
from multimodal_tf.config.monitor import chosen_monitor
from multimodal_tf.config.search_space import Choice, Field, Float, Int, Space
from multimodal_tf.data import filesystem, pipeline
from multimodal_tf.data.cache import FOLDER
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.models import heads
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.models.towers.backbone import Backbones, shared_backbones
from multimodal_tf.schema import Schema
from multimodal_tf.training.batches import manifest_for
from multimodal_tf.training.monitor import direction
from multimodal_tf.training.optimizer import make_optimizer
from multimodal_tf.training.run_dir import RunRecord
from multimodal_tf.training.tune import outcome
from multimodal_tf.training.tune.memory import format_bytes, training_bytes
from multimodal_tf.training.tune.outcome import Outcome
from multimodal_tf.training.tune.trial import (
    RefusedError,
    Verbose,
    failed,
    outcome_of,
    reported,
    train_run,
)

T = TypeVar("T")

# metrics that can be an objective; a coverage should be near a given share, not high or low
_DIRECTIONS = {"accuracy": "max", "mae": "min"}


class SearchModel(keras_tuner.HyperModel):
    """The models of a search space, for any tuner of Keras Tuner.

    A trial trains on the records as `fit` does, so `tuner.search()` takes no data; its `epochs`
    replace the configuration's. A trial reports the metrics of the epoch whose weights `fit` keeps.
    With `folds`, it reports their means over the folds, and their standard deviations as `..._std`.
    A trial fails with a reason, and the search continues, if the configuration breaks a rule, the
    model would not fit in memory, the loss diverges, or training ends in an error.

    Args:
        space: `Space`.
        records: folder that `ingest` wrote.
        out: keeps the outcome of each trial, and the run of a trial that was killed, which is then
            resumed; None: nothing is kept.
        folds: folders that `make_folds` returns; none: the validation split.
        memory: bytes that a trial may take, by `training_bytes`; None: those of this machine or
            container.
        cache: whether all trials and folds share the outputs of frozen towers, beside `records`.

    Raises:
        FileNotFoundError: ingest has not finished in `records`.
        ValueError: an option of the space needs another ingest, or there are neither validation
            rows nor folds.

    Example:
        >>> model = SearchModel(Space.load("space.yaml"), "records")  # doctest: +SKIP
        >>> objective = model.objective("val_label_accuracy")  # doctest: +SKIP
        >>> tuner = keras_tuner.RandomSearch(model, objective, directory="search")  # doctest: +SKIP
        >>> tuner.search()  # doctest: +SKIP
        >>> model.config(tuner.get_best_hyperparameters()[0]).save("best.yaml")  # doctest: +SKIP
    """

    def __init__(
        self,
        space: Space,
        records: PathLike,
        out: str | pathlib.Path | None = None,
        folds: Sequence[PathLike] = (),
        memory: int | None = None,
        cache: bool = True,
    ) -> None:
        super().__init__()
        self.space = space
        self._records = filesystem.to_path(records)
        self._folds = [filesystem.to_path(fold) for fold in folds]
        self._out = None if out is None else pathlib.Path(out)
        self._cache = self._records / FOLDER if cache else False
        self._backbones: Backbones = {}
        self._schemas: dict[str, Schema] = {}
        self._memory = pipeline.available_memory() if memory is None else memory
        manifest = Manifest.load(self._records)
        if not self._folds and not manifest.rows("validation"):
            raise ValueError(
                f"a search needs validation rows or folds, received {self._records} without "
                "validation rows"
            )
        self._data = manifest.hash
        for variant in space.variants():
            manifest_for(variant, self._records)

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """The space in Keras Tuner's terms: all fields, with their conditions."""
        hp = keras_tuner.HyperParameters()
        for field in self.space.fields():
            with contextlib.ExitStack() as scopes:
                for parent, label in field.conditions:
                    scopes.enter_context(hp.conditional_scope(parent, [label]))
                _declare(hp, field)
        return hp

    def config(self, hp: keras_tuner.HyperParameters) -> Config:
        """The configuration of a trial.

        Raises:
            ValueError: it breaks a rule.
        """
        return self.space.config(hp.values)

    def objective(self, name: str) -> keras_tuner.Objective:
        """An objective with its direction.

        Args:
            name: `val_loss`, or `val_{head}_{metric}` for a metric of a head, such as
                `val_label_accuracy` or `val_price_mae`.

        Raises:
            ValueError: a model of the space does not have it.
        """
        found = [_objectives(variant) for variant in self.space.variants()]
        common = [
            one for one in found[0] if all(others.get(one) == found[0][one] for others in found)
        ]
        if name not in common:
            raise ValueError(f"the objective must be one of {', '.join(common)}, received {name!r}")
        logged, direction = found[0][name]
        return keras_tuner.Objective(logged, direction)

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Adds all fields of the space to `hp`."""
        hp.merge(self.hyperparameters(), overwrite=False)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The compiled model of a trial.

        Raises:
            keras_tuner.errors.FailedTrialError: it breaks a rule of the configuration, or would not
                fit in memory.
        """
        # also inactive fields: otherwise Keras Tuner builds models until it has met all of them
        self.declare_hyperparameters(hp)
        with self._failures_recorded(hp):
            config = self.config(hp)
            records = (self._folds or [self._records])[0]
            schema = self._schema(config, records)
            needed = self._shared(config, training_bytes, schema, keep=False)
            if needed > self._memory:
                raise RefusedError(
                    f"the model would take {format_bytes(needed)} of memory to train, and only "
                    f"{format_bytes(self._memory)} are available"
                )
            model = self._shared(config, build_model, schema, keep=True)
            steps = -(-Manifest.load(records).rows("train") // config.training.batch_size)
            # for a tuner that trains by itself; `fit` below compiles the model again
            optimizer = make_optimizer(config.training, model, steps)
            model.compile(optimizer, **compile_arguments(config, schema))
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        epochs: int | None = None,
        initial_epoch: int = 0,
        verbose: Verbose = 0,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Trains the model of a trial, and returns its metrics by name.

        Raises:
            keras_tuner.errors.FatalValueError: data or other arguments of `model.fit` were passed.
            keras_tuner.errors.FailedTrialError: the loss became NaN or infinite, or training ended
                in an error.
        """
        if args or kwargs:
            raise keras_tuner.errors.FatalValueError(
                "search() takes epochs, callbacks and verbose, since it trains on the records, "
                f"received {list(kwargs) or 'data'}"
            )
        with self._failures_recorded(hp):
            config = self.config(hp)
            if epochs is not None:
                config.training.epochs = epochs - initial_epoch
            folds = [str(fold) for fold in self._folds]
            key = outcome.key_of([config.model_dump(mode="json"), self._data, folds])
            completed = self._completed(hp, key)
            if completed is None:
                started = time.monotonic()
                with self._runs(key) as folder:
                    begins = initial_epoch == 0
                    records = self._train(config, model, folder, callbacks, verbose, begins)
                    completed = outcome_of(records, bool(self._folds))
                    completed.key, completed.parameters = key, model.count_params()
                    completed.seconds = time.monotonic() - started
                    self._save(hp, completed)
        return reported(completed)

    def _shared(
        self, config: Config, make: Callable[[Config, Schema], T], schema: Schema, keep: bool
    ) -> T:
        """What a function makes; trials without PEFT share the networks of frozen towers.

        Not `keep`: networks that it loads have no values, and are not for other trials.
        """
        if config.peft is not None:
            return make(config, schema)
        with shared_backbones(self._backbones if keep else dict(self._backbones)):
            return make(config, schema)

    def _completed(self, hp: keras_tuner.HyperParameters, key: str) -> Outcome | None:
        """The outcome of a trial that ended before the tuner noted it, and was killed then."""
        if self._out is None:
            return None
        known = outcome.load(self._out, outcome.trial_key(hp))
        if known is not None and known.status == "completed" and known.key == key:
            return known
        return None

    def _save(self, hp: keras_tuner.HyperParameters, result: Outcome) -> None:
        if self._out is not None:
            outcome.save(self._out, outcome.trial_key(hp), result)

    def _train(
        self,
        config: Config,
        model: keras.Model,
        folder: pathlib.Path,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: Verbose,
        begins: bool,
    ) -> list[RunRecord]:
        """The records of the runs, one for each fold; finished ones are not trained again."""
        if not self._folds:
            schema = self._schema(config, self._records)
            run_dir = folder / "run"
            return [
                train_run(
                    config,
                    schema,
                    self._records,
                    run_dir,
                    callbacks,
                    verbose,
                    model,
                    self._cache,
                    begins,
                )
            ]
        # without the tuner's callbacks: they keep the weights of one model, and here are several
        return [
            train_run(
                config,
                self._schema(config, fold),
                fold,
                folder / f"fold-{number}",
                (),
                verbose,
                None if number else model,
                self._cache,
                begins,
            )
            for number, fold in enumerate(self._folds)
        ]

    @contextlib.contextmanager
    def _runs(self, key: str) -> Iterator[pathlib.Path]:
        """A folder for the runs of a trial, which remains only if the process is killed."""
        if self._out is None:
            with tempfile.TemporaryDirectory() as temporary:
                yield pathlib.Path(temporary)
            return
        folder = self._out / "runs" / key
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except Exception:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)

    @contextlib.contextmanager
    def _failures_recorded(self, hp: keras_tuner.HyperParameters) -> Iterator[None]:
        """Saves why a trial failed, and raises the error that Keras Tuner expects."""
        try:
            yield
        except Exception as error:
            result = failed(error)
            self._save(hp, result)
            raise keras_tuner.errors.FailedTrialError(result.reason) from error

    def _schema(self, config: Config, records: PathLike) -> Schema:
        """The schema, fitted once for all configurations that do not differ in what it reads."""
        fields = config.model_dump(mode="json", include={"inputs", "heads", "seed"})
        for input_config in fields["inputs"].values():
            input_config.pop("augmentation", None)
            # word vectors have the width of the tower
            if input_config.get("vectors") is None:
                input_config.pop("tower")
        key = f"{records} {fields}"
        if key not in self._schemas:
            self._schemas[key] = schema_for(config, records)
        return self._schemas[key]


def _declare(hp: keras_tuner.HyperParameters, field: Field) -> None:
    match field.domain:
        case Choice(labels=labels):
            hp.Choice(field.name, list(labels))
        case Int(low=low, high=high, step=step, sampling=sampling):
            hp.Int(field.name, low, high, step=step, sampling=sampling)
        case Float(low=low, high=high, step=step, sampling=sampling):
            hp.Float(field.name, low, high, step=step, sampling=sampling)
        case _:
            assert_never(field.domain)


def _objectives(config: Config) -> dict[str, tuple[str, str]]:
    """For the name of each objective, the name under which Keras logs it, and its direction."""
    found = {"val_loss": ("val_loss", "min")}
    for name, head in config.heads.items():
        for metric in heads.metrics(head):
            if metric.name in _DIRECTIONS:
                # Keras leaves out the name of the only output
                prefix = "val_" if len(config.heads) == 1 else f"val_{name}_"
                logged = (f"{prefix}{metric.name}", _DIRECTIONS[metric.name])
                found[f"val_{name}_{metric.name}"] = logged
    # what chooses the epochs is a score of the trials, too
    monitor = chosen_monitor(config.training.monitor, config.heads)
    found.setdefault(monitor, (monitor, direction(monitor)))
    return found
