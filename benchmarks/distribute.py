"""The same training on one device, two replicas and two workers, and how their results differ.

    python -m benchmarks.distribute > distribute.md        # some minutes
    python -m benchmarks.distribute --rows 200 --epochs 1  # a quick run

All see the same batches of 32 in the same order and start from the same weights. There is no
dropout, which replicas draw differently, and no batch normalization, whose statistics would be
those of a replica's own rows. The last batch of an epoch is smaller. Gradients are clipped by norm.
The second row shows the size of rounding effects: one device again, where convolutions add up in
another order. Rounding also decides which of several equal pixels a maximum takes, and the sign of
an AdamW step where a gradient is almost 0. Images per second are those of training without the
first epoch, in which graphs are traced; the median over epochs. On one machine of two cores,
replicas and workers share the cores that one device has alone: the numbers show the overhead of
distribution, not its speed-up.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import pandas
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data.datasets.digits import digits_config, digits_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute
from multimodal_tf.training.launch import launch

OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.05, momentum=0.9, global_clipnorm=1.0),
    "AdamW": lambda: keras.optimizers.AdamW(1e-3, global_clipnorm=1.0),
}
NAMES = {
    "none": "one device",
    "reordered": "one device, without oneDNN",
    "mirrored": "mirrored, 2 replicas",
    "multi_worker": "multi-worker, 2 processes",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, help="number of rows, drawn at random; default: all")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument(
        "--train",
        nargs=2,
        metavar=("STRATEGY", "FOLDER"),
        help="train in this process; for internal use",
    )
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train[0], pathlib.Path(arguments.train[1]), arguments.epochs)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        prepare(folder, arguments.rows)
        for strategy in NAMES:
            command = [
                sys.executable,
                "-m",
                "benchmarks.distribute",
                "--epochs",
                str(arguments.epochs),
                "--train",
                strategy,
                str(folder),
            ]
            if strategy == "multi_worker":
                launch(command, 2, folder / "logs", restarts=0, echo=lambda line: None)
            else:
                order = {"TF_ENABLE_ONEDNN_OPTS": "0"} if strategy == "reordered" else {}
                subprocess.run(command, check=True, capture_output=True, env=os.environ | order)
        print(table(folder))


def prepare(folder, rows):
    plain = digits_config().model_dump() | {"fusion": {"type": "concatenation", "dropout": 0}}
    for input_config in plain["inputs"].values():
        input_config["tower"]["dropout"] = 0
        if "batch_normalization" in input_config["tower"]:
            input_config["tower"]["batch_normalization"] = False
    config, whole = Config.model_validate(plain), pandas.concat(digits_table().chunks())
    ingest(
        read_table(whole if rows is None else whole.sample(rows, random_state=0)),
        config,
        folder / "records",
        progress=False,
    )
    config.save(folder / "config.yaml")


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch's steps."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun, self.ended = time.perf_counter(), None

    def on_train_batch_end(self, batch, logs=None):
        self.ended = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(self.ended - self.begun)


def train(name, folder, epochs):
    if name == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    strategy = distribute.strategy_of("none" if name == "reordered" else name)
    config, schema = (
        Config.load(folder / "config.yaml"),
        Schema.load(folder / "records" / "schema.json"),
    )

    def batches(split):
        def share(worker):
            return load_split(
                config, schema, folder / "records", split, training=split == "train", worker=worker
            )

        return distribute.distribute_dataset(strategy, share)

    number = strategy.cluster_resolver.task_id if name == "multi_worker" else 0
    for kind, optimizer in OPTIMIZERS.items():
        with strategy.scope():
            model = build_model(config, schema)
            model.compile(optimizer(), **compile_arguments(config, schema))
        clock, rows, options = Clock(), batches("train"), {"shuffle": False, "verbose": 0}
        history = model.fit(
            rows, validation_data=batches("validation"), epochs=epochs, callbacks=[clock], **options
        ).history
        test = model.evaluate(batches("test"), verbose=0, return_dict=True)
        found = {
            "history": history,
            "test": test,
            "seconds": clock.seconds,
            "steps": int(model.optimizer.iterations.numpy()),
        }
        (folder / f"{name}-{kind}-{number}.json").write_text(json.dumps(found))
        np.savez(folder / f"{name}-{kind}-{number}.npz", *model.get_weights())


def table(folder):
    """Metrics of each strategy, and their largest differences from one device."""
    config, manifest = (
        Config.load(folder / "config.yaml"),
        json.loads((folder / "records" / "manifest.json").read_text()),
    )
    rows = sum(shard["rows"] for shard in manifest["splits"]["train"])
    lines = [
        "| optimizer | | loss | validation loss | test accuracy | weights differ | losses differ"
        " | metrics differ | images per second |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [line(folder, kind, name, rows) for kind in OPTIMIZERS for name in NAMES]
    pairs = [
        (weights(folder, "multi_worker", kind, 0), weights(folder, "multi_worker", kind, 1))
        for kind in OPTIMIZERS
    ]
    same = all((one == other).all() for pair in pairs for one, other in zip(*pair))
    alike = "bit-identical" if same else "DIFFERENT"
    steps = metrics_of(folder, "none", "SGD")["steps"]
    lines.append(
        f"\n{rows} training rows, batches of {config.training.batch_size}, {steps} steps;"
        f" the two workers' weights are {alike}."
    )
    return "\n".join(lines)


def line(folder, kind, name, rows):
    one, own = metrics_of(folder, "none", kind), metrics_of(folder, name, kind)
    both = zip(weights(folder, "none", kind), weights(folder, name, kind))
    apart = max(np.abs(theirs - ours).max() for theirs, ours in both)
    differ = {
        metric: np.abs(np.subtract(own["history"][metric], one["history"][metric])).max()
        for metric in one["history"]
    }
    losses, metrics = (
        max(value for metric, value in differ.items() if metric.endswith("loss") == loss)
        for loss in (True, False)
    )
    speed = rows / statistics.median(own["seconds"][1:] or own["seconds"])
    return (
        f"| {kind} | {NAMES[name]} | {own['history']['loss'][-1]:.6f}"
        f" | {own['history']['val_loss'][-1]:.6f} | {own['test']['accuracy']:.4f}"
        f" | {apart:.1e} | {losses:.1e} | {metrics:.1e} | {speed:.0f} |"
    )


def metrics_of(folder, name, kind):
    return json.loads((folder / f"{name}-{kind}-0.json").read_text())


def weights(folder, name, kind, number=0):
    return [*np.load(folder / f"{name}-{kind}-{number}.npz").values()]


if __name__ == "__main__":
    main()
