"""Exported folders that are damaged, or that other hands have changed."""

import shutil

import pytest

from multimodal_tf.saved_model.check import GRAPH, parse
from multimodal_tf.serving.client import Client


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
