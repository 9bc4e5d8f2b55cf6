"""`training.ema`: the moving average of the weights is validated, kept, resumed and distributed."""

import keras
import numpy as np
import pytest
from same_run import assert_same_run
from small_table import with_parts

from multimodal_tf.config import Training
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.training.distribute import strategy_of
from multimodal_tf.training.fit import fit

# 40 rows in batches of 8
STEPS = 5


def config(**training):
    chosen = {"epochs": 3, "batch_size": 8, "learning_rate": 0.05, "ema": 0.9}
    return with_parts(["price"], ["age"], training=Training(**chosen | training))


class Recorder(keras.callbacks.Callback):
    """The trainable weights after every step; ends the training as a crash would at `stop`."""

    def __init__(self, stop=None):
        super().__init__()
        self.seen, self.stop = [], stop

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append([np.array(one) for one in self.model.trainable_variables])
        if len(self.seen) == self.stop:
            raise KeyboardInterrupt


def averages(seen, momentum=0.9):
    """After every step; the first weights count whole."""
    found = [seen[0]]
    for weights in seen[1:]:
        found.append(
            [momentum * old + (1 - momentum) * new for old, new in zip(found[-1], weights)]
        )
    return found


@pytest.mark.parametrize("validated", [True, False])
def test_the_average_of_the_best_or_last_epoch_is_kept(
    validated, small_schema, small_records, tmp_path, monkeypatch
):
    if not validated:
        monkeypatch.setattr(
            "multimodal_tf.training.fit.validation_batches", lambda *arguments, **options: None
        )
    recorder = Recorder()
    run = fit(config(), small_schema, small_records, tmp_path, callbacks=[recorder], verbose=0)
    assert len(recorder.seen) == 3 * STEPS
    best = run.record.best_epoch
    expected = averages(recorder.seen)[best * STEPS - 1]
    for ours, theirs in zip(run.model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    if validated:
        rows = load_split(run.config, small_schema, small_records, "validation")
        now = run.model.evaluate(rows, verbose=0, return_dict=True)
        assert now["loss"] == pytest.approx(run.history["val_loss"][best - 1], rel=1e-5)


@pytest.mark.slow
def test_a_resumed_training_has_the_same_average(small_schema, small_records, tmp_path):
    def train(folder, stop=None):
        one = config(checkpoint_steps=1)
        callbacks = [Recorder(stop)]
        return fit(
            one, small_schema, small_records, tmp_path / folder, callbacks=callbacks, verbose=0
        )

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("stopped", stop=STEPS + 3)
    resumed = train("stopped")
    assert resumed.record.resumed == 1
    assert_same_run(resumed, whole)


@pytest.mark.slow
def test_an_average_under_a_strategy_is_that_of_one_device(small_schema, small_records, tmp_path):
    runs = [
        fit(config(), small_schema, small_records, tmp_path / name, strategy=name, verbose=0)
        for name in ("none", "mirrored")
    ]
    assert strategy_of("mirrored").num_replicas_in_sync >= 1
    for ours, theirs in zip(*(run.model.get_weights() for run in runs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
