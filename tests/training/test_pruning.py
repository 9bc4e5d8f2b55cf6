"""Pruning: as many zeros as asked for, where asked for; resumed, and begun with."""

import gzip
import shutil

import keras
import numpy as np
import pytest
from small_table import with_parts

from multimodal_tf.config import Config, Peft, Pruning, Training
from multimodal_tf.training.fit import fit
from multimodal_tf.training.peft import replace_heads
from multimodal_tf.training.pruning import GradualPruning, prunable, sparsity
from multimodal_tf.training.run_dir import load_run

# 40 rows in batches of 8
STEPS = 5


def configuration(scope="layer", **training):
    pruning = Pruning(sparsity=0.75, begin=0.5, end=2, scope=scope)
    return with_parts(
        ["title", "price"],
        ["label", "age"],
        fusion={"hidden": [16], "dropout": 0.3},
        training=Training(
            **{"epochs": 3, "batch_size": 8, "checkpoint_steps": 1, "pruning": pruning} | training
        ),
    )


class Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, while masks grow."""

    def __init__(self, at=None):
        super().__init__()
        self.at, self.steps = at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def train(small_schema, small_records):
    def train(run_dir, config=None, at=None, model=None):
        given = config or configuration(), small_schema, small_records, run_dir, [Stop(at)]
        return fit(*given, verbose=0, model=model)

    return train


@pytest.fixture(scope="module")
def run(once, train):
    folder = once("pruned", lambda folder: train(folder / "run"))
    return load_run(folder / "run")


def zeros(model):
    return {path: (np.array(one) == 0).mean() for path, one in prunable(model).items()}


@pytest.mark.slow
def test_each_matrix_has_as_many_zeros_as_asked_for(run):
    found = zeros(run.model)
    assert len(found) >= 4
    for path, one in prunable(run.model).items():
        assert found[path] == round(0.75 * one.shape[0] * one.shape[1]) / np.prod(one.shape), path
    assert run.record.sparsity == sparsity(run.model)
    assert {"title", "price", "fused", "label", "age"} >= run.record.sparsity.keys() > {"title"}
    for share in run.record.sparsity.values():
        assert share == pytest.approx(0.75, abs=0.1)
    # epochs before the last zeros came do not count
    assert run.record.best_epoch >= 2


@pytest.mark.slow
def test_it_resumes_bit_for_bit_with_its_masks(run, train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", at=STEPS + 2)
    resumed = train(tmp_path / "run")
    assert resumed.record.resumed
    for ours, theirs in zip(resumed.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.history["val_loss"][-1] == pytest.approx(run.metrics["val_loss"], rel=0.5)


@pytest.mark.slow
def test_zeros_stay_where_another_training_begins_with_them(run, train, small_schema, tmp_path):
    config = configuration(pruning=Pruning(sparsity=0.1), epochs=1)
    model, _ = replace_heads(config, small_schema, run)
    before = {path: np.array(one) == 0 for path, one in prunable(model).items()}
    assert sum(one.mean() > 0.6 for one in before.values()) >= 2
    other = train(tmp_path / "other", config, model=model).model
    for path, one in prunable(other).items():
        assert (np.array(one)[before[path]] == 0).all(), path
    with pytest.raises(ValueError, match="training.pruning: must be set, to keep the zeros"):
        replace_heads(configuration(pruning=None), small_schema, run)


@pytest.fixture
def network():
    model = keras.Sequential([keras.Input((20,)), *(keras.layers.Dense(20) for _ in range(2))])
    first, second = model.layers
    first.kernel.assign(first.kernel * 10)
    second.bias.assign(second.bias + 1)
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_smallest_weights_are_pruned_in_each_layer_or_in_all(network, scope):
    magnitudes = {path: np.abs(np.array(one)) for path, one in prunable(network).items()}
    callback = GradualPruning(Pruning(sparsity=0.4, end=1, scope=scope), (0, 1))
    callback.set_model(network)
    callback.set_params({"steps": 2})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0)
    between = zeros(network)
    callback.on_train_batch_end(1)
    found = zeros(network)
    assert len(found) == 2
    first, second = found.values()
    assert (first + second) / 2 == pytest.approx(0.4, abs=0.002)
    assert 0 < sum(between.values()) < sum(found.values())
    if scope == "layer":
        assert first == second
    else:
        # its weights are ten times as large
        assert first < 0.1 < second
    for path, one in prunable(network).items():
        kept = np.array(one) != 0
        assert magnitudes[path][~kept].max() < magnitudes[path][kept].min()
    assert (np.array(network.layers[1].bias) == 1).all()


def test_pruned_weights_are_smaller_files(network, tmp_path):
    def size():
        network.save_weights(tmp_path / "x.weights.h5")
        return len(gzip.compress((tmp_path / "x.weights.h5").read_bytes()))

    before = size()
    callback = GradualPruning(Pruning(sparsity=0.9, end=1), (0, 1))
    callback.set_model(network)
    callback.set_params({"steps": 1})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0)
    assert size() < before - 0.6 * 0.9 * 4 * 800
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sparsity": 1.0}, "sparsity"),
        ({"sparsity": 0.0}, "sparsity"),
        ({"sparsity": 0.5, "begin": 3, "end": 2}, "begin must be less than end"),
        ({"sparsity": 0.5, "end": 9}, "end at most 4 epochs, received 0 and 9"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Training(epochs=4, pruning=fields)


def test_averages_and_added_weights_are_refused():
    with pytest.raises(ValueError, match="must not be combined with ema"):
        Training(epochs=4, pruning={"sparsity": 0.5}, ema=0.9)
    fields = configuration().model_dump()
    lora = Peft(lora=[{"layers": ["*"]}]).model_dump()
    with pytest.raises(ValueError, match=r"must not be combined with peft\.lora.*received lora"):
        Config.model_validate(fields | {"peft": lora})
