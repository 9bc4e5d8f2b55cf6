"""A run: a directory that holds a trained model, and the record `run.json` of where it came from."""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import warnings
import zipfile
from typing import Literal

import keras
import pandas as pd
import pydantic
import tensorflow as tf

import multimodal_tf.models  # noqa: F401  Keras must know our layers, losses and optimizers to load a model that has them
import multimodal_tf.training.layerwise_learning_rates  # noqa: F401
from multimodal_tf.config import Config
from multimodal_tf.data import atomic, filesystem
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute

MODEL, CONFIG, SCHEMA, RECORD, HISTORY, LOGS = (
    "model.keras",
    "config.yaml",
    "schema.json",
    "run.json",
    "history.csv",
    "logs",
)
# the best model so far, while training lasts
CHECKPOINT = "checkpoint.keras"
# what an interrupted training goes on from
CHECKPOINTS = "checkpoints"
# of a run with a PEFT configuration: what it taught, without the base
PEFT = "peft.safetensors"
_GIT = (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
_PACKAGES = ("multimodal_tf", "tensorflow", "keras", "numpy")


class Data(pydantic.BaseModel):
    """What a run was trained on."""

    directory: str
    table: str
    # of the shards' contents
    hash: str
    # by split
    rows: dict[str, int]


class Machine(pydantic.BaseModel):
    """What decides, besides the seed, in which order numbers are added up; 0 or "" is TensorFlow's
    own choice.
    """

    cores: int
    intra_op_threads: int
    inter_op_threads: int
    # the environment's TF_ENABLE_ONEDNN_OPTS
    onednn: str


class Record(pydantic.BaseModel):
    """What `run.json` says."""

    status: Literal["running", "finished"] = "running"
    started: datetime.datetime
    ended: datetime.datetime | None = None
    # that were run
    epochs: int = 0
    # from 1: the one whose weights `model.keras` holds
    best_epoch: int = 0
    # of that epoch, as Keras counted them; the training loss is a mean over a changing model
    figures: dict[str, float | None] = {}
    note: str = ""
    # how often the training was interrupted and went on
    resumed: int = 0
    # as `fit` was given it
    strategy: distribute.Name = "none"
    replicas: int = 1
    # arguments of `fit` that the configuration does not hold: "model", "callbacks"
    given: list[str] = []
    seed: int
    versions: dict[str, str]
    machine: Machine
    # the commit of the directory that training was started in, and whether files differ from it;
    # "": no repository
    git: str = ""
    data: Data
    config: Config


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model and where it came from; `history` holds a list for each of Keras' figures,
    one number an epoch.
    """

    model: keras.Model
    config: Config
    schema: Schema
    history: dict[str, list[float]]
    record: Record
    directory: pathlib.Path

    @property
    def figures(self) -> dict[str, float | None]:
        """Keras' figures of the epoch whose weights the model has."""
        return self.record.figures


def check_place(directory: pathlib.Path):
    """Refuses a directory that holds anything but a run.

    Raises:
        ValueError: it does.
    """
    if directory.is_dir() and not (directory / RECORD).exists():
        foreign = next(
            (path.name for path in sorted(directory.iterdir()) if path.name != atomic.LOCK), None
        )
        if foreign is not None:
            raise ValueError(
                f"a run needs a new or empty directory, or one of an earlier run, received {directory} with {foreign!r} in it"
            )


def begin(
    directory: pathlib.Path,
    config: Config,
    schema: Schema,
    data_directory,
    manifest: Manifest,
    given: list[str],
    strategy: distribute.Name,
    replicas: int,
) -> Record:
    """Removes an earlier run's files from the directory, then writes configuration, schema and
    record there.
    """
    for name in (MODEL, CHECKPOINT, HISTORY, PEFT):
        (directory / name).unlink(missing_ok=True)
    for name in (LOGS, CHECKPOINTS):
        shutil.rmtree(directory / name, ignore_errors=True)
    atomic.remove_temporaries(directory)
    record = Record(
        started=_now(),
        strategy=strategy,
        replicas=replicas,
        given=given,
        seed=config.seed,
        versions={package: _version(package) for package in _PACKAGES},
        machine=_machine(),
        git=_git(),
        data=Data(
            directory=str(
                data_directory.resolve() if filesystem.is_local(data_directory) else data_directory
            ),
            table=manifest.table,
            hash=manifest.hash,
            rows={split: manifest.rows(split) for split in manifest.splits},
        ),
        config=config,
    )
    _write(directory, record)
    atomic.write_text(directory / CONFIG, config.to_yaml())
    atomic.write_text(directory / SCHEMA, schema.model_dump_json(indent=1))
    return record


def unfinished(directory: pathlib.Path) -> bool:
    """Whether a training was begun in the directory, and not ended."""
    return (directory / RECORD).is_file() and load_record(directory / RECORD).status == "running"


def go_on(record: Record, directory: pathlib.Path, config: Config) -> Record:
    """Writes the record of an interrupted training that goes on; warns where other versions or
    threads than at its begin may give other bits."""
    for difference in differences(record):
        warnings.warn(
            f"{directory}: the training goes on with {difference}: its figures may differ from an uninterrupted one",
            stacklevel=3,
        )
    record.resumed, record.config = record.resumed + 1, config
    atomic.remove_temporaries(directory)
    _write(directory, record)
    return record


def differences(record: Record) -> list[str]:
    """What is not here as it was where a run began, and may change the bits of its figures; a
    phrase each.
    """
    here = {package: _version(package) for package in record.versions} | _machine().model_dump()
    there = record.versions | record.machine.model_dump()
    return [
        f"{name} {here.get(name)!r} instead of {value!r}"
        for name, value in there.items()
        if here.get(name) != value
    ]


def finish(run: Run, directory: pathlib.Path):
    """Writes the model and then the record, each there whole or not at all, and removes the
    checkpoints.
    """
    with atomic.replacing(directory / MODEL) as temporary:
        # Keras insists on the ending
        whole = temporary.with_suffix(".tmp.keras")
        run.model.save(whole)
        whole.replace(temporary)
    run.record.status, run.record.ended = "finished", _now()
    _write(directory, run.record)
    (directory / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(directory / CHECKPOINTS, ignore_errors=True)


def load_record(path: str | pathlib.Path) -> Record:
    """Reads a `run.json`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not the record of a run.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no record of a run")
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not the record of a run: {' '.join(str(error).split())}"
        ) from error


def load_run(directory: str | pathlib.Path) -> Run:
    """Reads what `fit` wrote.

    Args:
        directory: the `run_directory` of `fit`.

    Returns:
        `Run`, with the model compiled as it was.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the run has not ended, or a file of it is damaged.
    """
    directory = pathlib.Path(directory)
    if not (directory / RECORD).is_file():
        raise FileNotFoundError(
            f"{directory} holds no run: it has no {RECORD}, which training writes"
        )
    record = load_record(directory / RECORD)
    if record.status != "finished":
        raise ValueError(
            f"the training in {directory} has not ended (it began {record.started:%Y-%m-%d %H:%M} UTC): train again, to the end"
        )
    try:
        model = keras.models.load_model(directory / MODEL)
    except (zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{directory / MODEL} is missing or damaged, train again: {' '.join(str(error).split())}"
        ) from error
    try:
        history = {
            str(name): list(column)
            for name, column in pd.read_csv(directory / HISTORY).items()
            if name != "epoch"
        }
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{directory / HISTORY} is missing or damaged, train again: {' '.join(str(error).split())}"
        ) from error
    return Run(
        model,
        Config.load(directory / CONFIG),
        Schema.load(directory / SCHEMA),
        history,
        record,
        directory,
    )


def _write(directory, record):
    atomic.write_text(directory / RECORD, record.model_dump_json(indent=1))


def _now():
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        # the package is used from its source tree
        return "not installed"


def _machine():
    return Machine(
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        intra_op_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_threads=tf.config.threading.get_inter_op_parallelism_threads(),
        onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
    )


def _git():
    """The commit of the current directory's repository, and whether its files differ from that."""
    try:
        said = [
            subprocess.run(
                ["git", *words], capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for words in _GIT
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    commit, changes = said
    return f"{commit} with changes" if changes else commit
