"""Each tower alone on its input of `stamps` and `digits`, and the default, against scikit-learn.

    python -m benchmarks.towers > towers.md
    # towers whose name contains one of these words
    python -m benchmarks.towers --datasets stamps --towers sound --seeds 0

Finished trainings are read from `--out`. A seed of `stamps` is a new split (no group of
near-duplicates in two splits, stratified by class) and new weights; `digits` has one split. Every
tower is trained from scratch with the defaults of `training.fit` and the same number of epochs;
transformers with a lower learning rate. Towers that would take hours on two cores are smaller, as
their names say. scikit-learn is fitted on the training split and selects its regularization on the
validation split, as our models select their best epoch. Rows that lack the input count for all.
Stamps need Debian's `tuxpaint-stamps-default`.
"""

import argparse
import json
import pathlib

import numpy as np
import pandas

from benchmarks.accuracy_table import group_of_rows, markdown
from benchmarks.entries import DATASETS
from benchmarks.linear import baselines, read_raw
from benchmarks.trained import trained
from multimodal_tf.config import Config
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest


def main():
    arguments = parse()
    for name in arguments.datasets:
        entries, config, table = DATASETS[name]
        chosen = [
            entry for entry in entries() if any(word in entry.name for word in arguments.towers)
        ]
        print(f"\n## {name}\n\n{benchmark(name, chosen, config(), table(), arguments)}", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=[*DATASETS])
    parser.add_argument(
        "--towers",
        nargs="+",
        default=[""],
        help="towers whose name contains one of these words; default: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/towers"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def benchmark(name, entries, config, table, arguments):
    """Trains what is not yet trained; returns the table of results of one data set."""
    groups = group_of_rows(table)
    hits: list = []
    results: dict = {}
    for seed in arguments.seeds:
        training = config.training.model_dump() | (
            {"epochs": arguments.epochs} if arguments.epochs else {}
        )
        seeded = Config.model_validate(config.model_dump() | {"seed": seed, "training": training})
        directory = arguments.out / name / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows, found = peers(directory, seeded)
        for entry in entries:
            result = trained(entry, seeded, directory, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
        hits.append(
            pandas.DataFrame(found, index=pandas.Index(rows, name="row")).assign(
                seed=seed, group=groups[rows]
            )
        )
    return markdown(pandas.concat(hits), {entry.name: entry.against for entry in entries}, results)


def peers(directory, config):
    """Rows of the test split, and by name whether scikit-learn was right in each.

    They are read from their file if it belongs to these records.
    """
    file, data = directory / "scikit-learn.json", Manifest.load(directory / "data").hash
    if not file.is_file() or json.loads(file.read_text())["data"] != data:
        raw = {
            split: read_raw(directory / "data", split, config)
            for split in ("train", "validation", "test")
        }
        found = {name: hits.tolist() for name, hits in baselines(raw).items()}
        file.write_text(
            json.dumps({"data": data, "rows": raw["test"]["row"].tolist(), "hits": found})
        )
    kept = json.loads(file.read_text())
    return np.array(kept["rows"]), {name: np.array(hits) for name, hits in kept["hits"].items()}


if __name__ == "__main__":
    main()
