"""Every fusion on `digits` and `stamps`, trained from scratch, also with one input missing.

    python -m benchmarks.fusion > fusion.md
    # fusions whose name contains one of these words
    python -m benchmarks.fusion --datasets stamps --fusions gated concatenation --seeds 0

Finished trainings are read from `--out`. Rows, seeds and intervals are those of
`benchmarks.towers`. The towers are those of the data sets. Each fusion is trained with modality
dropout, and some also without. For comparison, the towers of single inputs are trained as long.
Stamps need Debian's `tuxpaint-stamps-default`.
"""

import argparse
import json
import pathlib

import numpy as np
import pandas

from benchmarks.accuracy_table import by_seed_and_drawn, group_of_rows, interval, markdown
from benchmarks.entries import DATASETS, Entry
from benchmarks.linear import LABEL, read_raw
from benchmarks.trained import slug, trained
from multimodal_tf.config import (
    PRESENT,
    AttentionFusion,
    BilinearFusion,
    BottleneckFusion,
    ConcatenationFusion,
    Config,
    CrossModalFusion,
    DecisionFusion,
    GatedFusion,
    HybridFusion,
    LowRankTensorFusion,
    MeanFusion,
    ProductFusion,
    SelfAttentionFusion,
    SumFusion,
    WeightedSumFusion,
)
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.training.run_dir import load_run

# modality dropout
DROPOUT = 0.3
FEATURE_LEVEL = {
    "concatenation": ConcatenationFusion,
    "sum": SumFusion,
    "mean": MeanFusion,
    "product": ProductFusion,
    "weighted sum": WeightedSumFusion,
    "attention": AttentionFusion,
    "gated": GatedFusion,
    "bilinear": BilinearFusion,
    "low-rank tensor": LowRankTensorFusion,
    "self-attention": SelfAttentionFusion,
    "bottleneck": BottleneckFusion,
    "cross-modal": CrossModalFusion,
}
# the best tower of a single input, with which fusions are compared
BEST_SINGLE = {"digits": "sound alone", "stamps": "description alone"}
WITHOUT_DROPOUT = "{}, no modality dropout"


def fusions(dropout):
    found = {name: kind(modality_dropout=dropout) for name, kind in FEATURE_LEVEL.items()}
    for combine in ("mean", "weights", "product", "maximum", "stacking"):
        found[f"decision: {combine}"] = DecisionFusion(combine=combine, modality_dropout=dropout)
    return found | {"hybrid": HybridFusion(modality_dropout=dropout)}


def entries(inputs, against):
    plain = {
        WITHOUT_DROPOUT.format(name): fusion
        for name, fusion in fusions(0.0).items()
        if name in PAIRED
    }
    alone = [Entry(f"{name} alone", {name: one}, against) for name, one in inputs.items()]
    return alone + [
        Entry(name, inputs, against, fusion=fusion)
        for name, fusion in (fusions(DROPOUT) | plain).items()
    ]


# also trained without modality dropout
PAIRED = ("concatenation", "gated", "decision: mean")


