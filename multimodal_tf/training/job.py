"""What a training was asked for: its arguments, checked, and its record, begun or resumed."""

import dataclasses
import json
import math
import pathlib

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.monitor import check_monitor
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.targets import Targets
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute
from multimodal_tf.training.batches import manifest_for
from multimodal_tf.training.checkpoint import Checkpoints, State
from multimodal_tf.training.devices import check_precision
from multimodal_tf.training.distribute import StrategyName
from multimodal_tf.training.identity import Identity, check_resumable, training_identity
from multimodal_tf.training.pairs import check_pairs
from multimodal_tf.training.run_dir import (
    CHECKPOINTS,
    RECORD,
    RunRecord,
    begin_run,
    check_run_dir,
    is_interrupted,
    load_record,
    resume_run,
)
from multimodal_tf.training.teacher import Lessons, check_folder, find_lessons


@dataclasses.dataclass(frozen=True)
class Job:
    """The arguments of a training that was checked."""

    config: Config
    schema: Schema
    records: PathLike
    manifest: Manifest
    # names of arguments of `fit` that the configuration does not hold
    arguments: list[str]
    strategy_name: StrategyName
    strategy: tf.distribute.Strategy
    lessons: Lessons
    # as for `fit_model`
    begins: bool = True
    saves: bool = True

    @property
    def read(self) -> tuple[Config, Schema, PathLike, tf.distribute.Strategy]:
        """What its batches are made of."""
        return self.config, self.schema, self.records, self.strategy

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return math.ceil(self.manifest.rows("train") / self.config.training.batch_size)

    @property
    def identity(self) -> Identity:
        """What a training that resumes this one must share with it."""
        strategy = f"{self.strategy_name} of {self.strategy.num_replicas_in_sync}"
        of_data = self.config, self.schema, self.manifest
        return training_identity(*of_data, self.arguments, strategy, self.lessons.digests)


def prepare(
    config: Config,
    schema: Schema,
    records: PathLike,
    run_dir: pathlib.Path,
    arguments: list[str],
    strategy_name: StrategyName,
) -> Job:
    """Checks the arguments of `fit` before any work; raises as `fit`."""
    check_precision(config.training)
    strategy = distribute.strategy_of(strategy_name)
    distribute.check_batch_size(strategy, config.training.batch_size)
    check_folder(config, run_dir)
    manifest = manifest_for(config, records)
    check_run_dir(run_dir)
    # heads may have been taken away from a configuration that was valid
    check_monitor(config.training.monitor, config.heads)
    # refuses weights of classes that the schema does not have
    Targets(config, schema, class_weights=True)
    check_pairs(config, records)
    lessons = find_lessons(config, schema, records)
    job = Job(config, schema, records, manifest, arguments, strategy_name, strategy, lessons)
    distribute.check_same(strategy, "the same arguments of fit", json.dumps(job.identity))
    return job


def begin_or_resume(
    job: Job, run_dir: pathlib.Path, own_dir: pathlib.Path
) -> tuple[RunRecord, State]:
    """The run's record, written to `own_dir`, and the state to resume from; None: no state."""
    interrupted, state = None, None
    if is_interrupted(run_dir):
        interrupted = load_record(run_dir / RECORD)
        state = Checkpoints(run_dir / CHECKPOINTS).latest()
    if state is not None:
        check_resumable(job.identity, state["identity"], run_dir / CHECKPOINTS)
        _check_epochs(state["epoch"], job.config.training.epochs, run_dir)
    seen = json.dumps(None if state is None else (state["epoch"], state["step"]))
    distribute.check_same(job.strategy, f"a run_dir in which they see the same, {run_dir}", seen)
    if interrupted is not None and state is not None:
        return resume_run(interrupted, job.config, own_dir), state
    record = begin_run(
        job.config,
        job.schema,
        job.records,
        own_dir,
        job.arguments,
        job.strategy_name,
        job.strategy.num_replicas_in_sync,
        job.lessons.digests,
    )
    return record, None


def _check_epochs(done: int, epochs: int, run_dir: pathlib.Path) -> None:
    if done >= epochs:
        raise ValueError(
            f"training.epochs must be more than {done}, so many of the interrupted training in"
            f" {run_dir} are done, received {epochs}"
        )
