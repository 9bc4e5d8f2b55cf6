"""`fit` under a strategy, killed and resumed, in processes of its own.

    python tests/training/strategies_program.py STRATEGY FOLDER

`FOLDER/records` holds records of `small_table`; each training writes a run into `FOLDER`.
"""

import gc
import os
import pathlib
import signal
import sys

import keras
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from small_table import with_parts  # noqa: E402

from multimodal_tf.config import ClassificationHead, Training  # noqa: E402
from multimodal_tf.schema import Schema  # noqa: E402
from multimodal_tf.training import distribute  # noqa: E402
from multimodal_tf.training.fit import fit  # noqa: E402
from multimodal_tf.training.run_dir import is_interrupted  # noqa: E402

TRAINING = Training(epochs=3, batch_size=8, patience=1, learning_rate=0.03, checkpoint_steps=2)
# only initial weights and the order of rows are random; there are class weights and missing labels
ALIKE = with_parts(
    ["price"],
    ["label", "age"],
    fusion={"hidden": [8], "dropout": 0},
    training=TRAINING.model_copy(update={"optimizer": "sgd"}),
)
ALIKE.heads["label"] = ClassificationHead(class_weight="balanced")
DRAWN = with_parts(["price"], ["age"], fusion={"hidden": [8], "dropout": 0.3}, training=TRAINING)
# 40 rows in batches of 8
STEPS = 5


class Kill(keras.callbacks.Callback):
    """Ends the process with signal 9 after some steps, if there are that many."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(name, folder):
    if name == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    strategy = distribute.strategy_of(name)
    schema = Schema.load(folder / "records" / "schema.json")

    def train(config, run, kill=0):
        fit(
            config,
            schema,
            folder / "records",
            folder / run,
            callbacks=[Kill(kill)],
            verbose=0,
            strategy=name,
        )

    # otherwise a killed process of this program was restarted
    first = not is_interrupted(folder / f"{name} killed")
    if first:
        train(ALIKE, f"{name} alike")
        train(DRAWN, f"{name} whole")
    last_of_all = name != "multi_worker" or not distribute.is_chief(strategy)
    train(DRAWN, f"{name} killed", STEPS + 3 if first and last_of_all else 0)


if __name__ == "__main__":
    # models and graphs are many objects, and live to the end
    gc.set_threshold(20_000, 50, 50)
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
