"""Every fusion on `digits` and `stamps`, from scratch, with the data sets' own towers; and what is
left of each when an input is absent.

    python -m benchmarks.fusion > fusion.md # whatever is finished is found again in
    runs/benchmarks/fusion python -m benchmarks.fusion --datasets stamps --fusions gated
    concatenation --seeds 0 # a part: names that contain one of the words

Rows, seeds and intervals are those of `benchmarks.towers`. Each fusion is trained with modality
dropout, a few of them without, too. The towers of single inputs stand beside, trained as long.
Stamps need Debian's `tuxpaint-stamps-default`.
"""

import argparse
import json
import pathlib

import numpy as np
import pandas

from benchmarks.linear import LABEL, read_raw
from benchmarks.towers import (
    DATASETS,
    Entry,
    by_seed_and_drawn,
    group_of_rows,
    interval,
    markdown,
    slug,
    trained,
)
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

# of whole inputs
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
# of the towers here; what the gain is over
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
    alone = [Entry(f"{name} alone", {name: part}, against) for name, part in inputs.items()]
    return alone + [
        Entry(name, inputs, against, fusion=fusion)
        for name, fusion in (fusions(DROPOUT) | plain).items()
    ]


# trained without modality dropout, too
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
        help="words: fusions whose name contains one of them; default: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--directory",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/fusion"),
        help="where shards and runs go",
    )
    return parser.parse_args()


def benchmark(name, chosen, config, table, arguments):
    """Two tables of one data set, after training what is not yet trained: all inputs there, and
    each absent in turn.
    """
    groups, results, complete, absent = group_of_rows(table), {}, [], []
    for seed in arguments.seeds:
        training = config.training.model_dump() | {"epochs": arguments.epochs}
        seeded = Config.model_validate(config.model_dump() | {"seed": seed, "training": training})
        directory = arguments.directory / name / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows = read_raw(directory / "data", "test", seeded)["row"]
        frame = {"seed": seed, "group": groups[rows]}
        found, without = {}, {}
        for entry in chosen:
            result = trained(entry, seeded, directory, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
            if len(entry.inputs) > 1:
                without |= {
                    (entry.name, part): hits
                    for part, hits in hits_without(entry, directory).items()
                }
        complete.append(pandas.DataFrame(found).assign(**frame))
        absent.append(
            pandas.DataFrame(
                {f"{fusion}|{part}": hits for (fusion, part), hits in without.items()}
            ).assign(**frame)
        )
    against = {entry.name: entry.against for entry in chosen}
    first = markdown(pandas.concat(complete), against, results, f"{BEST_SINGLE[name]}'s")
    return (
        f"{first}\n\n{absence(pandas.concat(complete), pandas.concat(absent), list(config.inputs))}"
    )


def hits_without(entry, directory):
    """By input, whether each row of the test split is right without it; from its file if that is of
    this training.
    """
    file = directory / f"{slug(entry.name)}-absent.json"
    record = directory / slug(entry.name) / "run.json"
    if not file.is_file() or (record.is_file() and file.stat().st_mtime < record.stat().st_mtime):
        run = load_run(directory / slug(entry.name))
        test = load_split(run.config, run.schema, directory / "data", "test")
        truth = np.concatenate([targets[LABEL].numpy() for _, targets, _ in test])
        found = {
            part: right_without(run.model, test, part, truth).tolist() for part in entry.inputs
        }
        file.write_text(json.dumps(found))
    return {part: np.array(hits) for part, hits in json.loads(file.read_text()).items()}


def right_without(model, test, part, truth):
    changed = test.map(
        lambda inputs, targets, weights: inputs | {part + PRESENT: 0 * inputs[part + PRESENT]}
    )
    return model.predict(changed, verbose=0)[LABEL].argmax(axis=1) == truth


def absence(complete, absent, parts):
    """Accuracy with all inputs and without each, for each fusion; where there is a pair, what
    modality dropout saves of the drop.
    """
    hits = complete.reset_index(drop=True).join(
        absent.drop(columns=["seed", "group"]).reset_index(drop=True)
    )
    seeds, means = by_seed_and_drawn(hits)
    names = [name for name in complete if f"{name}|{parts[0]}" in absent]
    heads = ["fusion", "all inputs", *(f"without {part}" for part in parts)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in names:
        cells = [name, seeds[name].mean(), *(seeds[f"{name}|{part}"].mean() for part in parts)]
        lines.append(
            f"| {' | '.join(cell if isinstance(cell, str) else f'{cell:.3f}' for cell in cells)} |"
        )
    lines += [
        "",
        "| what modality dropout saves of the drop | without | drop with it | drop without it | difference | 95 % interval |",
    ]
    lines += ["|---" * 6 + "|"]
    missing = {part: [part] for part in parts} | {"any one, in the mean": parts}
    for name in (
        name for name in PAIRED if WITHOUT_DROPOUT.format(name) in names and name in names
    ):
        for what, which in missing.items():
            with_it, without_it = (
                drop(one, which, seeds) for one in (name, WITHOUT_DROPOUT.format(name))
            )
            drawn = drop(WITHOUT_DROPOUT.format(name), which, means) - drop(name, which, means)
            figures = [
                f"{value.mean():.3f}" for value in (with_it, without_it, without_it - with_it)
            ]
            lines.append(f"| {name} | {what} | {' | '.join(figures)} | {interval(drawn)} |")
    return "\n".join(lines)


def drop(name, parts, accuracies):
    return accuracies[name] - accuracies[[f"{name}|{part}" for part in parts]].mean(axis=1)


if __name__ == "__main__":
    main()
