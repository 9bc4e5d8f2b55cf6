"""A run again, from what its `run.json` says: the same settings, rows, seed and threads."""

import pathlib
import warnings

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.training import run_dir
from multimodal_tf.training.run_dir import Run


def prepare(record: str | pathlib.Path, directory=None, run_directory=None) -> tuple[str, Config]:
    """Makes this process what the run's was, as far as that can be done; to be called before
    TensorFlow computes anything.

    It takes as many threads as the run had; where other versions, cores or settings of oneDNN are
    here, it warns that bits may differ.

    Args:
        record: path of a `run.json`.
        directory: where the rows are; None: where the run read them.
        run_directory: where the repetition will be written.

    Returns:
        `(directory, config)` for `fit`.

    Raises:
        FileNotFoundError: there is no such file, or there are no records.
        ValueError: it is not the record of a run, the run was given a model or callbacks, the rows
            are others, or `run_directory` is the run's own.

    Example:
        >>> directory, config = prepare("runs/shop/run/run.json")  # doctest: +SKIP
    """
    record = pathlib.Path(record)
    then = run_dir.load_record(record)
    if then.given:
        raise ValueError(
            f"{record}: the run was given its {' and '.join(then.given)}, which no record holds: train it as before"
        )
    if (
        run_directory is not None
        and pathlib.Path(run_directory).resolve() == record.resolve().parent
    ):
        raise ValueError(
            f"{record}: the repetition needs another folder than the run's own, received {run_directory}"
        )
    directory = then.data.directory if directory is None else directory
    there = Manifest.load(directory).hash
    if there != then.data.hash:
        raise ValueError(
            f"{directory} must hold the rows of the run (hash {then.data.hash:.12}), received others (hash {there:.12})"
        )
    try:
        tf.config.threading.set_intra_op_parallelism_threads(then.machine.intra_op_threads)
        tf.config.threading.set_inter_op_parallelism_threads(then.machine.inter_op_threads)
    except RuntimeError:
        # TensorFlow works already; `differences` says with how many threads
        pass
    for difference in run_dir.differences(then):
        warnings.warn(f"{record}: here is {difference}: bits may differ", stacklevel=2)
    return str(directory), then.config


def compare(record: str | pathlib.Path, again: Run) -> str:
    """A sentence on whether a repetition has the figures of its run."""
    then = run_dir.load_record(record).figures
    different = [name for name, value in then.items() if again.figures.get(name) != value]
    if not different:
        return f"The {len(then)} figures are those of {record}, bit for bit."
    name = different[0]
    return f"{len(different)} of {len(then)} figures differ from {record}: {name} is {again.figures.get(name)}, was {then[name]}."
