"""A run's folder: a trained model, and the record `run.json` of how it was trained."""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import warnings
from collections.abc import Collection, Mapping
from typing import Literal

import keras
import pandas as pd
import pydantic
import tensorflow as tf

# to load a model, Keras must know its layers, losses and optimizers
import multimodal_tf.models
import multimodal_tf.training.layerwise_learning_rates  # noqa: F401
from multimodal_tf.config import PRESENT, Config
from multimodal_tf.config.heads import cell_tensors
from multimodal_tf.config.json_files import read_model
from multimodal_tf.data import atomic, filesystem
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.models.keras_archive import load_keras_file
from multimodal_tf.schema import Schema, check_schema
from multimodal_tf.training.distribute import StrategyName
from multimodal_tf.training.pretrained import pretrained_digests

MODEL = "model.keras"
CONFIG = "config.yaml"
SCHEMA = "schema.json"
RECORD = "run.json"
HISTORY = "history.csv"
LOGS = "logs"
# the best model so far, during training
CHECKPOINT = "checkpoint.keras"
# from which an interrupted training resumes
CHECKPOINTS = "checkpoints"
# with a PEFT configuration: what was trained or added, without the base model
PEFT = "peft.safetensors"
_GIT = (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
_PACKAGES = ("multimodal_tf", "tensorflow", "keras", "numpy")


class Data(pydantic.BaseModel):
    """The records that a run was trained on."""

    # their folder
    records: str
    table: str
    # of the shards' contents
    hash: str
    # number of rows by split
    rows: dict[str, int]


class Machine(pydantic.BaseModel):
    """What determines the order of floating-point additions besides the seed.

    0 and "" are TensorFlow's own choices.
    """

    cores: int
    intra_op_threads: int
    inter_op_threads: int
    # the environment variable TF_ENABLE_ONEDNN_OPTS
    onednn: str


class RunRecord(pydantic.BaseModel):
    """The content of `run.json`."""

    status: Literal["running", "finished"] = "running"
    started: datetime.datetime
    ended: datetime.datetime | None = None
    # number of epochs that were run
    epochs: int = 0
    # from 1: the epoch whose weights `model.keras` holds; 0: those before training, of a head that
    # begins as a regression
    best_epoch: int = 0
    # Keras' metrics of that epoch; the training loss is a mean over a changing model
    metrics: dict[str, float | None] = {}
    note: str = ""
    # share of zeros in the matrices and kernels that were pruned, by input (its tower), `fused` and
    # head
    sparsity: dict[str, float] = {}
    # how often the training was interrupted and resumed
    resumed: int = 0
    # as passed to `fit`
    strategy: StrategyName = "none"
    replicas: int = 1
    # arguments of `fit` that the configuration does not hold: "model", "callbacks"
    arguments: list[str] = []
    seed: int
    versions: dict[str, str]
    machine: Machine
    # commit of the working directory, and whether its files differ from it; "": no repository
    git: str = ""
    data: Data
    # SHA-256 of the weights that pretrained towers began with, by preset or path
    pretrained: dict[str, str] = {}
    # SHA-256 of the teachers' files, by folder
    teachers: dict[str, str] = {}
    config: Config


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model and its record; `history` has one number per epoch for each Keras metric."""

    model: keras.Model
    config: Config
    schema: Schema
    history: dict[str, list[float]]
    record: RunRecord
    run_dir: pathlib.Path

    @property
    def metrics(self) -> dict[str, float | None]:
        """Keras' metrics of the epoch whose weights the model has."""
        return self.record.metrics


def check_run_dir(run_dir: pathlib.Path) -> None:
    """Checks that a folder is missing, empty, or holds a run.

    Raises:
        ValueError: it holds something else.
    """
    if not run_dir.is_dir() or (run_dir / RECORD).exists():
        return
    for path in sorted(run_dir.iterdir()):
        if path.name != atomic.LOCK:
            raise ValueError(
                "a run needs a new or empty directory, or one of an earlier run, "
                f"received {run_dir} with {path.name!r} in it"
            )


def check_unfinished(run_dir: pathlib.Path, overwrite: bool) -> None:
    """Checks that a training replaces no finished run.

    Raises:
        FileExistsError: it would, and not `overwrite`.
    """
    if overwrite or not (run_dir / RECORD).is_file():
        return
    record = load_record(run_dir / RECORD)
    if record.status == "finished":
        raise FileExistsError(
            f"{run_dir} holds a finished run, of {record.epochs} epochs on {record.data.table}:"
            " choose another folder, or replace it with overwrite=True (--overwrite)"
        )


def begin_run(
    config: Config,
    schema: Schema,
    records: PathLike,
    run_dir: pathlib.Path,
    arguments: Collection[str],
    strategy: StrategyName,
    replicas: int,
    teachers: Mapping[str, str],
) -> RunRecord:
    """Removes an earlier run's files, then writes configuration, schema and record."""
    for name in (MODEL, CHECKPOINT, HISTORY, PEFT):
        (run_dir / name).unlink(missing_ok=True)
    for name in (LOGS, CHECKPOINTS):
        shutil.rmtree(run_dir / name, ignore_errors=True)
    atomic.remove_temporaries(run_dir)
    record = RunRecord(
        started=_now(),
        strategy=strategy,
        replicas=replicas,
        arguments=list(arguments),
        seed=config.seed,
        versions={package: _version(package) for package in _PACKAGES},
        machine=_machine(),
        git=_git(),
        data=_data(records),
        pretrained=pretrained_digests(config),
        teachers=dict(teachers),
        config=config,
    )
    _write(run_dir, record)
    atomic.write_text(run_dir / CONFIG, config.to_yaml())
    atomic.write_text(run_dir / SCHEMA, schema.model_dump_json(indent=1))
    return record


def is_interrupted(run_dir: pathlib.Path) -> bool:
    """Whether a training was begun in the folder, and has not finished."""
    return (run_dir / RECORD).is_file() and load_record(run_dir / RECORD).status == "running"


def resume_run(record: RunRecord, config: Config, run_dir: pathlib.Path) -> RunRecord:
    """Writes the record of an interrupted training that is resumed.

    It warns if other versions or threads than before may change the result.
    """
    for difference in environment_differences(record):
        warnings.warn(
            f"{run_dir}: the training resumes with {difference}: "
            "its metrics may differ from those of an uninterrupted training",
            stacklevel=4,
        )
    record.resumed, record.config = record.resumed + 1, config
    atomic.remove_temporaries(run_dir)
    _write(run_dir, record)
    return record


def environment_differences(record: RunRecord) -> list[str]:
    """Differences between a run's environment and this one that may change its metrics.

    Returns:
        A phrase for each, such as "cores 2 instead of 4".
    """
    packages = {package: _version(package) for package in record.versions}
    here = packages | _machine().model_dump()
    before = record.versions | record.machine.model_dump()
    return [
        f"{name} {here.get(name)!r} instead of {value!r}"
        for name, value in before.items()
        if here.get(name) != value
    ]


def finish_run(run: Run, run_dir: pathlib.Path, saves: bool = True) -> None:
    """Writes the model and then the record, both atomically, and removes the checkpoints.

    The schema is written again: it may have got thresholds. Not `saves`: without the model.
    """
    atomic.write_text(run_dir / SCHEMA, run.schema.model_dump_json(indent=1))
    if saves:
        with atomic.replacing(run_dir / MODEL) as temporary:
            # Keras insists on the suffix
            whole = temporary.with_suffix(".tmp.keras")
            run.model.save(whole)
            whole.replace(temporary)
    run.record.status, run.record.ended = "finished", _now()
    _write(run_dir, run.record)
    (run_dir / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(run_dir / CHECKPOINTS, ignore_errors=True)


def load_record(path: str | pathlib.Path) -> RunRecord:
    """Reads a `run.json`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not the record of a run.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no record of a run")
    return read_model(path, RunRecord, "the record of a run")


def load_run(run_dir: str | pathlib.Path) -> Run:
    """Reads what `fit` wrote.

    Args:
        run_dir: as passed to `fit`.

    Returns:
        `Run`, with the model compiled as it was.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the training has not finished, or a file is missing or damaged.
    """
    run_dir = pathlib.Path(run_dir)
    if not (run_dir / RECORD).is_file():
        raise FileNotFoundError(
            f"{run_dir} holds no run: it has no {RECORD}, which training writes"
        )
    record = load_record(run_dir / RECORD)
    if record.status != "finished":
        raise ValueError(
            f"the training in {run_dir} has not finished (it began {record.started:%Y-%m-%d %H:%M} "
            "UTC): train again, to the end"
        )
    try:
        model = load_keras_file(run_dir / MODEL)
    except ValueError as error:
        raise _damaged(run_dir / MODEL, error) from error
    try:
        history = _read_history(run_dir / HISTORY)
    except (ValueError, OSError) as error:
        raise _damaged(run_dir / HISTORY, error) from error
    config, schema = Config.load(run_dir / CONFIG), Schema.load(run_dir / SCHEMA)
    _check_fit(model, config, schema, run_dir)
    return Run(model, config, schema, history, record, run_dir)


def _check_fit(model: keras.Model, config: Config, schema: Schema, run_dir: pathlib.Path) -> None:
    """Checks that the files of a run are of one run.

    Raises:
        ValueError: the configuration or the schema is of another one.
    """
    for side, wanted in (("output", config.heads), ("input", config.inputs)):
        own = getattr(model, side, None)
        if side == "input" and isinstance(own, dict):
            own = cell_tensors(own, config.heads)
        names = [
            name
            for name in (own if isinstance(own, dict) else {})
            if side == "output" or not name.endswith(PRESENT) or name in wanted
        ]
        if {*names} != {*wanted}:
            raise ValueError(
                f"{run_dir / CONFIG} is of another model than {MODEL}: it has {sorted(wanted)}, the"
                f" model's {side}s are {sorted(names)}"
            )
    try:
        check_schema(config, schema)
    except ValueError as error:
        raise ValueError(
            f"{run_dir / SCHEMA} is of another model than {CONFIG}: {error}"
        ) from error


def _read_history(path: pathlib.Path) -> dict[str, list[float]]:
    columns = pd.read_csv(path).items()
    return {str(name): list(column) for name, column in columns if name != "epoch"}


def _damaged(path: pathlib.Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is missing or damaged, train again: {' '.join(str(error).split())}")


def _write(run_dir: pathlib.Path, record: RunRecord) -> None:
    atomic.write_text(run_dir / RECORD, record.model_dump_json(indent=1))


def _data(records: PathLike) -> Data:
    folder, manifest = filesystem.to_path(records), Manifest.load(records)
    return Data(
        records=str(folder.resolve() if filesystem.is_local(folder) else folder),
        table=manifest.table,
        hash=manifest.hash,
        rows={split: manifest.rows(split) for split in manifest.splits},
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        # the package is used from its source tree
        return "not installed"


def _machine() -> Machine:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return Machine(
        cores=cores,
        intra_op_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_threads=tf.config.threading.get_inter_op_parallelism_threads(),
        onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
    )


def _git() -> str:
    """The commit of the working directory's repository, and whether its files differ from it."""
    try:
        commit, changes = (
            subprocess.run(
                ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for arguments in _GIT
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit} with changes" if changes else commit
