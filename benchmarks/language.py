"""Which of six languages is a clip in? Every audio tower against scikit-learn on the stamps.

    python -m benchmarks.language > language.md
    # a run of a minute or two
    python -m benchmarks.language --rows 300 --epochs 1 --seeds 0 --out /tmp/language

Finished trainings are read from `--out`. A row is one spoken name of a stamp in one language. No
stamp, nor a near-duplicate of it, is in two splits, so that the names of the test split are new in
every language. The voices and rooms are the same: each language was spoken by a few people at most,
so that a model partly learns the speaker and the recording. Logistic regression on the mean and the
standard deviation of each mel band shows how far the timbre alone leads. Needs Debian's
`tuxpaint-stamps-default`.
"""

import argparse
import pathlib

import numpy as np
import pandas

from benchmarks.accuracy_table import markdown
from benchmarks.entries import GENTLE, Entry, audio_towers
from benchmarks.linear import LABEL, by_cell, mel_bands, read_raw, regression, scaled
from benchmarks.trained import trained
from multimodal_tf.config import AudioInput, ClassificationHead, Config, Split, Training
from multimodal_tf.data.datasets import stamps_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table

# those with the most clips
LANGUAGES = ("fr", "ru", "ro", "ca", "bg", "es")
BASELINE = "mel bands"


def main():
    arguments = parse()
    rows = clips(arguments.root, arguments.rows)
    table, entries = read_table(rows, root=arguments.root), language_entries()
    hits: list = []
    results: dict = {}
    for seed in arguments.seeds:
        config, directory = (
            language_config(seed, arguments.epochs),
            arguments.out / f"seed-{seed}",
        )
        ingest(table, config, directory / "data", progress=False)
        raw = {
            split: read_raw(directory / "data", split, config)
            for split in ("train", "validation", "test")
        }
        found = baselines(raw)
        for entry in entries:
            result = trained(entry, config, directory, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
        test = raw["test"]["row"]
        hits.append(
            pandas.DataFrame(found, index=pandas.Index(test, name="row")).assign(
                seed=seed, group=rows["group"].to_numpy()[test]
            )
        )
    print(
        f"{len(rows)} clips of {rows['group'].nunique()} groups of stamps, by language:"
        f" {rows[LABEL].value_counts().to_dict()}\n"
    )
    print(markdown(pandas.concat(hits), {entry.name: BASELINE for entry in entries}, results))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="/usr/share/tuxpaint/stamps", help="folder of the stamps")
    parser.add_argument("--rows", type=int, help="number of clips, drawn at random; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/language"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def clips(root, count, language=LABEL):
    """One row per clip.

    Its columns are `sound`, a path; `language`, under that name; `group`, the stamp and its
    near-duplicates; and `LABEL`, the stamp's class, unless that is the language's column.
    """
    names = [
        pandas.concat(stamps_table(root, speech=name).chunks()).assign(**{language: name})
        for name in LANGUAGES
    ]
    rows = pandas.concat(names, ignore_index=True).dropna(subset="sound")[
        [*dict.fromkeys(["sound", LABEL, language, "group"])]
    ]
    return (rows.sample(count, random_state=0).sort_index() if count else rows).reset_index(
        drop=True
    )


def language_config(seed, epochs):
    """The first two seconds of a clip; four in five are shorter."""
    return Config(
        inputs={"sound": AudioInput()},
        heads={LABEL: ClassificationHead()},
        split=Split(group="group", stratify=LABEL),
        training=Training(epochs=epochs),
        seed=seed,
    )


def language_entries():
    """One entry per tower; spectrograms are as coarse as in `stamps_config`."""
    return [
        Entry(
            name,
            {"sound": AudioInput.model_validate(fields)},
            BASELINE,
            GENTLE if "transformer" in name else None,
        )
        for name, fields in audio_towers(mel_bins=40, hop_ms=20).items()
    ]


def baselines(raw):
    """By name, whether each row of the test split is right.

    The baselines are the most frequent language, and logistic regression.
    """
    labels = {split: cells[LABEL] for split, cells in raw.items()}
    majority = pandas.Series(labels["train"]).mode()[0]
    features = scaled(by_cell(raw, "sound", mel_bands))
    return {
        "majority class": labels["test"] == majority,
        BASELINE: regression(features, labels) == labels["test"],
    }


if __name__ == "__main__":
    main()
