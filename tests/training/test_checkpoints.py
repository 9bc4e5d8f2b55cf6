"""Checkpoint files: what they hold, when they are written, and the callbacks that they restore."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.resume import Resumable


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


def test_a_changed_byte_is_detected(tmp_path):
    files = Checkpoints(tmp_path)
    for number in (1, 2, 3):
        files.save(number, {"number": number, "array": np.ones(99)})
    files.close()
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == ["000000000002.checkpoint", "000000000003.checkpoint"]
    for path, latest in zip(reversed(kept), (2, None), strict=True):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert (files.latest() or {"number": None})["number"] == latest


def test_slow_checkpoints_are_rare(tmp_path):
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


class Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, in a step of an epoch."""

    def __init__(self, at=None):
        super().__init__()
        self.at, self.epoch = at, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


def plateaus(folder, stop=None):
    """Plain `model.fit` with a `Resumable`, whose learning rate falls on a plateau.

    Returns the model and its history.
    """
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.03), "mse", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    x = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(2)
    # every epoch is a plateau, since no loss is so much lower than the first one
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=10.0)
    files = Checkpoints(folder)
    state = files.latest()
    resumable = Resumable(
        [plateau, Stop(stop)],
        model,
        files,
        batches=data.skip,
        epoch=tf.Variable(0, dtype=tf.int64),
        identity={},
        seconds=1.0,
        steps_between=1,
        state=state,
        verbose=0,
        epochs=6,
        steps=3,
    )
    begin = 0 if state is None else state["epoch"]
    try:
        history = model.fit(data, initial_epoch=begin, epochs=6, callbacks=resumable, verbose=0)
    finally:
        files.close()
    return model, history.history


@pytest.mark.parametrize("stop", [(1, 1), (3, 0)], ids=str)
def test_a_learning_rate_that_falls_on_a_plateau(tmp_path, stop):
    """Keras' callback counts epochs, and sets a variable of the optimizer."""
    model, history = plateaus(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        plateaus(tmp_path / "stopped", stop)
    again, resumed = plateaus(tmp_path / "stopped")
    assert resumed == history
    assert history["learning_rate"] == pytest.approx([0.03] * 3 + [0.015] * 2 + [0.0075])
    for one, other in zip(
        [*again.variables, *again.optimizer.variables],
        [*model.variables, *model.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
