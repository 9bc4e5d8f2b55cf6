"""Ctrl-C and SIGTERM leave a checkpoint and a sentence; a finished run is not replaced unasked."""

import os
import pathlib
import shutil
import signal
import threading

import keras
import pytest
from same_run import assert_same_run
from small_table import with_parts
from typer.testing import CliRunner

from multimodal_tf.cli import app
from multimodal_tf.config import Training
from multimodal_tf.training.fit import fit
from multimodal_tf.training.interrupt import Signals, TrainingStopped
from multimodal_tf.training.run_dir import load_record, load_run

CONFIG = with_parts(
    ["price"],
    ["age"],
    fusion={"hidden": [4], "dropout": 0.3},
    training=Training(epochs=3, batch_size=8, schedule="constant"),
)


def of_epochs(epochs, **training):
    fields = {"epochs": epochs, **training}
    return CONFIG.model_copy(update={"training": CONFIG.training.model_copy(update=fields)})


class Send(keras.callbacks.Callback):
    """Sends a signal to this process, `times` times, in a step of the second epoch."""

    def __init__(self, number=None, times=1):
        super().__init__()
        self.number, self.times, self.steps = number, times, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.number is not None and self.steps == 7:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def train(small_schema, small_records):
    def train(run_dir, number=None, config=CONFIG, times=1, **options):
        callbacks = [Send(number, times)]
        return fit(config, small_schema, small_records, run_dir, callbacks, 0, **options)

    return train


@pytest.fixture(scope="module")
def whole(train, once):
    return load_run(once("not stopped", train))


@pytest.fixture(scope="module")
def stopped(train, once):
    """The folder of a run that Ctrl-C stopped in its second epoch."""

    def make(folder):
        with pytest.raises(TrainingStopped, match="stopped in epoch 2, after step 2, .* goes on"):
            train(folder / "run", signal.SIGINT)

    return once("stopped by a signal", make) / "run"


@pytest.fixture
def copied(stopped, tmp_path):
    return pathlib.Path(shutil.copytree(stopped, tmp_path / "run"))


def test_a_stopped_training_resumes_bit_for_bit(copied, whole, train):
    assert [path.name for path in (copied / "checkpoints").iterdir()] == ["000000000007.checkpoint"]
    resumed = train(copied)
    assert_same_run(resumed, whole)
    assert resumed.record.resumed == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_epochs_go_on_from_the_checkpoint(copied, train):
    with pytest.raises(ValueError, match=r"training.epochs must be more than 1, .* received 1"):
        train(copied, config=of_epochs(1))
    resumed = train(copied, config=of_epochs(2))
    assert (resumed.record.resumed, resumed.record.epochs) == (1, 2)


def test_other_epochs_of_a_falling_learning_rate_keep_the_checkpoint(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", signal.SIGTERM, of_epochs(3, schedule="cosine"))
    with pytest.raises(ValueError, match=r"differs in configuration.training.epochs \(3, received"):
        train(tmp_path / "run", config=of_epochs(4, schedule="cosine"))
    assert len([*(tmp_path / "run" / "checkpoints").iterdir()]) == 1


def test_a_second_signal_stops_at_once(train, tmp_path):
    with pytest.raises(KeyboardInterrupt) as raised:
        train(tmp_path / "run", signal.SIGINT, times=2)
    assert not isinstance(raised.value, TrainingStopped)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_handlers_of_a_program_and_threads_keep_their_way():
    signals, received = Signals(), []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append("own"))
    try:
        with signals.awaited():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (received, signals.received) == (["own"], None)
    thread = threading.Thread(target=lambda: signals.awaited().__enter__())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_replaced_only_if_asked(whole, train, small_records, tmp_path):
    folder = shutil.copytree(whole.run_dir, tmp_path / "run")
    before = (folder / "run.json").read_bytes()
    with pytest.raises(
        FileExistsError, match=r"holds a finished run, of 3 epochs .*overwrite=True"
    ):
        train(folder)
    done = CliRunner().invoke(app, ["train", str(small_records), "--out", str(folder)])
    assert isinstance(done.exception, FileExistsError)
    assert (folder / "run.json").read_bytes() == before
    train(folder, config=of_epochs(1), overwrite=True)
    assert load_record(folder / "run.json").epochs == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_how_to_go_on(number, small_records, tmp_path, monkeypatch):
    def stop(*args, **options):
        raise TrainingStopped(number, 1, 2, tmp_path)

    monkeypatch.setattr("multimodal_tf.training.fit.fit", stop)
    done = CliRunner().invoke(app, ["train", str(small_records), "--out", str(tmp_path / "run")])
    assert done.exit_code == 128 + number
    assert "stopped in epoch 2, after step 2" in done.output
    assert "run the same again" in done.output