def main():
    arguments = parse()
    for name in arguments.datasets:
        _, config, table = DATASETS[name]
        chosen = entries(config().inputs, BEST_SINGLE[name])
        chosen = [
            entry
            for entry in chosen
            if "alone" in entry.name or any(word in entry.name for word in arguments.fusions)
        ]
        print(f"\n## {name}\n\n{benchmark(name, chosen, config(), table(), arguments)}", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=[*DATASETS])
    parser.add_argument(
        "--fusions",
        nargs="+",
        default=[""],
        help="fusions whose name contains one of these words; default: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/fusion"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def benchmark(name, chosen, config, table, arguments):
    """Trains what is not yet trained; returns two tables of one data set.

    The first has all inputs present, the second one missing input at a time.
    """
    groups, complete, missing_hits = group_of_rows(table), [], []
    results: dict = {}
    for seed in arguments.seeds:
        training = config.training.model_dump() | {"epochs": arguments.epochs}
        seeded = Config.model_validate(config.model_dump() | {"seed": seed, "training": training})
        directory = arguments.out / name / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows = read_raw(directory / "data", "test", seeded)["row"]
        frame = {"seed": seed, "group": groups[rows]}
        found = {}
        without: dict = {}
        for entry in chosen:
            result = trained(entry, seeded, directory, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
            if len(entry.inputs) > 1:
                without |= {
                    (entry.name, name_of_input): hits
                    for name_of_input, hits in hits_without(entry, directory).items()
                }
        complete.append(pandas.DataFrame(found).assign(**frame))
        missing_hits.append(
            pandas.DataFrame(
                {
                    f"{fusion}|{name_of_input}": hits
                    for (fusion, name_of_input), hits in without.items()
                }
            ).assign(**frame)
        )
    against = {entry.name: entry.against for entry in chosen}
    first = markdown(pandas.concat(complete), against, results, f"{BEST_SINGLE[name]}'s")
    names = list(config.inputs)
    return f"{first}\n\n{absence(pandas.concat(complete), pandas.concat(missing_hits), names)}"


def hits_without(entry, directory):
    """By input, whether each row of the test split is right without it.

    They are read from their file if it belongs to this training.
    """
    file = directory / f"{slug(entry.name)}-missing.json"
    record = directory / slug(entry.name) / "run.json"
    if not file.is_file() or (record.is_file() and file.stat().st_mtime < record.stat().st_mtime):
        run = load_run(directory / slug(entry.name))
        test = load_split(run.config, run.schema, directory / "data", "test")
        truth = np.concatenate([targets[LABEL].numpy() for _, targets, _ in test])
        found = {
            name_of_input: right_without(run.model, test, name_of_input, truth).tolist()
            for name_of_input in entry.inputs
        }
        file.write_text(json.dumps(found))
    return {
        name_of_input: np.array(hits)
        for name_of_input, hits in json.loads(file.read_text()).items()
    }


def right_without(model, test, name_of_input, truth):
    changed = test.map(
        lambda inputs, targets, weights: (
            inputs | {name_of_input + PRESENT: 0 * inputs[name_of_input + PRESENT]}
        )
    )
    return model.predict(changed, verbose=0)[LABEL].argmax(axis=1) == truth


def absence(complete, missing_hits, names_of_inputs):
    """Accuracy with all inputs and without each, for each fusion.

    If a fusion was trained with and without modality dropout, also the difference of their drops.
    """
    hits = complete.reset_index(drop=True).join(
        missing_hits.drop(columns=["seed", "group"]).reset_index(drop=True)
    )
    seeds, means = by_seed_and_drawn(hits)
    names = [name for name in complete if f"{name}|{names_of_inputs[0]}" in missing_hits]
    heads = [
        "fusion",
        "all inputs",
        *(f"without {name_of_input}" for name_of_input in names_of_inputs),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in names:
        cells = [
            name,
            seeds[name].mean(),
            *(seeds[f"{name}|{name_of_input}"].mean() for name_of_input in names_of_inputs),
        ]
        lines.append(
            f"| {' | '.join(cell if isinstance(cell, str) else f'{cell:.3f}' for cell in cells)} |"
        )
    lines += [
        "",
        "| effect of modality dropout on the drop | missing | drop with it | drop without it"
        " | difference | 95 % interval |",
    ]
    lines += ["|---" * 6 + "|"]
    missing = {name_of_input: [name_of_input] for name_of_input in names_of_inputs} | {
        "mean over inputs": names_of_inputs
    }
    for name in (
        name for name in PAIRED if WITHOUT_DROPOUT.format(name) in names and name in names
    ):
        for what, which in missing.items():
            with_it, without_it = (
                drop(one, which, seeds) for one in (name, WITHOUT_DROPOUT.format(name))
            )
            drawn = drop(WITHOUT_DROPOUT.format(name), which, means) - drop(name, which, means)
            values = [f"{one.mean():.3f}" for one in (with_it, without_it, without_it - with_it)]
            lines.append(f"| {name} | {what} | {' | '.join(values)} | {interval(drawn)} |")
    return "\n".join(lines)


def drop(name, inputs, accuracies):
    return accuracies[name] - accuracies[
        [f"{name}|{name_of_input}" for name_of_input in inputs]
    ].mean(axis=1)


if __name__ == "__main__":
    main()
