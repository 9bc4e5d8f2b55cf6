"""Test accuracy on Tux Paint's stamps: the default configuration, trained from scratch, against scikit-learn on the same rows.

    python -m benchmarks.stamps > stamps.md

For each seed: a new split (no group of near-duplicates on two sides, classes in proportion), scikit-learn's baselines, and our model
with all three inputs and with each alone. scikit-learn learns from the training split and takes its regularisation from the
validation split, as our model takes its best epoch. Needs Debian's `tuxpaint-stamps-default`; runs can be interrupted and started again.
"""

import argparse
import pathlib
import time

import numpy as np
import pandas
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from multimodal_tf.config import Config
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.ingest import ingest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.data.split import assign_splits
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit

LABEL = "label"
BASELINE = "TF-IDF + colour histogram + logistic regression"
BINS = 8  # of a colour histogram, per channel
STRENGTHS = (1.0, 10.0, 100.0)  # logistic regression's C
RESAMPLES = 10_000


def main():
    arguments = parse()
    table = stamps_table(arguments.root)
    rows = pandas.concat(table.chunks())
    histograms = np.stack([histogram(table.root / path) for path in rows["image"]])
    hits, notes = [], {}
    for seed in range(arguments.seeds):
        config = Config.model_validate(stamps_config().model_dump() | {"seed": seed})
        directory = arguments.directory / f"seed-{seed}"
        ingest(table, config, directory / "data", progress=False)
        test, found = ours(config, directory, notes)
        found |= baselines(rows, histograms, assign_splits(table, config), test)
        hits.append(pandas.DataFrame(found, index=pandas.Index(test, name="row")).assign(seed=seed, group=rows["group"].to_numpy()[test]))
        print(f"seed {seed}: " + ", ".join(f"{name} {values.mean():.3f}" for name, values in found.items()), flush=True)
    print(markdown(pandas.concat(hits), notes))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="/usr/share/tuxpaint/stamps", help="folder of the stamps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/stamps"), help="where shards and runs go")
    return parser.parse_args()


def ours(config, directory, notes):
    """Rows of the test split, and per model whether each was right."""
    schema = Schema.load(directory / "data" / "schema.json")
    test = np.concatenate([batch.numpy() for batch, _, _ in load_raw(directory / "data", "test", config, 64)])
    found = {}
    for names in [list(config.inputs), *([name] for name in config.inputs)]:
        part = config.model_copy(update={"inputs": {name: config.inputs[name] for name in names}})
        start = time.perf_counter()
        run = fit(part, schema, directory / "data", directory / "-".join(names), verbose=0)
        seconds = (time.perf_counter() - start) / run.record.epochs
        batches = load_split(directory / "data", "test", part, schema)
        truth = np.concatenate([targets[LABEL].numpy() for _, targets, _ in batches])
        found["ours: " + " + ".join(names)] = run.model.predict(batches, verbose=0)[LABEL].argmax(axis=1) == truth
        notes["ours: " + " + ".join(names)] = (run.model.count_params(), run.record.epochs, seconds)
    return test, found


def baselines(rows, histograms, splits, test):
    """The same from scikit-learn, on the rows `test`."""
    train, validation = np.flatnonzero(splits == 0), np.flatnonzero(splits == 1)
    texts, labels = rows["description"].fillna("").to_numpy(), rows[LABEL].to_numpy()
    words = TfidfVectorizer().fit(texts[train]).transform(texts).toarray()
    majority = pandas.Series(labels[train]).mode()[0]
    found = {"majority class": labels[test] == majority}
    for name, features in (
        ("TF-IDF + logistic regression", words),
        ("colour histogram + logistic regression", histograms),
        (BASELINE, np.hstack([words, histograms])),
    ):
        models = [LogisticRegression(C=strength, max_iter=5000).fit(features[train], labels[train]) for strength in STRENGTHS]
        best = max(models, key=lambda model: model.score(features[validation], labels[validation]))
        found[name] = best.predict(features[test]) == labels[test]
    return found


def histogram(path):
    """The square roots of the shares of `BINS`^3 colours, float `(BINS**3,)`; transparent is white."""
    image = Image.open(path).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
    places = np.asarray(image, int).reshape(-1, 3) * BINS // 256
    counts = np.bincount(places @ [BINS * BINS, BINS, 1], minlength=BINS**3)
    return np.sqrt(counts / counts.sum())


def markdown(hits, notes):
    """The table of results: means over seeds, and intervals from drawing groups of near-duplicates, pooled over seeds."""
    names = [name for name in hits.columns if name not in ("seed", "group")]
    sums, sizes = hits.groupby("group")[names].sum().to_numpy(float), hits.groupby("group").size().to_numpy()
    draws = np.random.default_rng(0).integers(len(sizes), size=(RESAMPLES, len(sizes)))
    means = np.stack([sums[draw].sum(axis=0) / sizes[draw].sum() for draw in draws])
    gains = means - means[:, [names.index(BASELINE)]]
    seeds = hits.groupby("seed")[names].mean()
    heads = ["model", f"test accuracy, mean of {len(seeds)} seeds", "by seed", "95 % interval", "minus scikit-learn's", "95 % interval"]
    heads += ["parameters", "epochs", "s an epoch"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for place, name in enumerate(names):
        mean, by_seed = seeds[name].mean(), " ".join(f"{value:.3f}" for value in seeds[name])
        parameters, epochs, seconds = notes.get(name, ("", "", ""))
        seconds = f"{seconds:.1f}" if seconds else ""
        lines.append(
            f"| {name} | {mean:.3f} | {by_seed} | {interval(means[:, place])} | {mean - seeds[BASELINE].mean():+.3f} | "
            f"{interval(gains[:, place])} | {parameters} | {epochs} | {seconds} |"
        )
    return "\n".join(lines)


def interval(samples):
    low, high = np.quantile(samples, [0.025, 0.975])
    return f"{low:.3f} .. {high:.3f}"


if __name__ == "__main__":
    main()
