"""Exports that are refused: versions, and models that do not fit; nothing is written then."""

import os

import keras
import pytest
from small_model import SCHEMA
from small_text_model import small_text

from multimodal_tf.config import Config
from multimodal_tf.models.build import build_model
from multimodal_tf.serving.export import export_model


@pytest.fixture(scope="module")
def exportable():
    """`(model, config, schema)` that fit."""
    config, schema = small_text()
    return build_model(config, schema), config, schema


@pytest.mark.parametrize("name", ["v1", "1.0", "-1", "latest", "1" * 19])
def test_a_version_is_a_whole_number(exportable, tmp_path, name):
    with pytest.raises(ValueError, match=f"NAME/VERSION .* received .*{name}"):
        export_model(*exportable, tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_version_is_never_overwritten(exportable, tmp_path, kind):
    path = tmp_path / "1"
    if kind == "folder":
        path.mkdir()
    kept = path / "kept" if kind == "folder" else path
    kept.write_text("mine")
    with pytest.raises(ValueError, match="never overwritten"):
        export_model(*exportable, path)
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(("there", "name"), [("1", "01"), ("007", "7")])
def test_a_version_in_other_digits_is_the_same_one(exportable, tmp_path, there, name):
    (tmp_path / there).mkdir()
    with pytest.raises(ValueError, match="the same version to TensorFlow Serving"):
        export_model(*exportable, tmp_path / name)
    assert os.listdir(tmp_path) == [there]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": {"title": {"type": "text", "max_tokens": 4}}},
            "the model's inputs are .*'price'.*, but the configuration gives",
        ),
        (
            {"inputs": {"title": {"type": "text", "max_tokens": 4}, "price": {"type": "number"}}},
            r"input 'title' is int32 \(None, 3\), but the configuration gives int32 \(None, 4\)",
        ),
        (
            {"fusion": {"presence": False}},
            "the model's inputs are .*'price_present'.*, but the configuration gives",
        ),
        (
            {"heads": {"kind": {"type": "classification"}}},
            r"the model's outputs are \['label'\], but the configuration's heads are \['kind'\]",
        ),
    ],
)
def test_a_model_of_another_configuration(exportable, tmp_path, change, message):
    model, config, schema = exportable
    other = Config.model_validate(config.model_dump() | change)
    with pytest.raises(ValueError, match=message):
        export_model(model, other, schema, tmp_path / "1")
    assert os.listdir(tmp_path) == []


def test_a_schema_of_another_table(exportable, tmp_path):
    model, config, schema = exportable
    other = schema.model_copy(update={"heads": {"label": SCHEMA.heads["label"]}})
    with pytest.raises(
        ValueError, match=r"output 'label' must be of shape \(None, 3\), received \(None, 2\)"
    ):
        export_model(model, config, other, tmp_path / "1")
    with pytest.raises(ValueError, match="heads.label: the schema must hold classes"):
        export_model(model, config, schema.model_copy(update={"heads": {}}), tmp_path / "1")
    assert os.listdir(tmp_path) == []


def test_a_model_without_the_named_layers(exportable, tmp_path):
    model, config, schema = exportable
    inputs = model.input
    flat = keras.layers.Dense(2, activation="softmax")(keras.layers.Reshape((1,))(inputs["price"]))
    with pytest.raises(ValueError, match="must have a layer named 'title_embedding'"):
        export_model(keras.Model(inputs, {"label": flat}), config, schema, tmp_path / "1")
    assert os.listdir(tmp_path) == []


def test_a_model_without_names(exportable, tmp_path):
    _, config, schema = exportable
    for model in (keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), keras.Sequential()):
        with pytest.raises(ValueError, match="functional keras.Model with a dict of inputs"):
            export_model(model, config, schema, tmp_path / "1")
