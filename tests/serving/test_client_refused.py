"""Exported folders that are damaged, or that other hands have changed."""

import json
import os
import re
import shutil

import pytest
from small_model import CONFIG, SCHEMA

from multimodal_tf.config.saved_model.check import GRAPH, parse
from multimodal_tf.config.saved_model.files import load_temperatures
from multimodal_tf.evaluation import predictor
from multimodal_tf.serving import skew
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model


@pytest.fixture
def model(guarded, tmp_path):
    """A copy of an exported model."""
    shutil.copytree(guarded, tmp_path / "1")
    return tmp_path / "1"


def refused(path):
    """The one sentence with which `Client` refuses a folder."""
    with pytest.raises(ValueError, match=r"/1") as error:
        Client(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def test_a_graph_that_reads_other_files_is_not_loaded(model, monkeypatch):
    def load(path):
        raise AssertionError("it was loaded")

    monkeypatch.setattr("tensorflow.saved_model.load", load)
    content = parse((model / GRAPH).read_bytes())
    function = content.meta_graphs[0].graph_def.library.function[0]
    function.node_def.add(name="read", op="ReadFile")
    (model / GRAPH).write_bytes(content.SerializeToString())
    assert refused(model) == (
        f"{model}: a SavedModel must not access other files or call Python, its graph has the"
        " operations ['ReadFile']"
    )


def test_an_asset_outside_is_refused(model):
    content = parse((model / GRAPH).read_bytes())
    content.meta_graphs[0].asset_file_def.add(filename="../../../etc/passwd")
    (model / GRAPH).write_bytes(content.SerializeToString())
    assert "an asset must be a file in the folder 'assets'" in refused(model)


def edited(model, name, change):
    """Changes a file of `assets.extra`."""
    file = model / "assets.extra" / name
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


def with_schema(change):
    """A change of `schema.json` by a function of its content."""

    def changed(text):
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return changed


ANOTHERS = {
    "another input": (
        "config.yaml",
        lambda text: text.replace("\n  title:", "\n  name:").replace("- title", "- name"),
        "schema.json is of another model than config.yaml: inputs.name: ",
    ),
    "another column": (
        "config.yaml",
        lambda text: re.sub(r"(?m)^  colour:\n(    .*\n)+", "", text).replace(
            "- colour", "- title"
        ),
        "config.yaml is another model's: the graph has 'colour', 'price', 'title',"
        " the configuration says no 'colour'",
    ),
    "more classes": (
        "schema.json",
        with_schema(
            lambda content: content["heads"]["label"].update(
                names=["a", "b", "c", "d"], counts=[1, 1, 1, 1]
            )
        ),
        "config.yaml is another model's: the graph's 'label_probabilities' is float32 (None, 3),"
        " the configuration says float32 (None, 4)",
    ),
    "another kind of statistics": (
        "schema.json",
        with_schema(lambda content: content["inputs"].update(price=content["inputs"]["colour"])),
        "schema.json is of another model than config.yaml: inputs.price: ",
    ),
}


@pytest.mark.parametrize("kind", ANOTHERS)
def test_a_configuration_of_another_model_is_refused(model, kind):
    name, change, sentence = ANOTHERS[kind]
    edited(model, name, change)
    assert refused(model).startswith(f"{model}: {sentence}")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "7", '{"label": "2"}', '{"label": 0}', '{"label": NaN}', "[" * 100_000, "\x00"],
)
def test_damaged_temperatures_are_one_sentence(model, content):
    edited(model, "temperature.json", lambda text: content)
    with pytest.raises(
        ValueError, match=r"temperature.json is damaged, export the model again: [^\n]*$"
    ):
        load_temperatures(model)


def test_a_path_is_no_model(tmp_path):
    with pytest.raises(
        ValueError, match=r"such as load_run\(path\).model, received the path 'runs/x'"
    ):
        export_model("runs/x", CONFIG, SCHEMA, tmp_path / "1")


def every_reader(path):
    """What reads an exported folder: `Client`, `evaluate` and the report, `skew`."""
    return {
        "Client": lambda: Client(path),
        "evaluate": lambda: predictor.of_saved_model(path),
        "skew": lambda: skew._served(path, [], CONFIG),
    }


@pytest.mark.parametrize(
    "name",
    [
        "variables",
        "variables/variables.index",
        "assets.extra/config.yaml",
        "saved_model.pb",
        "fingerprint.pb",
    ],
)
def test_a_link_is_refused_before_anything_is_read(model, tmp_path, name):
    (model / name).rename(tmp_path / "elsewhere")
    (model / name).symlink_to(tmp_path / "elsewhere")
    for who, read in every_reader(model).items():
        with pytest.raises(ValueError, match=r"^\S*/1: a SavedModel must hold") as error:
            read()
        assert str(error.value) == (
            f"{model}: a SavedModel must hold its files itself, {name!r} is a link: copy the folder"
            " with `cp -rL` if you trust where it leads"
        ), who


def test_hard_links_and_a_link_to_the_folder_are_read(model, tmp_path):
    linked = tmp_path / "linked"
    shutil.copytree(model, linked, copy_function=os.link)
    (tmp_path / "name").symlink_to(linked)
    for path in (linked, tmp_path / "name"):
        assert Client(path).predict([{"title": "red"}])["valid"].all()
