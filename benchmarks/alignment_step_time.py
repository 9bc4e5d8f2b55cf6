"""Time of a training step of alignment against the sum of its towers' times, and peak memory.

    python -m benchmarks.alignment_step_time [--losses infonce sigmoid] [--steps 10] [--rounds 9]

The inputs are a photo (64 x 64), a title and a clip of one second, with their default towers, and
one batch of 32 rows in memory. The sum is that of three models of one input each: tower and
classification head. All models take turns within a round, and a ratio is the median of the rounds'
ratios, of wall time and of CPU time of this process. The second table is of photo and title alone:
the peak memory of the process in steps on ever larger batches, above that before the first step,
with an alignment and with one classification head over both; each in a process of its own.
"""

import argparse
import multiprocessing
import pathlib

import keras
import numpy as np
import tensorflow as tf

from benchmarks.fusion_step_time import INPUTS, training
from benchmarks.tower_step_time import BATCH, batch_of, schema_of, trainer
from multimodal_tf.config import AlignmentHead, ClassificationHead, ConcatenationFusion, Config
from multimodal_tf.models.build import build_model, compile_arguments

SPACE = "space"
LOSSES = {
    "infonce": {},
    "sigmoid": {"loss": "sigmoid"},
    "distance": {"loss": "distance"},
    "infonce, queue of 256": {"queue": 256},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=[*LOSSES])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128, 512, 2048])
    arguments = parser.parse_args()
    step_times(arguments)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {name: pool.apply(memory, (name, arguments.batches)) for name in heads()}
    print(f"\n| MB above the first step's beginning | {' | '.join(map(str, arguments.batches))} |")
    print("|---" * (len(arguments.batches) + 1) + "|")
    for name, of_name in peaks.items():
        print(f"| {name} | {' | '.join(f'{peak:.0f}' for peak in of_name)} |")


def step_times(arguments):
    alone = {
        name: training({name: one}, ConcatenationFusion(dropout=0), arguments.steps)[0]
        for name, one in INPUTS.items()
    }
    aligned = {name: aligning(LOSSES[name], arguments.steps) for name in arguments.losses}
    trainings = alone | aligned
    # The first rounds trace graphs and allocate memory.
    for _ in range(2):
        for train in trainings.values():
            train()
    rounds = [{name: train() for name, train in trainings.items()} for _ in range(arguments.rounds)]
    print("| loss | ms per step | sum of towers | ratio | CPU time, ratio |")
    print("|---|---|---|---|---|")
    # shape: rounds, clocks
    sums = np.array([sum(one[name] for name in alone) for one in rounds])
    for name in aligned:
        times = np.array([one[name] for one in rounds])
        wall, cpu = np.median(times / sums, axis=0)
        middle, whole = np.median(times[:, 0]), np.median(sums[:, 0])
        print(
            f"| {name} | {middle:.1f} | {whole:.1f} | **{wall:.3f} x** | {cpu:.3f} x |", flush=True
        )


def aligning(fields, steps):
    """A function that trains an alignment of all inputs and returns ms per step."""
    keras.utils.set_random_seed(0)
    config = Config(inputs=INPUTS, heads={SPACE: AlignmentHead(inputs=[*INPUTS], **fields)})
    model, compiled, rows = made(config)
    return trainer(model, compiled, rows, steps)


def made(config):
    """Model, arguments of `compile`, and a batch of rows that differ."""
    schema = schema_of(config)
    inputs, targets, weights = batch_of(config)
    if SPACE in config.heads:
        targets = {SPACE: np.arange(BATCH * len(config.heads[SPACE].inputs)).reshape(BATCH, -1)}
        weights = {SPACE: np.ones(BATCH, "float32")}
    rows = inputs, targets, weights
    return build_model(config, schema), compile_arguments(config, schema), rows


def heads():
    return {
        "alignment": AlignmentHead(inputs=["photo", "title"]),
        "classification": ClassificationHead(),
    }


def memory(name, batches):
    """Peak MB of this process in a training step on each batch, above that before the first."""
    inputs = {own: INPUTS[own] for own in ("photo", "title")}
    config = Config(inputs=inputs, heads={SPACE if name == "alignment" else "label": heads()[name]})
    model, compiled, rows = made(config)
    model.compile("adam", **compiled)
    found, before = [], megabytes("VmRSS")
    for batch in batches:
        repeated = tf.nest.map_structure(
            lambda one, times=batch // BATCH: np.concatenate([one] * times), rows
        )
        model.fit(*repeated[:2], batch_size=batch, epochs=2, verbose=0)
        found.append(megabytes("VmHWM") - before)
    return found


def megabytes(field):
    """Of this process: `VmRSS`, its memory now, or `VmHWM`, its peak.

    The peak of `resource.getrusage` contains that of the program that started it.
    """
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    [line] = [one for one in lines if one.startswith(f"{field}:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
