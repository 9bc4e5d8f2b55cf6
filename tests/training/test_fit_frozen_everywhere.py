"""Training from the outputs of frozen towers on two replicas, and interrupted: in one process."""

import json

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import json, pathlib, sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
import frozen_table
from multimodal_tf.config import PresetTower, TextInput, Training
from multimodal_tf.training.fit import fit


class Stop(keras.callbacks.Callback):
    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def get_state(self):
        return 0

    def set_state(self, state):
        pass


folder, preset = pathlib.Path(sys.argv[1]), sys.argv[2]
config = frozen_table.config(
    {"title": TextInput(max_tokens=4, tower=PresetTower(preset=preset))},
    fusion={"hidden": [8], "dropout": 0},
    training=Training(epochs=2, batch_size=8, checkpoint_steps=1),
)
schema = frozen_table.ingested(config, folder / "records")


def train(name, strategy, cache=True, stop=0):
    training = config.training.model_copy(update={"linear_start": strategy == "none"})
    run = fit(config.model_copy(update={"training": training}), schema, folder / "records",
              folder / strategy / name, [Stop(stop)], 0, cache=cache, strategy=strategy)
    return [np.asarray(one) for one in run.model.get_weights()]


def differences(strategy):
    found = {name: train(name, strategy, name == "with") for name in ("with", "without")}
    try:
        train("stopped", strategy, stop=6)
    except KeyboardInterrupt:
        found["stopped"] = train("stopped", strategy)
    return {
        name: max(float(np.abs(a - b).max()) for a, b in zip(found["with"], weights))
        for name, weights in found.items()
    }


found = {strategy: differences(strategy) for strategy in ("none", "mirrored")}
(folder / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(once, new_process, pretrained):
    """How far weights are apart, by strategy and training."""
    preset = pretrained.sentence_preset()
    folder = once("fit_frozen", lambda folder: new_process(PROGRAM, folder, preset))
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_the_weights_are_the_same(strategy, found):
    # the linear start of one device is a solver's result
    assert found[strategy]["without"] < (1e-3 if strategy == "none" else 1e-5)
    # resumed within an epoch
    assert found[strategy]["stopped"] == 0
