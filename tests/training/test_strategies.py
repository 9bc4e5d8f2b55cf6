"""`fit` on two replicas of one process and on two workers: the outcome of one device, and killed
and started again, the same bits.
"""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import small_table
import strategies_program as case
import tensorflow as tf

from multimodal_tf.models import build_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.launch import launch
from multimodal_tf.training.run_dir import load_run

pytestmark = pytest.mark.slow

# as in test_distributed_model
ROUNDING = 1e-5
PROGRAM = [sys.executable, str(pathlib.Path(case.__file__))]
SPREAD = ["mirrored", "multi_worker"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of all three ways, by name: `alike`, `whole`, and `killed` with signal 9 in its second
    epoch.
    """
    folder = tmp_path_factory.mktemp("strategies")
    small_table.ingested(folder / "records")
    fit(
        case.ALIKE,
        schema_of(folder),
        folder / "records",
        folder / "none alike",
        callbacks=[case.Kill(0)],
        verbose=0,
    )
    command = [*PROGRAM, "mirrored", str(folder)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    subprocess.run(command, check=True, capture_output=True)
    launch(
        [*PROGRAM, "multi_worker", str(folder)],
        2,
        folder / "logs",
        restarts=1,
        echo=lambda line: None,
    )
    return folder


def schema_of(folder):
    return case.Schema.load(folder / "records" / "schema.json")


@pytest.mark.parametrize("name", SPREAD)
def test_the_result_is_that_of_one_device(name, folder):
    one, other = load_run(folder / "none alike"), load_run(folder / f"{name} alike")
    assert one.history.keys() == other.history.keys()
    for figure, values in one.history.items():
        np.testing.assert_allclose(
            other.history[figure], values, rtol=ROUNDING, atol=ROUNDING, err_msg=figure
        )
    for ours, theirs in zip(one.model.weights, other.model.weights, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=ROUNDING, err_msg=ours.path)
    assert (other.record.strategy, other.record.replicas, other.record.best_epoch) == (
        name,
        2,
        one.record.best_epoch,
    )


@pytest.mark.parametrize("name", SPREAD)
def test_a_killed_training_resumes_bit_for_bit(name, folder):
    whole, killed = load_run(folder / f"{name} whole"), load_run(folder / f"{name} killed")
    assert killed.record.resumed == 1
    assert killed.history == whole.history
    assert killed.metrics == whole.metrics
    for ours, theirs in zip(killed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(
        killed.model.optimizer.variables, whole.model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert (killed.run_dir / "history.csv").read_bytes() == (
        whole.run_dir / "history.csv"
    ).read_bytes()


def test_a_killed_worker_is_restarted_with_the_other(folder):
    assert "--- restarted (1)" in (folder / "logs" / "worker-0.log").read_text()


def test_only_the_chief_writes(folder):
    runs = {path.name for path in folder.iterdir() if path.is_dir()} - {"records", "logs"}
    assert runs == {"none alike"} | {
        f"{name} {run}" for name in SPREAD for run in ("alike", "whole", "killed")
    }
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.rglob("*.checkpoint"))


def test_a_training_of_another_strategy_is_not_resumed(folder, tmp_path):
    """It was interrupted on two replicas, and is called on one device."""

    def train(strategy):
        fit(
            case.DRAWN,
            schema_of(folder),
            folder / "records",
            tmp_path / "run",
            callbacks=[Stop()],
            verbose=0,
            strategy=strategy,
        )

    with pytest.raises(KeyboardInterrupt):
        train("none")
    with pytest.raises(
        ValueError,
        match=r"interrupted training that differs in strategy \('none of 1', received "
        r"'mirrored of 1'\): pass the",
    ):
        train("mirrored")


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


def test_a_model_of_another_scope_is_refused(folder, tmp_path):
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = build_model(case.DRAWN, schema_of(folder))
    with pytest.raises(
        ValueError,
        match="model: it must be made in the scope of the strategy that is passed to fit, "
        ".*, received one of OneDevice",
    ):
        fit(
            case.DRAWN,
            schema_of(folder),
            folder / "records",
            tmp_path / "run",
            model=model,
            verbose=0,
        )
    assert not (tmp_path / "run" / "run.json").exists()
