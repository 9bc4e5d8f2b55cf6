"""A run names the weights that its pretrained towers began with."""

import hashlib
import json
import pathlib
import shutil

import pytest
import small_table

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    FramesTower,
    ImageInput,
    KerasTower,
    NumberInput,
    PresetTower,
    TextInput,
    Training,
    VideoInput,
)
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit
from multimodal_tf.training.pretrained import pretrained_digests
from multimodal_tf.training.reproduce import prepare
from multimodal_tf.training.run_dir import load_record


def sha256(file):
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def config_of(**inputs):
    return Config(inputs=inputs, heads={"label": ClassificationHead()})


def test_every_tower_with_weights_on_this_machine(pretrained, tmp_path, monkeypatch):
    presets = pathlib.Path(pretrained.one_of_each())
    pictures, english = (str(presets / name) for name in ("pictures", "english"))
    keras_file = pretrained.keras_model()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    for version in ("1", "2"):
        cached = tmp_path / "models" / "keras" / "x" / "keras" / "y" / version
        shutil.copytree(presets / "pictures", cached)
    (cached / "model.weights.h5").write_bytes(b"2")
    name = "efficientnet_lite0_ra_imagenet"
    builtin = tmp_path / "models" / "keras" / "efficientnet" / "keras" / name / "2"
    shutil.copytree(presets / "pictures", builtin)
    handles = ["kaggle://keras/x/keras/y/1", "kaggle://keras/x/keras/y", name]
    config = config_of(
        photo=ImageInput(tower=PresetTower(preset=pictures)),
        film=VideoInput(tower=FramesTower(frame=PresetTower(preset=pictures))),
        title=TextInput(tower=PresetTower(preset=english, trainable=True)),
        grey=ImageInput(tower=KerasTower(path=keras_file)),
        price=NumberInput(),
        # random weights, and none on this machine
        drawn=ImageInput(tower=PresetTower(preset=english, weights=False, trainable=True)),
        far=ImageInput(tower=PresetTower(preset="hf://keras/none")),
        gone=ImageInput(tower=PresetTower(preset=str(tmp_path / "gone"))),
        **{
            f"x{number}": ImageInput(tower=PresetTower(preset=handle))
            for number, handle in enumerate(handles)
        },
    )
    weights = sha256(presets / "pictures" / "model.weights.h5")
    assert pretrained_digests(config) == {
        pictures: weights,
        english: sha256(presets / "english" / "model.weights.h5"),
        keras_file: sha256(keras_file),
        handles[0]: weights,
        handles[1]: hashlib.sha256(b"2").hexdigest(),
        handles[2]: weights,
    }


def test_a_run_names_them_and_other_weights_do_not_reproduce_it(pretrained, tmp_path):
    preset = pathlib.Path(
        shutil.copytree(pathlib.Path(pretrained.one_of_each()) / "english", tmp_path / "english")
    )
    title = TextInput(max_tokens=4, tower=PresetTower(preset=str(preset)))
    config = config_of(title=title).model_copy(
        update={"split": small_table.CONFIG.split, "training": Training(epochs=1)}
    )
    ingest(read_table(small_table.frame()), config, tmp_path / "records", processes=1)
    schema = Schema.load(tmp_path / "records" / "schema.json")
    fit(config, schema, tmp_path / "records", tmp_path / "run", verbose=0)
    run = tmp_path / "run" / "run.json"
    digest = sha256(preset / "model.weights.h5")
    assert load_record(run).pretrained == {str(preset): digest}
    assert prepare(run)[1] == config

    (preset / "model.weights.h5").write_bytes(b"others")
    with pytest.raises(ValueError, match=rf"english must have .* \(SHA-256 {digest[:12]}\), rec"):
        prepare(run)
    # a record of a version that did not name them
    old = json.loads(run.read_text())
    del old["pretrained"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert prepare(tmp_path / "old.json")[1] == config
