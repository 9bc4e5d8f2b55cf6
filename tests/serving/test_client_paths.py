"""Cells that name no file: `Client(..., paths=False)` and `predict --no-paths`."""

import base64
import os
import pathlib
import urllib.parse

import numpy as np
import pandas as pd
import pytest
from media import random_audio, random_image

from multimodal_tf.config import AudioInput, ImageInput, VideoInput
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.serving.client import Client

RULE = "must be bytes, a data URI, base64 or an array: paths are not taken here"
INPUTS = {
    "image": ImageInput(height=8, width=8),
    "audio": AudioInput(sample_rate=4000, seconds=0.1),
    "video": VideoInput(height=8, width=8, frames=2),
}
GOOD = {"image": random_image(1), "audio": random_audio(1), "video": random_image(1, kind="GIF")}


@pytest.fixture
def no_files(monkeypatch):
    """Nothing is opened or looked at."""

    def refuse(path, *_, **__):
        raise AssertionError(f"{path} was looked at")

    with monkeypatch.context() as patch:
        for name in ("open", "stat", "lstat", "access", "readlink"):
            patch.setattr(os, name, refuse)
        patch.setattr("builtins.open", refuse)
        patch.setattr("io.open", refuse)
        yield


def written(path):
    """The ways to write a path."""
    return [
        str(path),
        path.name,
        f"../{path.parent.name}/{path.name}",
        f"file://{path}",
        path,
        np.str_(path),
        {"path": str(path), "bytes": None},
        {"path": path},
        f"{path}\0",
    ]


@pytest.mark.parametrize("kind", INPUTS)
def test_no_path_is_looked_at_and_all_have_one_reason(kind, tmp_path, no_files):
    for path in (tmp_path / "a.png", pathlib.Path("/etc/passwd"), pathlib.Path("/dev/zero")):
        for value in written(path):
            with pytest.raises(CellError) as error:
                read_cell(value, INPUTS[kind], None)
            assert str(error.value) == RULE
            if kind == "video":
                with pytest.raises(CellError) as error:
                    read_cell([GOOD["image"], value], INPUTS[kind], None)
                assert str(error.value) == f"frame 2: {RULE}"


@pytest.mark.parametrize("kind", INPUTS)
def test_data_is_read_as_with_paths(kind, no_files):
    data = GOOD[kind]
    packed = base64.b64encode(data).decode()
    for value in (
        data,
        memoryview(data),
        packed,
        f"data:application/octet-stream;base64,{packed}",
        f"data:,{urllib.parse.quote_from_bytes(data)}",
        {"bytes": data, "path": "/etc/passwd"},
    ):
        assert read_cell(value, INPUTS[kind], None) == read_cell(data, INPUTS[kind])
    for broken in ("data:;base64,A", "data:,"):
        with pytest.raises(CellError, match="data URI"):
            read_cell(broken, INPUTS[kind], None)


@pytest.mark.slow
def test_a_client_without_paths_tells_nothing_of_files(exported, tmp_path):
    there, secret = tmp_path / "there.png", tmp_path / "secret.txt"
    there.write_bytes(random_image(1))
    secret.write_bytes(b"password=hunter2")
    closed = Client(exported, paths=False)
    rows = [{"photo": str(path)} for path in (there, secret, tmp_path, tmp_path / "gone")]
    assert set(closed.predict(rows)["error"]) == {f"photo: {RULE}; no input is present"}
    assert closed.predict([{"photo": there.read_bytes()}])["valid"].all()
    # with paths a file's content is not quoted either
    opened = Client(exported).predict([{"photo": str(secret), "sound": str(secret)}])
    assert "pass" not in opened["error"][0]


@pytest.mark.slow
def test_predict_without_paths(exported, tmp_path, capsys):
    from multimodal_tf.cli.app import app

    (tmp_path / "a.png").write_bytes(random_image(1))
    packed = base64.b64encode(random_image(1)).decode()
    table = pd.DataFrame({"Photo (front)": ["a.png", packed], "title": ["red", "blue"]})
    table.to_csv(tmp_path / "table.csv", index=False)
    out = tmp_path / "out.csv"
    arguments = ["predict", str(exported), str(tmp_path / "table.csv"), "--out", str(out)]
    assert app([*arguments, "--no-paths"], standalone_mode=False) in (None, 0)
    assert list(pd.read_csv(out)["error"].fillna("")) == [f"photo: {RULE}", ""]
    assert app(arguments, standalone_mode=False) in (None, 0)
    assert pd.read_csv(out)["valid"].all()
