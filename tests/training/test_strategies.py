"""`fit` on two replicas of one process and on two workers: the outcome of one device, and killed
and started again, the same bits.
"""

import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import strategies_program as program
import tensorflow as tf
from same_run import assert_same_run

from multimodal_tf.models import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit
from multimodal_tf.training.launch import launch
from multimodal_tf.training.run_dir import load_run

pytestmark = pytest.mark.slow

# as in test_distributed_model
ROUNDING = 1e-5
PROGRAM = [sys.executable, str(pathlib.Path(program.__file__))]
SPREAD = ["mirrored", "multi_worker"]


@pytest.fixture(scope="module")
def folder(once, small_records):
    """Runs of all three ways, by name: `alike`, `whole`, and `killed` with signal 9 in its second
    epoch.
    """

    def make(folder):
        shutil.copytree(small_records, folder / "records")
        train(folder, program.ALIKE, folder / "none alike", program.Kill(0))
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

    return once("strategies", make)


def train(folder, config, run, *callbacks, **options):
    schema = Schema.load(folder / "records" / "schema.json")
    fit(config, schema, folder / "records", run, callbacks=callbacks, verbose=0, **options)


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
    assert_same_run(killed, whole)


def test_a_killed_worker_is_restarted_with_the_other(folder):
    assert "--- restarted (1)" in (folder / "logs" / "worker-0.log").read_text()


def test_only_the_chief_writes(folder):
    runs = {path.name for path in folder.iterdir() if path.is_dir()} - {"records", "logs"}
    assert runs == {"none alike"} | {
        f"{name} {run}" for name in SPREAD for run in ("alike", "whole", "killed")
    }
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.rglob("*.checkpoint"))


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


def test_a_training_of_another_strategy_is_not_resumed(folder, tmp_path):
    """It was interrupted on one device, and is called on the replicas of `mirrored`."""
    with pytest.raises(KeyboardInterrupt):
        train(folder, program.DRAWN, tmp_path / "run", Stop(), strategy="none")
    with pytest.raises(
        ValueError,
        match=r"interrupted training that differs in strategy \('none of 1', received "
        r"'mirrored of 1'\): pass the",
    ):
        train(folder, program.DRAWN, tmp_path / "run", Stop(), strategy="mirrored")


def test_a_model_of_another_scope_is_refused(folder, tmp_path):
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = build_model(program.DRAWN, Schema.load(folder / "records" / "schema.json"))
    with pytest.raises(
        ValueError,
        match="model: it must be made in the scope of the strategy that is passed to fit, "
        ".*, received one of OneDevice",
    ):
        train(folder, program.DRAWN, tmp_path / "run", model=model)
    assert not (tmp_path / "run" / "run.json").exists()
