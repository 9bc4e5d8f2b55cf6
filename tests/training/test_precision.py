"""Mixed precision: what computes in it and what stays float32, resumed, and refused."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from same_run import assert_same_run
from small_table import with_parts

from multimodal_tf.config import Training
from multimodal_tf.training import cross_validation, devices
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

CONFIGS = {
    precision: with_parts(
        ["title", "price"],
        ["label", "age"],
        fusion={"hidden": [4], "dropout": 0.3},
        training=Training(epochs=2, batch_size=8, checkpoint_steps=1, precision=precision),
    )
    for precision in ("float32", "mixed_float16", "mixed_bfloat16")
}
HALF = CONFIGS["mixed_float16"]
# 40 rows in batches of 8
STEPS = 5


class Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, in its second epoch."""

    def __init__(self, at=None):
        super().__init__()
        self.at, self.steps = at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def train(small_schema, small_records):
    def train(run_dir, config=HALF, at=None):
        callbacks = [Stop(at)]
        return fit(config, small_schema, small_records, run_dir, callbacks, verbose=0)

    return train


@pytest.fixture(scope="module")
def runs(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    return {name: train(folder / name, config) for name, config in CONFIGS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_layers_compute_in_it_and_the_rest_is_float32(runs, name):
    model = runs[name].model
    assert keras.config.dtype_policy().name == "float32"
    assert model.dtype_policy.name == name
    computed = {layer.compute_dtype for layer in model.layers}
    assert name.removeprefix("mixed_") in computed
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert {output.dtype for output in model.output.values()} == {"float32"}
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (name == "mixed_float16")
    # the same rows and first weights, but other rows are dropped out
    ours, theirs = (runs[one].history["loss"] for one in (name, "float32"))
    np.testing.assert_allclose(ours, theirs, rtol=0.3)


@pytest.mark.slow
def test_it_resumes_bit_for_bit_with_the_scale_of_its_loss(runs, train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", at=STEPS + 2)
    resumed = train(tmp_path / "run")
    assert_same_run(resumed, runs["mixed_float16"])
    assert resumed.record.resumed
    loaded = load_run(tmp_path / "run").model
    for ours, theirs in zip(loaded.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (
        [one.compute_dtype for one in model.layers if one.weights]
        for model in (loaded, resumed.model)
    )
    assert "float16" in ours
    assert ours == theirs


@pytest.mark.slow
def test_a_training_in_another_precision_is_not_resumed(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", at=2)
    with pytest.raises(ValueError, match="precision"):
        train(tmp_path / "run", CONFIGS["mixed_bfloat16"])


@dataclasses.dataclass(frozen=True)
class Device:
    name: str


@pytest.fixture
def devices_are(monkeypatch):
    def are(kind, capability=None):
        found = {kind: [Device("/physical_device:0")]}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda one: found.get(one, []))
        details = {"device_name": "A card", "compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda one: details)

    return are


@pytest.mark.parametrize(
    ("precision", "kind", "capability", "message"),
    [
        ("mixed_float16", "TPU", None, "TPUs compute in mixed_bfloat16 or float32"),
        ("mixed_bfloat16", "GPU", (7, 5), "needs a GPU of compute capability 8.0 or more"),
        ("mixed_float16", "GPU", (3, 7), "needs a GPU of compute capability 5.3 or more"),
    ],
)
def test_a_device_without_such_numbers_is_refused(
    devices_are, tmp_path, small_schema, small_records, precision, kind, capability, message
):
    devices_are(kind, capability)
    config = CONFIGS[precision]
    with pytest.raises(ValueError, match=message):
        fit(config, small_schema, small_records, tmp_path / "run")
    with pytest.raises(ValueError, match=message):
        cross_validation.cross_validate(config, None, tmp_path / "folds", 2)
    assert not list(tmp_path.iterdir())


def test_other_devices_are_not(devices_are):
    for kind, capability, precision in (
        ("GPU", (8, 0), "mixed_bfloat16"),
        ("GPU", (7, 0), "mixed_float16"),
        ("TPU", None, "mixed_bfloat16"),
        ("GPU", (3, 0), "float32"),
    ):
        devices_are(kind, capability)
        devices.check_precision(Training(precision=precision))


def test_it_is_one_of_three():
    with pytest.raises(ValueError, match="precision"):
        Training(precision="float16")
