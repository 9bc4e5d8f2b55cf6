"""One of two workers, of which `TF_CONFIG` says which: run by `test_distribute`.

    python workers_program.py RECORDS FOLDER

It writes `found-NUMBER.json`, metrics by name, and `found-NUMBER.npz`, weights and predictions by
name, into the folder; the chief also writes `model.keras`.
"""

import functools
import gc
import json
import pathlib
import sys

import distributed_models
import keras
import numpy as np
import small_table

from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute


def worker(records, folder):
    strategy = distribute.strategy_of("multi_worker")
    number = strategy.cluster_resolver.task_id
    rows = distribute.distribute_dataset(strategy, distributed_models.share)
    metrics, arrays = distributed_models.trained(strategy.scope(), rows, steps_per_execution=3)
    stepped = distribute.distribute_dataset(strategy, distributed_models.stepped_share)
    metrics["single steps"], after = distributed_models.single_steps(strategy.scope(), stepped)
    arrays |= after
    metrics["chief"] = distribute.is_chief(strategy)
    metrics["records"] = with_records(strategy, records, folder / "model.keras")
    for correction in ("_maybe_symbolic_build", "_make_function"):
        model = named(strategy, distributed_models.without(correction))
        metrics[correction] = distributed_models.fails(
            functools.partial(model.fit, named_rows(), verbose=0)
        )
    (folder / f"found-{number}.json").write_text(json.dumps(metrics))
    np.savez(folder / f"found-{number}.npz", **arrays)


def with_records(strategy, records, path):
    """Plain Keras on `load_split`'s datasets, which TensorFlow distributes.

    Returns the metrics of the test split, and writes the model.
    """
    config, schema = small_table.CONFIG, Schema.load(records / "schema.json")
    train, test = (
        load_split(config, schema, records, split, training=split == "train")
        for split in ("train", "test")
    )
    with strategy.scope():
        model = build_model(config, schema)
        model.compile(keras.optimizers.Adam(0.01), **compile_arguments(config, schema))
    model.fit(train, verbose=0)
    with distribute.chief_path(strategy, path) as place:
        model.save(place)
    return model.evaluate(test, verbose=0, return_dict=True)


def named(strategy, make):
    """A model of dict inputs and outputs."""
    with strategy.scope():
        x = {"x": keras.Input((2,), name="x")}
        model = make(x, {"y": keras.layers.Dense(1, name="y")(x["x"])})
        model.compile("sgd", {"y": "mse"})
    return model


def named_rows():
    return distributed_models.line(8).map(lambda x, y: ({"x": x}, {"y": y}))


if __name__ == "__main__":
    # models and graphs are many objects, and live to the end
    gc.set_threshold(20_000, 50, 50)
    worker(*map(pathlib.Path, sys.argv[1:]))
