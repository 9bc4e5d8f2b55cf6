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
import dataclasses
import json
import pathlib
import re
import statistics
import sys
import tempfile
import time

import keras
import numpy as np
import pandas

from benchmarks.linear import LABEL, baselines, read_raw
from multimodal_tf.config import (
    ApplicationTower,
    BagTower,
    BytePairTokenizer,
    CharacterTokenizer,
    Config,
    ConvTower,
    CRNNTower,
    Fusion,
    GRUTower,
    ImageAugmentation,
    Input,
    LSTMTower,
    NgramTokenizer,
    ResNetTower,
    SkipGram,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TransformerTower,
    ViTTower,
    WaveformTower,
    WordPieceTokenizer,
)
from multimodal_tf.data.datasets import digits_config, digits_table, stamps_config, stamps_table
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit

RESAMPLES = 10_000
# learning rate of transformers
GENTLE = 1e-3


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        name: str.
        inputs: the inputs of the model.
        against: str. Name of the row to compare with.
        learning_rate, fusion: None: those of the data set's configuration.
    """

    name: str
    inputs: dict[str, Input]
    against: str
    learning_rate: float | None = None
    fusion: Fusion | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """What is kept of a finished training; the rest is in its run folder."""

    config: dict
    # hash of the records
    data: str
    # by row of the test split
    hits: list[bool]
    parameters: int
    epochs: int
    # CPU time per step, median of the epochs without the first
    milliseconds: float
    # bytes of the SavedModel; first seed only
    exported: int | None


def stamps_entries():
    config = stamps_config()
    images = {
        "CNN": {"tower": ConvTower()},
        "CNN, augmented": {
            "tower": ConvTower(),
            "augmentation": ImageAugmentation(flip="horizontal", crop=0.1, erasing=0.2),
        },
        "ResNet 18 of 16 filters, 48 x 48": {
            "tower": ResNetTower(filters=16),
            "height": 48,
            "width": 48,
        },
        "MobileNetV3Small": {"tower": ApplicationTower(name="MobileNetV3Small")},
        "EfficientNetB0, 48 x 48": {
            "tower": ApplicationTower(name="EfficientNetB0"),
            "height": 48,
            "width": 48,
        },
        "ViT of 64 units, patches of 8": {"tower": ViTTower(units=64, mlp_units=128, patch_size=8)},
    }
    return [
        Entry(
            "image + description + sound: the default", config.inputs, "TF-IDF + colour histogram"
        ),
        *(
            _entry("image", config, name, fields, "colour histogram")
            for name, fields in images.items()
        ),
        *(
            _entry("description", config, name, fields, "TF-IDF")
            for name, fields in text_towers().items()
        ),
        *(
            _entry("sound", config, name, fields, "mel bands")
            for name, fields in audio_towers(mel_bins=40, hop_ms=20).items()
        ),
    ]


def digits_entries():
    config = digits_config()
    large = {"height": 32, "width": 32}
    images = {
        "CNN": {},
        "ResNet 18 of 16 filters, 32 x 32": large | {"tower": ResNetTower(filters=16)},
        "MobileNetV3Small, 32 x 32": large
        | {"tower": ApplicationTower(name="MobileNetV3Small"), "channels": 3},
        "ViT of 64 units, patches of 4": {"tower": ViTTower(units=64, mlp_units=128, patch_size=4)},
    }
    return [
        Entry("image + sound + text: the default", config.inputs, "TF-IDF + pixels + mel bands"),
        *(_entry("image", config, name, fields, "pixels") for name, fields in images.items()),
        *(_entry("text", config, name, fields, "TF-IDF") for name, fields in text_towers().items()),
        *(
            _entry("sound", config, name, fields, "mel bands")
            for name, fields in audio_towers(mel_bins=32).items()
        ),
    ]


def text_towers():
    small = {"units": 64, "mlp_units": 128}
    return {
        "bag of words": {"tower": BagTower()},
        "bag of n-grams": {
            "tower": BagTower(),
            "tokenizer": NgramTokenizer(buckets=16_384),
            "max_tokens": 128,
        },
        "LSTM": {"tower": LSTMTower()},
        "GRU": {"tower": GRUTower()},
        "bidirectional LSTM": {"tower": LSTMTower(bidirectional=True)},
        "LSTM on skip-gram vectors": {"tower": LSTMTower(), "vectors": SkipGram()},
        "GRU on characters": {
            "tower": GRUTower(),
            "tokenizer": CharacterTokenizer(),
            "max_tokens": 48,
        },
        "transformer of 64 units": {"tower": TransformerTower(**small)},
        "transformer of 64 units on WordPiece": {
            "tower": TransformerTower(**small),
            "tokenizer": WordPieceTokenizer(vocabulary_size=1000),
        },
        "causal transformer of 64 units on BPE": {
            "tower": TransformerTower(**small, causal=True, pooling="last"),
            "tokenizer": BytePairTokenizer(vocabulary_size=1000),
        },
    }


def audio_towers(**spectrogram):
    small = {"units": 64, "mlp_units": 128, "patch_bins": 8}
    return {
        "CNN on a spectrogram": {"tower": SpectrogramTower(**spectrogram)},
        "CRNN": {"tower": CRNNTower(**spectrogram)},
        "transformer of 64 units on a spectrogram": {
            "tower": SpectrogramTransformerTower(**small, **spectrogram)
        },
        "CNN on the waveform": {"tower": WaveformTower()},
    }


def _entry(column, config, name, fields, against):
    input_config = config.inputs[column]
    changed = {
        field: value.model_dump() if hasattr(value, "model_dump") else value
        for field, value in fields.items()
    }
    gentle = GENTLE if "transformer" in name or "ViT" in name else None
    return Entry(
        f"{column}: {name}",
        {column: type(input_config).model_validate(input_config.model_dump() | changed)},
        against,
        gentle,
    )


# entries, configuration, table
DATASETS = {
    "stamps": (stamps_entries, stamps_config, stamps_table),
    "digits": (digits_entries, digits_config, digits_table),
}


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


def group_of_rows(table):
    """By row, the group that the bootstrap resamples: near-duplicates, or the row itself."""
    rows = pandas.concat(table.chunks())
    return rows["group"].to_numpy() if "group" in rows else np.arange(len(rows))


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


# --- our models


def trained(entry, config, directory, with_export):
    """The `Result` of a training.

    It is read from its file if that belongs to these settings and records.
    """
    config = for_entry(config, entry)
    file, data = directory / f"{slug(entry.name)}.json", Manifest.load(directory / "data").hash
    if file.is_file():
        result = Result(**json.loads(file.read_text()))
        if (result.config, result.data) == (config.model_dump(mode="json"), data) and (
            result.exported or not with_export
        ):
            return result
    result = train(config, directory / "data", directory / slug(entry.name), data, with_export)
    file.write_text(json.dumps(dataclasses.asdict(result)))
    print(
        f"{directory.parent.name}, seed {config.seed}, {entry.name}: {np.mean(result.hits):.3f}",
        file=sys.stderr,
        flush=True,
    )
    return result


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def for_entry(config, entry):
    """The data set's configuration with the changes of the entry.

    A single input has no modality dropout, because nothing would be left.
    """
    fusion = (entry.fusion or config.fusion).model_dump() | (
        {"modality_dropout": 0.0} if len(entry.inputs) == 1 else {}
    )
    training = config.training.model_dump() | (
        {"learning_rate": entry.learning_rate} if entry.learning_rate else {}
    )
    inputs = {name: one.model_dump() for name, one in entry.inputs.items()}
    return Config.model_validate(
        config.model_dump() | {"inputs": inputs, "fusion": fusion, "training": training}
    )


def train(config, records, run_dir, data_hash, with_export):
    # Tokenizers differ, so each entry needs its own schema.
    schema = fit_schema(config, records)
    clock = Clock()
    run = fit(config, schema, records, run_dir, callbacks=[clock], verbose=0)
    test = load_split(config, schema, records, "test")
    truth = np.concatenate([targets[LABEL].numpy() for _, targets, _ in test])
    hits = run.model.predict(test, verbose=0)[LABEL].argmax(axis=1) == truth
    exported = exported_bytes(run.model, config, schema) if with_export else None
    settings = config.model_dump(mode="json")
    return Result(
        settings,
        data_hash,
        hits.tolist(),
        run.model.count_params(),
        run.record.epochs,
        clock.milliseconds(),
        exported,
    )


class Clock(keras.callbacks.Callback):
    """CPU ms per training step, without validation; other programs disturb wall time more."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        self.end, self.steps = time.process_time(), batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(1000 * (self.end - self.start) / self.steps)

    def milliseconds(self):
        # The first epoch traces the graph.
        return statistics.median(self.epochs[1:] or self.epochs)


