"""Resuming: a killed training continues bit-exactly; checkpoints of another one are refused."""

import errno
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest
import small_table as case
import soundfile

from multimodal_tf.config import (
    AudioAugmentation,
    AudioInput,
    ClassificationHead,
    Config,
    ImageAugmentation,
    ImageInput,
    NumberInput,
    Split,
    Training,
)
from multimodal_tf.data import atomic
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.fit import fit
from multimodal_tf.training.resume import Resumable
from multimodal_tf.training.run_dir import load_run

# fewer inputs and heads than were ingested, for speed
CONFIG = Config(
    inputs={name: case.CONFIG.inputs[name] for name in ("price", "colour")},
    heads={name: case.CONFIG.heads[name] for name in ("label", "age")},
    fusion={"hidden": [4], "dropout": 0.3},
    split=case.CONFIG.split,
    training=Training(epochs=4, batch_size=8, patience=2, learning_rate=0.03, checkpoint_steps=1),
)
# 40 rows in batches of 8
STEPS = 5


class Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, after `at` steps; None: never."""

    def __init__(self, at):
        super().__init__()
        self.at, self.steps = at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt


class Counter(keras.callbacks.Callback):
    """A user's callback with a state."""

    def __init__(self):
        super().__init__()
        self.batches: list = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def get_state(self):
        return {"batches": self.batches}

    def set_state(self, state):
        self.batches = state["batches"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def schema(folder):
    return case.ingested(folder / "records")


@pytest.fixture(scope="module")
def uninterrupted(folder, schema):
    """A training that was not interrupted."""
    return fit(
        CONFIG, schema, folder / "records", folder / "whole", callbacks=[Counter()], verbose=0
    )


def interrupted(config, schema, records, directory, at, callbacks=()):
    with pytest.raises(KeyboardInterrupt):
        fit(config, schema, records, directory, callbacks=[*callbacks, Stop(at)], verbose=0)


def assert_same(one, other):
    assert one.history == other.history
    assert one.metrics == other.metrics
    for ours, theirs in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(
        one.model.optimizer.variables, other.model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert (one.run_dir / "history.csv").read_bytes() == (
        other.run_dir / "history.csv"
    ).read_bytes()


# --- resuming


@pytest.mark.parametrize(
    "at",
    [STEPS + 1, *(pytest.param(at, marks=pytest.mark.slow) for at in (2, STEPS, 2 * STEPS + 3))],
)
def test_resumes_bit_for_bit(at, uninterrupted, schema, folder):
    """Within the first epoch, at the end of an epoch, and within a later one.

    With dropout, shuffling and the best weights.
    """
    directory, counter = folder / f"at {at}", Counter()
    interrupted(CONFIG, schema, folder / "records", directory, at, callbacks=[Counter()])
    assert not (directory / "model.keras").exists()
    resumed = fit(
        CONFIG, schema, folder / "records", directory, callbacks=[counter, Stop(None)], verbose=0
    )
    assert_same(resumed, uninterrupted)
    assert load_run(directory).record.resumed == 1
    assert counter.batches == [*range(STEPS)] * len(uninterrupted.history["loss"])
    assert not (directory / "checkpoints").exists()


@pytest.mark.slow
def test_interrupted_again_and_again(uninterrupted, schema, folder):
    directory = folder / "again"
    # the step before the crash has no checkpoint yet
    for at in (2, 4, 3):
        interrupted(CONFIG, schema, folder / "records", directory, at)
    resumed = fit(CONFIG, schema, folder / "records", directory, callbacks=[Stop(None)], verbose=0)
    assert_same(resumed, uninterrupted)
    assert resumed.record.resumed == 3


def train(config, schema, folder, name, at=None, callbacks=()):
    return fit(
        config,
        schema,
        folder / "records",
        folder / name,
        callbacks=[*callbacks, Stop(at)],
        verbose=0,
    )


MANY = {
    "gradual unfreezing": {
        "peft": {
            "train": "heads",
            "stages": [["price_*"]],
            "learning_rate_factors": {"price_*": 0.5},
        }
    },
    "modality dropout, learned loss weights": {
        "fusion": {"type": "gated", "dim": 4, "modality_dropout": 0.3},
        "loss_weighting": {"type": "gradnorm"},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("what", MANY)
def test_states_are_restored(what, schema, folder):
    config = Config.model_validate(CONFIG.model_dump() | MANY[what])
    uninterrupted = train(config, schema, folder, f"{what} whole")
    interrupted(config, schema, folder / "records", folder / what, STEPS + 3)
    assert_same(train(config, schema, folder, what), uninterrupted)


def test_a_learning_rate_that_falls_on_a_plateau(schema, folder, monkeypatch):
    """Keras' callback counts epochs, and sets a variable of the optimizer."""
    monkeypatch.setattr(
        "multimodal_tf.training.optimizer.learning_rate_schedule",
        lambda training, steps: training.learning_rate,
    )

    def plateau():
        return keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=10.0)

    uninterrupted = train(CONFIG, schema, folder, "plateau whole", callbacks=[plateau()])
    interrupted(
        CONFIG, schema, folder / "records", folder / "plateau", 2 * STEPS + 1, callbacks=[plateau()]
    )
    assert_same(train(CONFIG, schema, folder, "plateau", callbacks=[plateau()]), uninterrupted)
    assert uninterrupted.history["learning_rate"][-1] < 0.03


# --- files


def checkpoints(directory):
    return sorted((directory / runs.CHECKPOINTS).iterdir())


@pytest.fixture
def stopped(schema, folder, tmp_path):
    """A training that was interrupted after three checkpoints, of which two are kept."""
    interrupted(CONFIG, schema, folder / "records", tmp_path / "run", 4)
    assert [path.name for path in checkpoints(tmp_path / "run")] == [
        "000000000002.checkpoint",
        "000000000003.checkpoint",
    ]
    return tmp_path / "run"


def test_if_a_file_is_damaged_the_one_before_is_used(stopped, uninterrupted, schema, folder):
    last = checkpoints(stopped)[-1]
    last.write_bytes(last.read_bytes()[:-100])
    assert Checkpoints(stopped / "checkpoints").latest()["step"] == 2
    assert_same(
        fit(CONFIG, schema, folder / "records", stopped, callbacks=[Stop(None)], verbose=0),
        uninterrupted,
    )


def test_a_changed_byte_is_detected(stopped):
    for path in checkpoints(stopped):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert Checkpoints(stopped / "checkpoints").latest() is None


def test_another_configuration_is_refused(stopped, schema, folder):
    other = Config.model_validate(
        CONFIG.model_dump() | {"training": CONFIG.training.model_dump() | {"learning_rate": 0.5}}
    )
    message = (
        r"holds an interrupted training that differs in "
        r"configuration\.training\.learning_rate \(0\.03, received 0\.5\): .* delete .*checkpoints"
    )
    with pytest.raises(ValueError, match=message):
        fit(other, schema, folder / "records", stopped, callbacks=[Stop(None)], verbose=0)
    assert len(checkpoints(stopped)) == 2
    shutil.rmtree(stopped / "checkpoints")
    assert (
        fit(
            other, schema, folder / "records", stopped, callbacks=[Stop(None)], verbose=0
        ).record.resumed
        == 0
    )


def test_a_checkpoint_of_another_version_without_a_field_is_refused(stopped, schema, folder):
    kept = Checkpoints(stopped / "checkpoints")
    state = kept.latest()
    del state["identity"]["strategy"]
    kept.save(9, state)
    kept.close()
    with pytest.raises(
        ValueError,
        match=r"interrupted training that differs in strategy \(None, received 'none of "
        r"1'\): .* delete .*checkpoints",
    ):
        fit(CONFIG, schema, folder / "records", stopped, callbacks=[Stop(None)], verbose=0)


def test_other_rows_are_refused(stopped, schema, folder, tmp_path):
    table = case.frame()
    table.loc[0, "price"] = 99.0
    case.ingested(tmp_path / "records", table=table)
    with pytest.raises(
        ValueError,
        match="holds an interrupted training that differs in data: pass the same, or delete",
    ):
        fit(CONFIG, schema, tmp_path / "records", stopped, callbacks=[Stop(None)], verbose=0)


def test_other_callbacks_are_refused(stopped, schema, folder):
    with pytest.raises(
        ValueError,
        match=r"callbacks: must be those of the training .*'Stop'.*, received .*'Counter'",
    ):
        fit(CONFIG, schema, folder / "records", stopped, callbacks=[Counter()], verbose=0)


def test_the_interval_of_checkpoints_may_change(stopped, uninterrupted, schema, folder):
    config = Config.model_validate(
        CONFIG.model_dump()
        | {"training": CONFIG.training.model_dump() | {"checkpoint_steps": None}}
    )
    assert_same(
        fit(config, schema, folder / "records", stopped, callbacks=[Stop(None)], verbose=0),
        uninterrupted,
    )


def test_other_threads_warn(stopped, schema, folder):
    record = json.loads((stopped / "run.json").read_text())
    record["machine"]["cores"] += 1
    (stopped / "run.json").write_text(json.dumps(record))
    with pytest.warns(
        UserWarning, match=r"resumes with cores \d+ instead of \d+: its metrics may differ"
    ):
        fit(CONFIG, schema, folder / "records", stopped, callbacks=[Stop(None)], verbose=0)


def test_a_full_disk_keeps_the_previous_checkpoint(schema, folder, tmp_path, monkeypatch):
    directory, replacing = tmp_path / "run", atomic.replacing

    def full(path):
        if path.suffix == ".checkpoint" and len(checkpoints(directory)) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replacing(path)

    monkeypatch.setattr("multimodal_tf.data.atomic.replacing", full)
    with pytest.raises(
        OSError, match="no space left for .*checkpoints .*it resumes where it stopped"
    ):
        train(CONFIG, schema, folder, directory)
    monkeypatch.undo()
    assert Checkpoints(directory / "checkpoints").latest()["step"] == 2


def test_a_state_that_cannot_be_saved(tmp_path):
    with pytest.raises(
        ValueError, match=r"a checkpoint holds dicts, lists, .*, received PurePosixPath"
    ):
        Checkpoints(tmp_path).save(1, {"where": pathlib.PurePosixPath("x")})


def test_values_are_restored_with_their_types(tmp_path):
    state = {
        "a": [1, 2.5, None, True, "x"],
        3: (float("inf"), {}),
        "array": np.arange(4, dtype=np.uint32),
        "number": np.float32(0.1),
    }
    files = Checkpoints(tmp_path / "files")
    files.save(1, state)
    files.close()
    again = files.latest()
    np.testing.assert_array_equal(again.pop("array"), state.pop("array"), strict=True)
    assert again == state
    assert again["number"].dtype == np.float32


def test_slow_checkpoints_are_rare(schema, folder, tmp_path):
    """After one that stops training for 0.1 seconds there is none for 5 seconds."""
    resumable = Resumable(
        [],
        keras.Sequential(),
        Checkpoints(tmp_path),
        None,
        None,
        {},
        seconds=0.001,
        verbose=0,
        epochs=1,
        steps=1,
    )
    resumable._pause = 0.1
    assert not resumable._is_due()
    resumable._saved -= 4.9
    assert not resumable._is_due()
    resumable._saved -= 0.2
    assert resumable._is_due()


# --- kill -9


SCRIPT = """
import sys; sys.path[:0] = ["tests", "tests/training"]
import test_resume as t
from multimodal_tf.schema import Schema
records, run = sys.argv[1:]
t.fit(t.MEDIA, Schema.load(records + "/schema.json"), records, run, verbose=0)
"""
MEDIA = Config(
    inputs={
        "photo": ImageInput(
            height=8,
            width=8,
            tower={"type": "cnn", "filters": [4]},
            augmentation=ImageAugmentation(
                flip="horizontal", crop=0.2, rand_augment=0.3, erasing=0.2
            ),
        ),
        "sound": AudioInput(
            sample_rate=8000,
            seconds=0.25,
            tower={"type": "spectrogram_cnn", "filters": [4]},
            augmentation=AudioAugmentation(
                shift_ms=20, gain_db=6, noise_db=-40, time_masks=1, frequency_masks=1
            ),
        ),
        "price": NumberInput(),
    },
    heads={"label": ClassificationHead()},
    fusion={"hidden": [8], "dropout": 0.2},
    split=Split(column="split"),
    training=Training(epochs=6, batch_size=8, checkpoint_steps=2),
)


def media(rows=72):
    """Small images as arrays, and sounds as WAV files."""
    generator = np.random.default_rng(0)
    kind = generator.integers(2, size=rows)
    return pd.DataFrame(
        {
            "split": ["train"] * (rows - 16) + ["validation"] * 16,
            "photo": [
                generator.integers(0, 128, (9, 9, 3), np.uint8) + np.uint8(100 * one)
                for one in kind
            ],
            "sound": list(map(wav, kind, generator.normal(size=(rows, 2000)))),
            "price": generator.normal(size=rows),
            "label": [["day", "night"][one] for one in kind],
        }
    )


def wav(kind, noise):
    file = io.BytesIO()
    soundfile.write(
        file, 0.1 * noise + 0.3 * np.sin(np.arange(2000) * (0.3 + 0.4 * kind)), 8000, format="WAV"
    )
    return file.getvalue()


@pytest.mark.slow
def test_killed_at_random_moments_in_another_process(tmp_path):
    """Images and audio with all augmentations, killed with signal 9 at random moments."""
    ingest(read_table(media()), MEDIA, tmp_path / "records", processes=1)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "records")]
    subprocess.run(
        [*command, str(tmp_path / "whole")], check=True, cwd=case.ROOT, capture_output=True
    )
    moments, files = random.Random(3), tmp_path / "killed" / runs.CHECKPOINTS
    for _ in range(2):
        before = set(files.glob("*.checkpoint"))
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed")],
            cwd=case.ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None and set(files.glob("*.checkpoint")) <= before:
            # until it has got further than the last time
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(
        [*command, str(tmp_path / "killed")], check=True, cwd=case.ROOT, capture_output=True
    )
    assert_same(load_run(tmp_path / "killed"), load_run(tmp_path / "whole"))
    assert load_run(tmp_path / "killed").record.resumed >= 1
