"""Latency of a guard and of temperature scaling in an exported model; prints a Markdown table.

    python -m benchmarks.guard

Model and rows are those of `benchmarks.serving`, with a matching head. It is exported without a
guard; with the Mahalanobis distance to 16 classes and agreement; and with the distance to the
nearest of 10,000 training rows instead. In each round, all get the same batch, in random order. A
time is the median over rounds; a ratio is the median over rounds of the ratio to the model without
a guard.
"""

import functools
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf

from benchmarks import serving
from multimodal_tf.config import MatchingHead
from multimodal_tf.models.build import build_model, embeddings
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Mahalanobis, NearestNeighbour
from multimodal_tf.serving.export import export_model

BATCHES = (1, 8, 64)
RUNS = {1: 300, 8: 100, 64: 30}
BANK = 10_000

CONFIG = serving.CONFIG.model_copy(
    update={"heads": serving.CONFIG.heads | {"match": MatchingHead(inputs=["photo", "title"])}}
)


def guards(width):
    """Guards by name; their arrays are random, which take as long as fitted ones."""
    generator = np.random.default_rng(0)
    bank = generator.normal(size=(BANK, width))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    distance = Mahalanobis(
        generator.normal(size=(width, width)), generator.normal(size=(16, width))
    )
    return {
        "none": {},
        "Mahalanobis, agreement, temperature": {
            "guard": Guard(distance, 1.0, agreement_threshold=0.5),
            "temperature": {"label": 1.5},
        },
        f"nearest of {BANK:,} rows, agreement": {
            "guard": Guard(NearestNeighbour(bank, 10), 1.0, agreement_threshold=0.5)
        },
    }


def rounds(functions, runs):
    """Seconds, float `(runs, functions)`."""
    generator = np.random.default_rng(0)
    taken = np.zeros((runs, len(functions)))
    for number in range(runs):
        for index in generator.permutation(len(functions)):
            start = time.perf_counter()
            functions[index]()
            taken[number, index] = time.perf_counter() - start
    return taken


def main():
    stats = serving.schema()
    model = build_model(CONFIG, stats)
    width = embeddings(model).output["fused"].shape[-1]
    served = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, options) in enumerate(guards(width).items()):
            path = export_model(
                model, CONFIG, stats, pathlib.Path(folder) / "bench" / str(number + 1), **options
            )
            served[name] = tf.saved_model.load(str(path)).signatures["predict"]
    print(f"The fused embedding has {width} numbers.\n")
    print("| batch | guard | predict, ms | ratio | ratio, quartiles of the rounds |")
    print("|---:|---|---:|---:|---|")
    for batch in BATCHES:
        raw = serving.rows(batch)
        functions = [functools.partial(signature, **raw) for signature in served.values()]
        rounds(functions, 3)
        taken = rounds(functions, RUNS[batch])
        ratios = taken / taken[:, :1]
        for index, name in enumerate(served):
            low, middle, high = np.quantile(ratios[:, index], [0.25, 0.5, 0.75])
            print(
                f"| {batch} | {name} | {1000 * np.median(taken[:, index]):.2f} | {middle:.3f}"
                f" | {low:.3f} .. {high:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
