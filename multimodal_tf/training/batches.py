"""Training and validation batches of ingested records, for one device or a strategy."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import open_split
from multimodal_tf.data.taught import Taught
from multimodal_tf.data.teacher_files import TeacherFiles
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute

# from a step of an epoch and the epoch to the batches from that step on
Batches = Callable[[int, tf.Variable], Any]


def manifest_for(config: Config, records: PathLike) -> Manifest:
    """The manifest of records that were ingested for a configuration.

    Raises:
        FileNotFoundError: ingest has not finished in `records`.
        ValueError: they were ingested with other settings or another split; a teacher is no model.
    """
    manifest = Manifest.load(records)
    ingested = check_records(config, records)
    if config.split != ingested.split:
        raise ValueError(
            f"split: {records} was ingested with {ingested.split}, received {config.split}: "
            "ingest the table again"
        )
    for model in () if config.teacher is None else config.teacher.models:
        # refuses what is no model, also before a search
        TeacherFiles(model)
    return manifest


def training_batches(
    config: Config,
    schema: Schema,
    records: PathLike,
    strategy: tf.distribute.Strategy,
    frozen: FrozenCells | None = None,
    taught: Taught | None = None,
) -> Batches:
    """A function from a step and an epoch to the training batches from that step on.

    The epoch is an int64 scalar `tf.Variable`; the order of the rows depends on it. `frozen` and
    `taught` are as for `open_split`.
    """

    @functools.cache
    def opened(worker: tuple[int, int]) -> Batches:
        batches: Batches = open_split(
            config,
            schema,
            records,
            "train",
            training=True,
            worker=worker,
            frozen=frozen,
            taught=taught,
        )
        return batches

    def from_step(step: int, epoch: tf.Variable) -> Any:
        return distribute.distribute_dataset(strategy, lambda worker: opened(worker)(step, epoch))

    return from_step


def validation_batches(
    config: Config,
    schema: Schema,
    records: PathLike,
    strategy: tf.distribute.Strategy,
    frozen: FrozenCells | None = None,
    taught: Taught | None = None,
) -> Any:
    """The validation batches; None if none of their rows has a label that training saw.

    Rows that a teacher teaches need no label. `frozen` and `taught` are as for `open_split`.
    The loss of such rows would be 0 in every epoch, so it could not tell which one is best.
    """
    if not Manifest.load(records).rows("validation"):
        return None

    def opened(worker: tuple[int, int]) -> tf.data.Dataset:
        # with the weights of training: otherwise another loss would choose the best epoch
        return open_split(
            config,
            schema,
            records,
            "validation",
            worker=worker,
            class_weights=True,
            frozen=frozen,
            taught=taught,
        )()

    rows = opened((0, 1))
    if not any(
        np.any(weight > 0)
        for _, _, weights in rows.as_numpy_iterator()
        for weight in weights.values()
    ):
        return None

    def of_worker(worker: tuple[int, int]) -> tf.data.Dataset:
        if worker == (0, 1):
            return rows
        return opened(worker)

    return distribute.distribute_dataset(strategy, of_worker)
