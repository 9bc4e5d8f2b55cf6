"""Training from the outputs of frozen towers on two replicas, and interrupted: in one process."""

import json

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import json, pathlib, sys
import numpy as np
import tensorflow as tf

if sys.argv[3] == "mirrored":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
import frozen_table
from multimodal_tf.config import PresetTower, TextInput, Training
from multimodal_tf.training.distribute import strategy_of
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


folder, preset, strategy = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
strategy_of(strategy)
config = frozen_table.config(
    {"title": TextInput(max_tokens=4, tower=PresetTower(preset=preset))},
    fusion={"hidden": [8], "dropout": 0},
    training=Training(
        epochs=2, batch_size=8, checkpoint_steps=1, linear_start=strategy == "none"
    ),
)
schema = frozen_table.ingested(config, folder / "records")


def train(name, cache=True, stop=0, strategy="none"):
    run = fit(config, schema, folder / "records", folder / name, [Stop(stop)], 0, cache=cache,
              strategy=strategy)
    return [np.asarray(one) for one in run.model.get_weights()]


found = {"with": train("with", strategy=strategy)}
found["without"] = train("without", cache=False, strategy=strategy)
try:
    train("stopped", stop=6, strategy=strategy)
except KeyboardInterrupt:
    found["stopped"] = train("stopped", strategy=strategy)
difference = {
    name: max(float(np.abs(a - b).max()) for a, b in zip(found["with"], weights))
    for name, weights in found.items()
}
print(json.dumps(difference))
"""


@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_the_weights_are_the_same(strategy, new_process, pretrained, tmp_path):
    printed = new_process(PROGRAM, tmp_path, pretrained.sentence_preset(), strategy)
    found = json.loads(printed.splitlines()[-1])
    # the linear start of one device is a solver's result
    assert found["without"] < (1e-3 if strategy == "none" else 1e-5)
    # resumed within an epoch
    assert found["stopped"] == 0
