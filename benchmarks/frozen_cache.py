"""Training of heads on frozen pretrained towers, with their outputs computed once and without.

    apt install tuxpaint-stamps-default
    python -m benchmarks.make_presets runs/presets
    python -m benchmarks.frozen_cache --presets runs/presets > frozen_cache.md
    # a part of it
    python -m benchmarks.frozen_cache --presets runs/presets --rounds 1 --trials 0

The table is `stamps`: 785 rows, descriptions read by MiniLM, images of 224 x 224 by
EfficientNet-Lite0, both frozen. First the cache is filled. Then epochs of training and validation
take turns, in one process: with the outputs from the cache, and without. The first epoch of each,
in which TensorFlow traces, is not counted. Last, a search over fusions and heads, in new processes,
whose trials all read the cache. CPU time, which other programs disturb less, is listed too.
"""

import argparse
import pathlib
import shutil
import statistics
import time

import keras
import tensorflow as tf

from multimodal_tf.config import Config, ImageInput, PresetTower, TextInput
from multimodal_tf.data.cache import FOLDER, started_after
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.training.batches import training_batches, validation_batches
from multimodal_tf.training.distribute import strategy_of
from multimodal_tf.training.tune import Choice, Float, Space, tune

SPLITS = ("train", "validation")


def main():
    arguments = parse()
    config = configuration(arguments.presets)
    records = arguments.out / "records"
    ingest(stamps_table(), config, records, progress=False)
    schema = schema_for(config, records)
    shutil.rmtree(records / FOLDER, ignore_errors=True)
    lines, filled = [], fill(config, schema, records)
    lines += ["| what | seconds | CPU seconds |", "|---|---|---|"]
    lines += [f"| filling the cache ({size(records):.1f} MB) | {filled[0]:.1f} | {filled[1]:.1f} |"]
    times = epochs(config, schema, records, arguments.rounds)
    for name, rounds in times.items():
        seconds, cpu = (statistics.median(column) for column in zip(*rounds))
        lines += [f"| an epoch {name}, median of {len(rounds)} | {seconds:.2f} | {cpu:.2f} |"]
    with_cache, without = times.values()
    ratios = [
        statistics.median(slow[i] / fast[i] for fast, slow in zip(with_cache, without))
        for i in (0, 1)
    ]
    lines += [f"| without / with, median of rounds | {ratios[0]:.0f} x | {ratios[1]:.0f} x |"]
    print("\n".join(lines), flush=True)
    if arguments.trials:
        search(config, records, arguments)
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presets", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/frozen_cache"))
    return parser.parse_args()


def configuration(presets):
    """`stamps` with the description and the image, each read by a frozen tower."""
    config = stamps_config().model_dump()
    text = PresetTower(preset=str(presets / "minilm"))
    image = PresetTower(preset=str(presets / "efficientnet_lite0"))
    inputs = {
        "description": TextInput(max_tokens=24, tower=text),
        "image": ImageInput(height=224, width=224, tower=image),
    }
    return Config.model_validate(config | {"inputs": inputs})


def timed(work):
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


def fill(config, schema, records):
    """Seconds to compute the outputs of all training and validation cells."""

    def work():
        model = build_model(config, schema)
        with started_after(model, config, schema, records, SPLITS, progress=False) as frozen:
            assert frozen is not None, "nothing is frozen"

    return timed(work)[0]


def size(records):
    return sum(one.stat().st_size for one in (records / FOLDER).rglob("*.npy")) / 1e6


def epochs(config, schema, records, rounds):
    """Seconds, wall and CPU, of each epoch, in turn."""
    found = {"with the cache": [], "without": []}
    runs = {name: run(config, schema, records, name != "without") for name in found}
    for number in range(rounds + 1):
        for name, one in runs.items():
            seconds, _ = timed(lambda one=one: next(one))
            if number:
                found[name].append(seconds)
    return found


def run(config, schema, records, cache):
    """Trains a model, an epoch at each step of the iteration."""
    model = build_model(config, schema)
    with started_after(model, config, schema, records, SPLITS, cache, progress=False) as frozen:
        data = (config, schema, records, strategy_of("none"), frozen)
        batches, validation = training_batches(*data), validation_batches(*data)
        model.compile(keras.optimizers.AdamW(1e-3), **compile_arguments(config, schema))
        epoch = tf.Variable(0, dtype=tf.int64)
        while True:
            model.fit(
                batches(0, epoch), validation_data=validation, verbose=0, shuffle=False, epochs=1
            )
            epoch.assign_add(1)
            yield


def search(config, records, arguments):
    out = arguments.out / "search"
    shutil.rmtree(out, ignore_errors=True)
    training = config.training.model_copy(update={"epochs": 20})
    space = Space.from_config(
        config.model_copy(update={"training": training}),
        {
            "fusion": Choice(
                [
                    {"type": "concatenation", "hidden": [256], "dropout": 0.5},
                    {"type": "concatenation", "hidden": [], "dropout": 0.2},
                    {"type": "gated"},
                    {"type": "weighted_sum"},
                    {"type": "decision"},
                ]
            ),
            "training.learning_rate": Float(3e-4, 1e-2, sampling="log"),
        },
    )
    seconds, found = timed(
        lambda: tune(
            space,
            records,
            out,
            "val_label_accuracy",
            trials=arguments.trials,
            tuner="random",
            workers=arguments.workers,
            progress=False,
        )
    )
    completed = int((found.table["status"] == "completed").sum())
    print(
        f"\nA search of {arguments.trials} trials of 20 epochs ({completed} completed), "
        f"{arguments.workers} workers: {seconds[0]:.0f} s; best validation accuracy "
        f"{found.score:.3f}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
