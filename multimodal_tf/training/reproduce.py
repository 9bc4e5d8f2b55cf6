"""Trains a run again from its `run.json`: the same settings, rows, seed and threads."""

import pathlib
import warnings

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.teacher_files import TeacherFiles
from multimodal_tf.training.pretrained import pretrained_digests
from multimodal_tf.training.run_dir import Run, RunRecord, environment_differences, load_record


def prepare(
    path: str | pathlib.Path,
    records: PathLike | None = None,
    run_dir: str | pathlib.Path | None = None,
) -> tuple[str, Config]:
    """Sets up this process like the one that trained a run.

    Call it before TensorFlow computes anything. It sets the run's numbers of threads. It warns if
    versions, cores or oneDNN's settings differ, since results may then differ, too.

    Args:
        path: of a `run.json`.
        records: folder of ingested records; None: the one that the run read.
        run_dir: folder for the new run.

    Returns:
        `(records, config)` for `fit`.

    Raises:
        FileNotFoundError: there is no such file, or there are no records.
        ValueError: it is not the record of a run, the run was passed a model or callbacks, the
            records hold other rows, a pretrained tower has other weights, a teacher is another one,
            or `run_dir` is the run's own folder.

    Example:
        >>> records, config = prepare("runs/shop/run/run.json")  # doctest: +SKIP
    """
    path = pathlib.Path(path)
    record = load_record(path)
    if record.arguments:
        raise ValueError(
            f"{path}: the run was passed its {' and '.join(record.arguments)}, which no record "
            "holds: train it as before"
        )
    if run_dir is not None and pathlib.Path(run_dir).resolve() == path.resolve().parent:
        raise ValueError(
            f"{path}: the new run needs another folder than the run's own, received {run_dir}"
        )
    records = record.data.records if records is None else records
    received = Manifest.load(records).hash
    if received != record.data.hash:
        raise ValueError(
            f"{records} must hold the rows of the run (hash {record.data.hash:.12}), "
            f"received others (hash {received:.12})"
        )
    _check_pretrained(record)
    _check_teachers(record)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(record.machine.intra_op_threads)
        tf.config.threading.set_inter_op_parallelism_threads(record.machine.inter_op_threads)
    except RuntimeError:
        # TensorFlow runs already; a difference in threads is in the warnings below
        pass
    for difference in environment_differences(record):
        warnings.warn(f"{path}: here is {difference}: results may differ", stacklevel=2)
    return str(records), record.config


def _check_pretrained(record: RunRecord) -> None:
    """Checks that pretrained towers will begin with the weights that they began with.

    Raises:
        ValueError: a file of weights has changed.
    """
    for name, received in pretrained_digests(record.config).items():
        before = record.pretrained.get(name, received)
        if received != before:
            raise ValueError(
                f"{name} must have the weights that the run began with (SHA-256 {before:.12}),"
                f" received others (SHA-256 {received:.12})"
            )


def _check_teachers(record: RunRecord) -> None:
    """Checks that the teachers are those of the run.

    Raises:
        ValueError: a teacher's folder is gone, or holds another model.
    """
    for model, before in record.teachers.items():
        received = TeacherFiles(model).digest
        if received != before:
            raise ValueError(
                f"teacher.model {model} must be the one that taught the run (SHA-256"
                f" {before:.12}), received another (SHA-256 {received:.12})"
            )


def compare_metrics(path: str | pathlib.Path, run: Run) -> str:
    """A sentence on whether a run has the metrics of an earlier one, given by its `run.json`."""
    before = load_record(path).metrics
    different = [name for name, value in before.items() if run.metrics.get(name) != value]
    if not different:
        return f"The {len(before)} metrics equal those of {path}, bit for bit."
    name = different[0]
    return (
        f"{len(different)} of {len(before)} metrics differ from {path}: "
        f"{name} is {run.metrics.get(name)}, was {before[name]}."
    )
