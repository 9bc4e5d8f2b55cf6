"""Time of a training step of a fused model against the sum of its towers' times.

    python -m benchmarks.fusion_step_time [--fusions attention gated] [--steps 10] [--rounds 9]

The inputs are a photo (64 x 64), a title and a clip of one second, with their default towers, ten
classes, one batch of 32 rows in memory. The sum is that of three models of one input each: tower
and head. All models take turns within a round, and a ratio is the median of the rounds' ratios, of
wall time and of CPU time of this process.
"""

import argparse

import keras
import numpy as np

from benchmarks.fusion import fusions
from benchmarks.tower_step_time import batch_of, schema_of, trainer
from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ImageInput,
    TextInput,
)
from multimodal_tf.models.build import build_model, compile_arguments

INPUTS = {
    "photo": ImageInput(height=64, width=64),
    "title": TextInput(),
    "clip": AudioInput(seconds=1.0),
}
# fusions of the towers' tokens instead of their vectors
TOKENS = ("bottleneck", "cross-modal")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--fusions",
        nargs="+",
        default=[""],
        help="fusions whose name contains one of these words; default: all",
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    chosen = {
        name: fusion
        for name, fusion in fusions(0.0).items()
        if any(word in name for word in arguments.fusions)
    }
    alone = {
        name: training({name: input_config}, ConcatenationFusion(dropout=0), arguments.steps)
        for name, input_config in INPUTS.items()
    }
    fused = {name: training(INPUTS, fusion, arguments.steps) for name, fusion in chosen.items()}
    trainings = alone | fused
    # The first rounds trace graphs and allocate memory.
    for _ in range(2):
        for train, _ in trainings.values():
            train()
    rounds = [
        {name: train() for name, (train, _) in trainings.items()} for _ in range(arguments.rounds)
    ]
    print(
        f"`python -m benchmarks.fusion_step_time --steps {arguments.steps}"
        f" --rounds {arguments.rounds}`\n"
    )
    print("| fusion | over | weights | ms per step | sum of towers | ratio | CPU time, ratio |")
    print("|---|---|---|---|---|---|---|")
    # shape: rounds, clocks
    sums = np.array([sum(one[name] for name in alone) for one in rounds])
    for name in fused:
        times = np.array([one[name] for one in rounds])
        ratio, wall, whole = (
            np.median(times / sums, axis=0),
            np.median(times[:, 0]),
            np.median(sums[:, 0]),
        )
        over = "tokens" if name in TOKENS else "predictions" if "decision" in name else "vectors"
        print(
            f"| {name} | {over} | {fused[name][1]:,} | {wall:.1f} | {whole:.1f}"
            f" | **{ratio[0]:.3f} x** | {ratio[1]:.3f} x |"
        )


def training(inputs, fusion, steps):
    """`(function, weights)`: a function that trains and returns ms per step; number of weights."""
    keras.utils.set_random_seed(0)
    config = Config(inputs=inputs, heads={"label": ClassificationHead()}, fusion=fusion)
    schema = schema_of(config)
    model = build_model(config, schema)
    return trainer(
        model, compile_arguments(config, schema), batch_of(config), steps
    ), model.count_params()


if __name__ == "__main__":
    main()
