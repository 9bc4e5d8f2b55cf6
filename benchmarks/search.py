"""A search on `digits`: against the default, one worker against two, and with cross-validation.

    python -m benchmarks.search > search.md
    # a quick run
    python -m benchmarks.search --trials 4 --epochs 2 --out /tmp/search

Finished searches and trainings are read from `--out`. The random tuner draws the same
configurations for a validation split and for folds. Each configuration is then trained once more on
the training rows and evaluated on the test rows, which no search saw. This shows how well each
objective predicts the test accuracy, and the test accuracy of its choice. The default and both
choices are trained with several seeds. Times are wall times of uninterrupted searches.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import time

import numpy as np
import pandas
import scipy.stats

from multimodal_tf.config import (
    AttentionFusion,
    BottleneckFusion,
    ConcatenationFusion,
    Config,
    DecisionFusion,
    GatedFusion,
)
from multimodal_tf.data.datasets.digits import digits_config, digits_table
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run
from multimodal_tf.training.tune import Choice, Float, Int, Space, report, tune

OBJECTIVE = "val_label_accuracy"
FOLDS = 3
SEEDS = (0, 1, 2)
WAYS = {"one": {"workers": 1}, "two": {"workers": 2}, "folds": {"workers": 2, "folds": FOLDS}}


def main():
    arguments = parse()
    config = digits_config()
    config.training.epochs = arguments.epochs
    records = arguments.out / "records"
    ingest(digits_table(), config, records)
    space = search_space(config)
    seconds = {way: searched(space, records, arguments, way) for way in WAYS}
    tables = {
        way: trials(space, arguments.out / way, folded)
        for way, folded in (("one", False), ("folds", True))
    }
    drawn = {
        trial: space.config(report.trial_values(arguments.out / "one" / "trials", trial))
        for trial in tables["one"].index
    }
    tested = pandas.Series(
        {
            trial: accuracy(one, records, arguments.out / "tested" / str(trial))
            for trial, one in drawn.items()
        }
    )
    print(objectives(tables, tested), end="\n\n")
    chosen = {"default": config} | {
        f"best by {way}": Config.load(arguments.out / way / "best.yaml") for way in ("one", "folds")
    }
    print(choices(chosen, records, arguments.out), end="\n\n")
    print(times(seconds, tables["one"]))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/search"))
    return parser.parse_args()


def search_space(config):
    fusions = [
        ConcatenationFusion().model_dump()
        | {"hidden": Choice([[], [64]]), "dropout": Float(0.1, 0.6)},
        GatedFusion().model_dump() | {"dim": Choice([32, 64, 128])},
        AttentionFusion().model_dump() | {"dim": Choice([32, 64, 128])},
        BottleneckFusion().model_dump() | {"depth": Int(1, 2)},
        DecisionFusion().model_dump() | {"combine": Choice(["mean", "weights", "product"])},
    ]
    drop = Float(0, 0.5)
    return Space.from_config(
        config,
        {
            "fusion": Choice([fusion | {"modality_dropout": drop} for fusion in fusions]),
            "inputs.image.tower.filters": Choice([[16, 32], [32, 64]]),
            "inputs.sound.tower.filters": Choice([[16, 32, 64], [32, 64, 128]]),
            "inputs.text.tower.embedding_dim": Choice([32, 64, 128]),
            "inputs.text.tokenizer": Choice(
                [{"type": "words"}, {"type": "ngrams", "buckets": 4096}]
            ),
            "training.learning_rate": Float(3e-4, 1e-2, sampling="log"),
            "heads.label.label_smoothing": Float(0, 0.2),
        },
    )


def searched(space, records, arguments, way):
    """Wall time of a search, in seconds."""
    run_dir, file = arguments.out / way, arguments.out / f"{way}.json"
    if not file.is_file():
        # An interrupted search has no valid time.
        shutil.rmtree(run_dir, ignore_errors=True)
        started = time.monotonic()
        tune(space, records, run_dir, OBJECTIVE, arguments.trials, "random", **WAYS[way])
        file.write_text(json.dumps(time.monotonic() - started))
    return json.loads(file.read_text())


def trials(space, directory, folded):
    """The completed trials by number; a number is the same configuration in every search."""
    table = report.trials_table(directory / "trials", directory, space, "val_accuracy")
    print(f"{directory.name}: {table['status'].value_counts().to_dict()}", end="\n\n")
    return table[table["status"] == "completed"].set_index("trial")


def accuracy(config, records, run_dir):
    """Test accuracy of a model that is trained on the training rows, if it was not before."""
    schema = schema_for(config, records)
    if not (run_dir / "model.keras").is_file():
        fit(config, schema, records, run_dir, verbose=0)
    model, hits = load_run(run_dir).model, []
    for inputs, targets, _ in load_split(config, schema, records, "test").as_numpy_iterator():
        hits.extend(np.argmax(model.predict_on_batch(inputs)["label"], axis=1) == targets["label"])
    return float(np.mean(hits))


def markdown(rows):
    table = pandas.DataFrame(rows).fillna("")
    lines = [table.columns, ["---"] * len(table.columns), *table.astype(str).to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def objectives(tables, tested):
    """How well each objective predicts the test accuracy."""
    both = sorted(set(tables["one"].index) & set(tables["folds"].index))
    rows = []
    for name, way in (("validation split", "one"), (f"mean over {FOLDS} folds", "folds")):
        objective = tables[way].loc[both, "objective"]
        difference = (objective - tested[both]).abs().mean()
        correlation = scipy.stats.spearmanr(objective, tested[both]).statistic
        rows.append(
            {
                "objective": name,
                "rank correlation with test accuracy": f"{correlation:.2f}",
                "mean absolute difference from it": f"{difference:.3f}",
                "test accuracy of its choice": f"{tested[objective.idxmax()]:.3f}",
                "best and mean test accuracy of all": (
                    f"{tested[both].max():.3f}, {tested[both].mean():.3f}"
                ),
            }
        )
    return markdown(rows)


def choices(chosen, records, out):
    rows = []
    for name, config in chosen.items():
        by_seed = []
        for seed in SEEDS:
            seeded = config.model_copy(update={"seed": seed})
            by_seed.append(accuracy(seeded, records, out / "chosen" / f"{name}-{seed}"))
        shown = " ".join(f"{one:.3f}" for one in by_seed)
        rows.append(
            {
                "configuration": name,
                "fusion": config.fusion.type,
                "test accuracy": f"{statistics.fmean(by_seed):.3f}",
                "by seed": shown,
            }
        )
    return markdown(rows)


def times(seconds, table):
    rows = [
        {"search": way, "folds": "", **WAYS[way], "minutes": f"{value / 60:.1f}"}
        for way, value in seconds.items()
    ]
    shown = markdown(rows)
    return f"{shown}\n\nTraining alone, one worker: {table['seconds'].sum() / 60:.1f} minutes."


if __name__ == "__main__":
    main()