def exported_bytes(model, config, schema):
    with tempfile.TemporaryDirectory() as folder:
        path = export_model(model, config, schema, pathlib.Path(folder) / "tower" / "1")
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


# --- the table


def markdown(hits, against, results, gain_over="scikit-learn's on the same input"):
    """Means over seeds, and intervals from bootstrapping groups of rows over all seeds."""
    seeds, means = by_seed_and_drawn(hits)
    heads = [
        "model",
        f"test accuracy, mean of {len(seeds)} seeds",
        "by seed",
        "95 % interval",
        f"minus {gain_over}",
    ]
    heads += ["95 % interval", "parameters", "CPU ms per step", "exported, MB", "epochs"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in sorted(seeds, key=lambda name: name not in against):
        cells = [
            name if name in against else f"scikit-learn: {name}",
            *accuracy(name, seeds, means),
        ]
        cells += (
            gain(name, against[name], seeds, means) + costs(results[name])
            if name in against
            else [""] * 6
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_seed_and_drawn(hits):
    """Accuracies by name: one row per seed; and one row per bootstrap resample of groups."""
    names = [name for name in hits.columns if name not in ("seed", "group")]
    sums, sizes = (
        hits.groupby("group")[names].sum().to_numpy(float),
        hits.groupby("group").size().to_numpy(),
    )
    draws = np.random.default_rng(0).integers(len(sizes), size=(RESAMPLES, len(sizes)))
    means = pandas.DataFrame(
        [sums[draw].sum(axis=0) / sizes[draw].sum() for draw in draws], columns=names
    )
    return hits.groupby("seed")[names].mean(), means


def accuracy(name, seeds, means):
    return [
        f"{seeds[name].mean():.3f}",
        " ".join(f"{value:.3f}" for value in seeds[name]),
        interval(means[name]),
    ]


def gain(name, baseline, seeds, means):
    return [
        f"{seeds[name].mean() - seeds[baseline].mean():+.3f}",
        interval(means[name] - means[baseline]),
    ]


def costs(results):
    milliseconds = statistics.median(result.milliseconds for result in results)
    exported = next((f"{result.exported / 1e6:.1f}" for result in results if result.exported), "")
    return [f"{results[0].parameters:,}", f"{milliseconds:.1f}", exported, str(results[0].epochs)]


def interval(samples):
    low, high = np.quantile(samples, [0.025, 0.975])
    return f"{low:.3f} .. {high:.3f}"


if __name__ == "__main__":
    main()
