"""Keras Tuner's tuners over a `SearchModel`, in a folder from which a killed search resumes."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any, Literal, assert_never

import keras_tuner
import keras_tuner.src.config
import keras_tuner.src.utils
from keras_tuner.src.engine.tuner_utils import SaveBestEpoch

from multimodal_tf.config.json_files import read_object
from multimodal_tf.config.search_space import Space
from multimodal_tf.data import atomic
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.training.tune.model import SearchModel

TunerName = Literal["random", "bayesian", "hyperband"]

# Keras Tuner's own files
PROJECT = "trials"
_ORACLE = "oracle.json"
# Keras Tuner's names of the process that keeps the trials
_NAMES = ("tuner0", "chief")
# a search continues however many trials fail
_NEVER = 10**9


class _WithoutWeights(keras_tuner.Tuner):
    """A tuner that keeps the metrics of its trials, and not the weights of each.

    Writing large frozen towers after every better epoch takes longer than training heads on them.
    """

    def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["callbacks"] = [
            one for one in kwargs["callbacks"] if not isinstance(one, SaveBestEpoch)
        ]
        return super()._build_and_fit_model(trial, *args, **kwargs)


class _RandomSearch(_WithoutWeights, keras_tuner.RandomSearch):
    pass


class _BayesianOptimization(_WithoutWeights, keras_tuner.BayesianOptimization):
    pass


@dataclasses.dataclass(frozen=True)
class Settings:
    """What every process of a search needs."""

    space: Space
    records: PathLike
    out: pathlib.Path
    objective: str
    tuner: TunerName
    # None: the tuner decides
    trials: int | None
    folds: tuple[pathlib.Path, ...]
    # bytes for each process
    memory: int | None
    # of frozen towers
    cache: bool = True

    @property
    def project(self) -> pathlib.Path:
        """The folder of Keras Tuner's files."""
        return self.out / PROJECT

    def model(self) -> SearchModel:
        """The search space as a HyperModel; raises as `SearchModel`."""
        return SearchModel(self.space, self.records, self.out, self.folds, self.memory, self.cache)


def search(settings: Settings, keeps_trials: bool = True, model: SearchModel | None = None) -> None:
    """Runs this process' part of a search.

    That is all of it, or what Keras Tuner's environment variables say.

    Args:
        settings: `Settings`.
        keeps_trials: whether this process is the only one or the chief; otherwise it is a worker.
        model: that of the settings, with the networks that it has loaded; None: it is made.
    """
    _patch_keras_tuner()
    if keeps_trials:
        prepare_resume(settings.project)
    _make_tuner(settings, settings.model() if model is None else model).search(verbose=0)


def _make_tuner(settings: Settings, model: SearchModel) -> keras_tuner.Tuner:
    default = settings.space.default_config()
    common: dict[str, Any] = {
        "objective": model.objective(settings.objective),
        "directory": str(settings.out),
        "project_name": PROJECT,
        # 0 would be no seed
        "seed": default.seed + 1,
        "max_consecutive_failed_trials": _NEVER,
    }
    match settings.tuner:
        case "random":
            return _RandomSearch(model, max_trials=settings.trials, **common)
        case "bayesian":
            # Keras Tuner's default are 3 random trials for each field, which may be all of them
            half = (settings.trials or 0) // 2
            common["num_initial_points"] = max(3, min(3 * len(settings.space.fields()), half))
            return _BayesianOptimization(model, max_trials=settings.trials, **common)
        case "hyperband":
            return keras_tuner.Hyperband(model, max_epochs=default.training.epochs, **common)
        case _:
            assert_never(settings.tuner)


def prepare_resume(project: pathlib.Path) -> None:
    """Prepares the files of a killed search so that Keras Tuner resumes it.

    Keras Tuner resumes only if there is a file named after its own process, which it writes at the
    end of the first trial. A trial that was written just before the list of trials would be counted
    for ever, and never run.
    """
    if not (project / _ORACLE).is_file():
        return
    for name in _NAMES:
        atomic.write_text(project / f"{name}.json", "{}")
    listed = read_object(project / _ORACLE, "the list of trials").get("start_order", [])
    for trial in project.glob("trial_*"):
        if trial.name.removeprefix("trial_") not in listed:
            shutil.rmtree(trial)


def _patch_keras_tuner() -> None:
    """Corrects two things of Keras Tuner 1.4.8, in this process.

    It writes its files in place, and could not read a file that a kill cut short: they are written
    atomically instead. It prints the traceback of every failed trial into the progress bar: the
    table of trials has the reason.
    """

    def save_json(path: str, content: Any) -> str:
        text = json.dumps(content)
        atomic.write_text(pathlib.Path(path), text)
        return text

    keras_tuner.src.utils.save_json = save_json
    keras_tuner.src.config.DEBUG = False
