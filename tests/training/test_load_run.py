"""Runs whose files are damaged, or that other hands have changed: one sentence each."""

import io
import json
import shutil
import zipfile

import pytest

from multimodal_tf.config import zip_size
from multimodal_tf.training.run_dir import load_run


@pytest.fixture
def run(small_run, tmp_path):
    """A copy of a run."""
    shutil.copytree(small_run, tmp_path / "run")
    return tmp_path / "run"


def changed(run, name, change):
    """Replaces a member of `model.keras` by `change(content)`; None: leaves it out."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(run / "model.keras") as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            content = old.read(member)
            content = change(content) if member == name else content
            if content is not None:
                new.writestr(member, content)
    (run / "model.keras").write_bytes(packed.getvalue())


def refused(run):
    with pytest.raises(ValueError, match="model|schema|config") as error:
        load_run(run)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(run))
    return message


def without_layers(content):
    config = json.loads(content)
    config["config"]["layers"] = 7
    return json.dumps(config)


def of_numbers(content):
    config = json.loads(content)
    config["config"]["input_layers"] = [1, 2, None]
    return json.dumps(config)


def with_a_lambda(content):
    config = json.loads(content)
    config["config"]["layers"][0] = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "evil",
            "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}},
        },
        "registered_name": None,
    }
    return json.dumps(config)


TAMPERED = {
    "no configuration": ("config.json", lambda content: None),
    "no weights": ("model.weights.h5", lambda content: None),
    "not JSON": ("config.json", lambda content: b"\xff{"),
    "a list": ("config.json", lambda content: b"[]"),
    "null": ("config.json", lambda content: b"null"),
    "an empty object": ("config.json", lambda content: b"{}"),
    "nested": ("config.json", lambda content: b"[" * 100_000),
    "layers that are none": ("config.json", without_layers),
    "inputs that are none": ("config.json", of_numbers),
    "a Lambda": ("config.json", with_a_lambda),
    "another class": ("config.json", lambda content: content.replace(b'"Dense"', b'"Flatten"')),
    "other weights": ("model.weights.h5", lambda content: content[: len(content) // 2]),
    "no HDF5": ("model.weights.h5", lambda content: b"zz"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_model_is_one_sentence(run, kind):
    changed(run, *TAMPERED[kind])
    assert refused(run).startswith(f"{run / 'model.keras'} is missing or damaged, train again: ")


def test_an_archive_that_unpacks_to_far_more_is_refused(run, monkeypatch):
    monkeypatch.setattr(zip_size, "MAX_UNPACKED", 10**6)
    changed(run, "metadata.json", lambda content: bytes(50 * 2**20))
    assert "it unpacks to" in refused(run)


@pytest.mark.parametrize(("name", "old", "new"), [("config.yaml", "  label:", "  other:")])
def test_a_configuration_of_another_model(run, name, old, new):
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new))
    assert "config.yaml is of another model than model.keras" in refused(run)


def test_a_schema_of_another_model(run):
    schema = json.loads((run / "schema.json").read_text())
    schema["inputs"] = {}
    (run / "schema.json").write_text(json.dumps(schema))
    assert "schema.json is of another model than config.yaml" in refused(run)
