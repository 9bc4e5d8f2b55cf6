"""Resuming: an interrupted training continues bit-exactly; that of another one is refused."""

import errno
import json
import os
import shutil

import keras
import pytest
import small_table
from same_run import assert_same_run
from small_table import with_parts

from multimodal_tf.config import Config, Training
from multimodal_tf.data import atomic
from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_record, load_run

CONFIG = with_parts(
    ["price"],
    ["age"],
    fusion={"hidden": [4], "dropout": 0.3},
    training=Training(epochs=4, batch_size=8, patience=2, learning_rate=0.03, checkpoint_steps=1),
)
# 40 rows in batches of 8
STEPS = 5


def changed(config=CONFIG, **training):
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


class Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, after `at` steps; None: never."""

    def __init__(self, at=None):
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
def train(small_schema, small_records):
    """`train(run_dir, config, at)`: `fit`, stopped after `at` steps."""

    def train(run_dir, config=CONFIG, at=None, callbacks=(), records=small_records):
        def run():
            return fit(
                config, small_schema, records, run_dir, callbacks=[*callbacks, Stop(at)], verbose=0
            )

        if at is None:
            return run()
        with pytest.raises(KeyboardInterrupt):
            run()
        return None

    return train


@pytest.fixture(scope="module")
def folder(once, train):
    """Two runs: `whole`, and `stopped` in its second epoch, with checkpoints of two steps: the
    last one of the first epoch, and the next one.
    """

    def make(folder):
        train(folder / "whole", callbacks=[Counter()])
        train(folder / "stopped", at=STEPS + 2, callbacks=[Counter()])

    return once("resume", make)


@pytest.fixture(scope="module")
def whole(folder):
    """A training that was not interrupted."""
    return load_run(folder / "whole")


@pytest.fixture
def stopped(folder, tmp_path):
    shutil.copytree(folder / "stopped", tmp_path / "run")
    assert [path.name for path in checkpoints(tmp_path / "run")] == [
        "000000000005.checkpoint",
        "000000000006.checkpoint",
    ]
    return tmp_path / "run"


def checkpoints(directory):
    return sorted((directory / runs.CHECKPOINTS).iterdir())


def damage(path):
    path.write_bytes(path.read_bytes()[:-100])


# --- resuming


def test_resumes_bit_for_bit_within_an_epoch(stopped, whole, train):
    """With dropout, shuffling, the best weights, and a callback that has a state."""
    assert not (stopped / "model.keras").exists()
    counter = Counter()
    resumed = train(stopped, callbacks=[counter])
    assert_same_run(resumed, whole)
    assert load_run(stopped).record.resumed == 1
    assert counter.batches == [*range(STEPS)] * len(whole.history["loss"])
    assert not (stopped / "checkpoints").exists()


def test_resumes_at_the_end_of_an_epoch_from_the_file_before_a_damaged_one(stopped, whole, train):
    """The interval of checkpoints may change. Other threads warn."""
    damage(checkpoints(stopped)[-1])
    assert Checkpoints(stopped / "checkpoints").latest()["step"] == STEPS
    record = json.loads((stopped / "run.json").read_text())
    record["machine"]["cores"] += 1
    (stopped / "run.json").write_text(json.dumps(record))
    with pytest.warns(
        UserWarning, match=r"resumes with cores \d+ instead of \d+: its metrics may differ"
    ):
        resumed = train(stopped, changed(checkpoint_steps=None), callbacks=[Counter()])
    assert_same_run(resumed, whole)


MANY = {
    "gradual unfreezing": (
        ["age"],
        {
            "peft": {
                "train": "heads",
                "stages": [["price_*"]],
                "learning_rate_factors": {"price_*": 0.5},
            }
        },
        # within the first epoch, in each of which the step before has no checkpoint yet, and
        # within a later one
        (2, 3, STEPS + 2),
    ),
    "modality dropout, learned loss weights": (
        ["label", "age"],
        {
            "fusion": {"type": "gated", "dim": 4, "modality_dropout": 0.3},
            "loss_weighting": {"type": "gradnorm"},
        },
        (STEPS + 3,),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", MANY)
def test_states_are_restored_again_and_again(what, train, tmp_path):
    """Also unknown categories at random."""
    heads, fields, stops = MANY[what]
    base = with_parts(heads=heads, fusion=CONFIG.fusion, training=CONFIG.training)
    config = Config.model_validate(base.model_dump() | fields)
    uninterrupted = train(tmp_path / "whole", config)
    for at in stops:
        train(tmp_path / "again", config, at)
    resumed = train(tmp_path / "again", config)
    assert_same_run(resumed, uninterrupted)
    assert resumed.record.resumed == len(stops)


# --- what an interrupted training leaves


def test_an_interrupted_run_cannot_be_loaded_but_continued(stopped):
    assert keras.models.load_model(stopped / runs.CHECKPOINT)
    with pytest.raises(ValueError, match="has not finished"):
        load_run(stopped)
    # no error: `fit` can be called there again
    runs.check_run_dir(stopped)


def test_another_configuration_is_refused(stopped, train):
    message = (
        r"holds an interrupted training that differs in "
        r"configuration\.training\.learning_rate \(0\.03, received 0\.5\): .* delete .*checkpoints"
    )
    with pytest.raises(ValueError, match=message):
        train(stopped, changed(learning_rate=0.5), callbacks=[Counter()])
    assert len(checkpoints(stopped)) == 2


@pytest.mark.slow
def test_without_its_checkpoints_a_training_begins_anew_and_a_full_disk_keeps_the_last_one(
    stopped, train, monkeypatch
):
    """The disk is full when the third checkpoint is written."""
    shutil.rmtree(stopped / "checkpoints")
    replacing = atomic.replacing

    def full(path):
        if path.suffix == ".checkpoint" and len(checkpoints(stopped)) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replacing(path)

    monkeypatch.setattr("multimodal_tf.data.atomic.replacing", full)
    with pytest.raises(
        OSError, match="no space left for .*checkpoints .*it resumes where it stopped"
    ):
        train(stopped, changed(learning_rate=0.5))
    monkeypatch.undo()
    record = load_record(stopped / "run.json")
    assert (record.resumed, record.config.training.learning_rate) == (0, 0.5)
    assert Checkpoints(stopped / "checkpoints").latest()["step"] == 2


def test_a_checkpoint_of_another_version_without_a_field_is_refused(stopped, train):
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
        train(stopped, callbacks=[Counter()])


def test_other_rows_are_refused(stopped, train, tmp_path):
    table = small_table.frame()
    table.loc[0, "price"] = 99.0
    small_table.ingested(tmp_path / "records", table=table)
    with pytest.raises(
        ValueError,
        match="holds an interrupted training that differs in data: pass the same, or delete",
    ):
        train(stopped, callbacks=[Counter()], records=tmp_path / "records")


def test_other_callbacks_are_refused(stopped, train):
    with pytest.raises(
        ValueError,
        match=r"callbacks: must be those of the training .*'Counter', 'Stop'.*, received "
        r"(?!.*'Counter').*'Stop'",
    ):
        train(stopped)
