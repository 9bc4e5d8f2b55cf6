"""Many small tables: what our default reaches, beside scikit-learn on features and vectors.

    apt install tuxpaint-stamps-default fortunes klettres-data
    apt install oxygen-icon-theme breeze-icon-theme librsvg2-bin
    python -m benchmarks.make_presets runs/presets
    python -m benchmarks.tables --presets runs/presets > tables.md
    # a few
    python -m benchmarks.tables --tables digits diabetes --columns majority simple --seeds 0

A row of the page is a table of `benchmarks.table_sources`, each made here from Debian's packages,
scikit-learn's data sets or those of this package. Each seed is a new split into 70/10/20 %
(`icons`: the test rows are another theme), in which no group of near-duplicates is on both sides.

| column | what |
|---|---|
| majority | the commonest class; each label's share; the mean |
| simple | logistic or ridge regression on TF-IDF, colours and grey pixels, mel bands, numbers |
| frozen | the same on vectors of MiniLM, EfficientNet-Lite0 and Whisper tiny.en |
| default | what `describe` proposes without pretrained weights |
| pretrained | what it proposes with those of MiniLM, EfficientNet-Lite0 and Whisper tiny.en |

The validation split selects the regularization, whether pictures are colours alone or colours and
pixels, and our best epoch. Intervals draw groups of rows, the same for all columns. Finished
results are read from `results.jsonl` in `--out`; those of another table or split are made anew. A
table whose Debian package is not there is left out, and the page says so.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

from benchmarks.table_columns import COLUMNS, Work
from benchmarks.table_page import page
from benchmarks.table_scores import score
from benchmarks.table_sources import SOURCES
from benchmarks.table_task import Task


def main():
    arguments = parse()
    folder = arguments.out
    work = Work(arguments.presets, folder / "vectors", folder / "runs")
    kept, results, absent, made = Kept(folder / "results.jsonl"), [], {}, {}
    for name in arguments.tables:
        try:
            made[name] = SOURCES[name].make(folder / "drawn")
        except FileNotFoundError as error:
            absent[name] = str(error)
            continue
        for seed in arguments.seeds:
            task = Task(SOURCES[name], made[name], seed)
            results += [kept.result(task, column, work) for column in arguments.columns]
    print(page([one for one in results if one is not None], made, absent))
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=[*SOURCES])
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=[*COLUMNS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--presets",
        type=pathlib.Path,
        default=pathlib.Path("runs/presets"),
        help="folder that `benchmarks.make_presets` made",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/tables"),
        help="folder of results, vectors, drawn icons, records and runs",
    )
    return parser.parse_args()


class Kept:
    """Results in a JSON Lines file, one per table, seed and column."""

    def __init__(self, file):
        self.file = file
        lines = file.read_text().splitlines() if file.is_file() else []
        self.results = {key(one): one for one in map(json.loads, lines)}

    def result(self, task, column, work):
        """The result of a column; None where it has nothing to read."""
        name = (task.source.name, task.seed, column, task.digest)
        if name not in self.results:
            found = COLUMNS[column](task, work)
            if found is None:
                return None
            self.results[name] = one = result(task, column, *found)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as file:
                file.write(json.dumps(one) + "\n")
            print(*name[:3], f"{one['score']:.3f}", f"{one['seconds']:.0f} s", file=sys.stderr)
        return self.results[name]


def key(one):
    return one["table"], one["seed"], one["column"], one["data"]


def result(task, column, predicted, seconds):
    truth = task.targets["test"]
    return {
        "table": task.source.name,
        "seed": task.seed,
        "column": column,
        "data": task.digest,
        "metric": task.source.metric,
        "score": score(task.source.metric, truth, predicted),
        "seconds": round(seconds, 1),
        "groups": task.groups[task.rows].tolist(),
        "truth": np.asarray(truth, float if truth.dtype.kind == "f" else int).tolist(),
        "predicted": np.round(np.asarray(predicted, float), 6).tolist(),
    }


if __name__ == "__main__":
    sys.exit(main())
