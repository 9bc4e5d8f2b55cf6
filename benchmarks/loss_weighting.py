"""Two heads, class and language, on the spoken names of Tux Paint's stamps, against each alone.

    python -m benchmarks.loss_weighting > loss_weighting.md
    # a run of a minute or two
    python -m benchmarks.loss_weighting --rows 300 --epochs 1 --seeds 0 --out /tmp/loss_weighting

Finished trainings are read from `--out`. Rows are those of `benchmarks.language`: a spoken name in
one of six languages, no stamp in two splits. The tower is the log-mel CNN; the losses of the two
heads are weighted in three ways. Needs Debian's `tuxpaint-stamps-default`.
"""

import argparse
import json
import pathlib

import numpy as np
import pandas

from benchmarks.accuracy_table import accuracy, by_seed_and_drawn, interval
from benchmarks.entries import audio_towers
from benchmarks.language import LANGUAGES, clips, language_config
from benchmarks.linear import LABEL, read_raw
from benchmarks.trained import slug
from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    Config,
    FixedWeights,
    GradNormWeights,
    UncertaintyWeights,
)
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.training.fit import fit

CLASS, LANGUAGE = LABEL, "language"
# heads, and the weighting of their losses
WAYS = {
    "class alone": ([CLASS], FixedWeights()),
    "language alone": ([LANGUAGE], FixedWeights()),
    "both, fixed weights 1 and 1": ([CLASS, LANGUAGE], FixedWeights()),
    "both, by uncertainty": ([CLASS, LANGUAGE], UncertaintyWeights()),
    "both, by GradNorm": ([CLASS, LANGUAGE], GradNormWeights()),
}
ALONE = {CLASS: "class alone", LANGUAGE: "language alone"}


def main():
    arguments = parse()
    rows = clips(arguments.root, arguments.rows, LANGUAGE)
    table, hits = read_table(rows, root=arguments.root), []
    for seed in arguments.seeds:
        config, directory = both(seed, arguments.epochs), arguments.out / f"seed-{seed}"
        ingest(table, config, directory / "data", progress=False)
        test = read_raw(directory / "data", "test", config)["row"]
        found = {
            f"{way}|{head}": right
            for way in WAYS
            for head, right in trained(way, config, directory).items()
        }
        hits.append(pandas.DataFrame(found).assign(seed=seed, group=rows["group"].to_numpy()[test]))
    print(
        f"{len(rows)} clips of {rows['group'].nunique()} groups of stamps,"
        f" {rows[CLASS].nunique()} classes, {len(LANGUAGES)} languages\n"
    )
    print(markdown(pandas.concat(hits)))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="/usr/share/tuxpaint/stamps", help="folder of the stamps")
    parser.add_argument("--rows", type=int, help="number of clips, drawn at random; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/loss_weighting"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def both(seed, epochs):
    tower = audio_towers(mel_bins=40, hop_ms=20)["CNN on a spectrogram"]
    changed = {
        "inputs": {"sound": AudioInput.model_validate(tower)},
        "heads": {name: ClassificationHead() for name in (CLASS, LANGUAGE)},
    }
    return Config.model_validate(
        (language_config(seed, epochs).model_copy(update=changed)).model_dump()
    )


def trained(way, config, directory):
    """By head, whether the trained model is right in each row of the test split.

    The result is read from its file if it belongs to these settings and records.
    """
    heads, weights = WAYS[way]
    kept = {"heads": {name: config.heads[name] for name in heads}, "loss_weighting": weights}
    config = Config.model_validate(config.model_copy(update=kept).model_dump())
    file = directory / f"{slug(way)}.json"
    settings = {
        "config": config.model_dump(mode="json"),
        "data": Manifest.load(directory / "data").hash,
    }
    if (
        not file.is_file()
        or {name: json.loads(file.read_text())[name] for name in settings} != settings
    ):
        file.write_text(
            json.dumps(
                settings | {"hits": train(config, directory / "data", directory / slug(way))}
            )
        )
    return {name: np.array(hits) for name, hits in json.loads(file.read_text())["hits"].items()}


def train(config, records, run_dir):
    schema = fit_schema(config, records)
    model = fit(config, schema, records, run_dir, verbose=0).model
    test = load_split(config, schema, records, "test")
    predictions = {
        name: values.argmax(axis=1) for name, values in model.predict(test, verbose=0).items()
    }
    return {
        name: (classes == np.concatenate([targets[name] for _, targets, _ in test])).tolist()
        for name, classes in predictions.items()
    }


def markdown(hits):
    """One row per way and head; the gain is over the model of that head alone."""
    seeds, means = by_seed_and_drawn(hits)
    heads = [
        "head",
        "trained",
        f"test accuracy, mean of {len(seeds)} seeds",
        "by seed",
        "95 % interval",
        "minus alone",
        "95 % interval",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for head, alone in ALONE.items():
        for name in (name for name in seeds if name.endswith(f"|{head}")):
            base = f"{alone}|{head}"
            gain = (
                [
                    f"{seeds[name].mean() - seeds[base].mean():+.3f}",
                    interval(means[name] - means[base]),
                ]
                if name != base
                else ["", ""]
            )
            cells = [head, name.split("|")[0], *accuracy(name, seeds, means), *gain]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
