"""Two exported models of `benchmarks.serving` in turn: processor time and latency, as ratios.

It prints a Markdown table.

    python -m benchmarks.serving --export before/1        # in one version of the package
    python -m benchmarks.serving --export after/1         # in another one
    python -m benchmarks.exports_in_turn before/1 after/1

Both models are called on the same rows, one after the other, in alternating order. Other programs
only make a call longer, so that the lower quartile is compared.
"""

import argparse
import functools
import statistics
import time

import tensorflow as tf

from benchmarks.serving import BATCHES, rows

RUNS = {1: 150, 8: 60, 64: 16}


def timed(function):
    """`(processor seconds, seconds)` of one call."""
    start, processor = time.perf_counter(), time.process_time()
    function()
    return time.process_time() - processor, time.perf_counter() - start


def in_turn(functions, runs):
    """Lower quartiles of processor seconds and of seconds, by function."""
    taken: list[list[tuple[float, float]]] = [[] for _ in functions]
    for run in range(runs):
        order = (0, 1) if run % 2 else (1, 0)
        for index in order:
            taken[index].append(timed(functions[index]))
    return [
        [statistics.quantiles(column, n=4)[0] for column in zip(*times, strict=True)]
        for times in taken
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before")
    parser.add_argument("after")
    arguments = parser.parse_args()
    models = [tf.saved_model.load(path) for path in (arguments.before, arguments.after)]
    print("| batch | processor ms before | after | ratio | latency, ratio |")
    print("|---:|---:|---:|---:|---:|")
    for batch in BATCHES:
        cells = rows(batch)
        functions = [functools.partial(one.signatures["predict"], **cells) for one in models]
        in_turn(functions, 2)
        before, after = in_turn(functions, RUNS[batch])
        print(
            f"| {batch} | {1000 * before[0]:.1f} | {1000 * after[0]:.1f}"
            f" | {after[0] / before[0]:.3f} | {after[1] / before[1]:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
