"""A run whose only head is `masked`: it resumes exactly, is judged, and its towers go on."""

import keras
import numpy as np
import pytest
from same_run import assert_same_run
from small_table import ingested, with_parts

from multimodal_tf.config import Config, LSTMTower, MaskedHead, TextInput, Training
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.training.fit import fit
from multimodal_tf.training.peft import replace_heads
from multimodal_tf.training.run_dir import load_run

pytestmark = pytest.mark.slow

PLAIN = with_parts(
    ["colour"],
    fusion={"dropout": 0},
    training=Training(epochs=2, batch_size=16, learning_rate=0.01, checkpoint_steps=1),
)
TITLE = TextInput(max_tokens=4, tower=LSTMTower(units=4, embedding_dim=4, dropout=0.1))
PRETRAINING = Config(
    **PLAIN.model_dump(exclude={"inputs", "heads"}),
    inputs={"title": TITLE, "colour": PLAIN.inputs["colour"]},
    heads={"words": MaskedHead(inputs=["title"], context=["colour"], dim=4, share=0.5)},
)
LABELLED = PRETRAINING.model_copy(update={"heads": PLAIN.heads})


class Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, after `at` steps; None: never."""

    def __init__(self, at=None):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def folder(once):
    def make(folder):
        schema = ingested(folder / "records", PRETRAINING)
        fit(PRETRAINING, schema, folder / "records", folder / "run", [Stop()], verbose=0)

    return once("masked_run", make)


@pytest.fixture(scope="module")
def run(folder):
    return load_run(folder / "run")


def test_a_stopped_run_resumes_exactly(folder, run, tmp_path):
    def train(at=None):
        stop, cut = [Stop(at)], tmp_path / "cut"
        return fit(PRETRAINING, run.schema, folder / "records", cut, callbacks=stop, verbose=0)

    # in the second epoch
    with pytest.raises(KeyboardInterrupt):
        train(at=4)
    resumed = train()
    assert_same_run(resumed, run)
    assert resumed.model.get_layer("words_hidden").steps == 6


def test_it_is_judged_by_the_same_draws(folder, run):
    first, second = (
        evaluate(run.model, run.config, run.schema, folder / "records", resamples=20)
        for _ in range(2)
    )
    found = first.heads["words"].metrics
    assert {*found} == {"score", "loss"}
    assert 0 <= found["score"].low <= found["score"].value <= found["score"].high <= 1
    assert found["loss"].value == second.heads["words"].metrics["loss"].value


def test_its_tower_goes_on_with_labels(folder, run, tmp_path):
    schema = ingested(tmp_path / "records", LABELLED)
    model, schema = replace_heads(LABELLED, schema, run)
    for weight in model.trainable_weights:
        if weight.path.startswith("title_"):
            (trained,) = (one for one in run.model.weights if one.path == weight.path)
            np.testing.assert_array_equal(weight, trained)
    tuned = fit(LABELLED, schema, tmp_path / "records", tmp_path / "run", model=model, verbose=0)
    assert np.isfinite(tuned.history["val_loss"]).all()
