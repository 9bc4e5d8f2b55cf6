"""One opened cell: its kind, its measures, and why it cannot be read."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from multimodal_tf.data.describe.cell_types import inspect_cell, rejection
from multimodal_tf.data.describe.kinds import LISTEN
from multimodal_tf.data.describe.sample import Cell


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("files")
    Image.new("L", (7, 5)).save(tmp_path / "a.png")
    Image.new("RGB", (70, 50)).save(tmp_path / "b.tif")
    soundfile.write(tmp_path / "a.wav", np.full(400, 0.5), 8_000)
    soundfile.write(tmp_path / "long.ogg", np.zeros(int(8_000 * (LISTEN + 9))), 8_000, format="OGG")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.jpg").mkdir()
    (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    return tmp_path


def test_an_image_and_an_audio_clip_are_measured(files):
    assert inspect_cell(3, "a.png", files) == Cell(
        3, "image", "a.png", opened=True, size=(7, 5), grey=True
    )
    assert inspect_cell(3, "b.tif", files) == Cell(3, "image", "b.tif", opened=True, size=(70, 50))
    assert inspect_cell(3, "a.wav", files) == Cell(
        3, "audio", "a.wav", opened=True, seconds=0.05, rate=8_000
    )
    assert inspect_cell(0, "long.ogg", files).seconds == LISTEN
    # no file stays in memory
    assert inspect_cell(0, (files / "a.png").read_bytes(), files).value is None


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (5, "number"),
        ("-1e3", "number"),
        (np.bool_(True), "number"),
        (decimal.Decimal("1.5"), "number"),
        ("1_000", "text"),
        ("an owl", "text"),
        # a folder exists, but the text does not name an image
        ("photos", "text"),
        ("a\0b", "text"),
        ("x" * 100_000, "text"),
        (["x", "y"], "list"),
        ([], "list"),
        ([1, 2, 3], "list"),
        ([[1, 2], [3]], "list"),
        ([[1, 2], [3, 4]], "image"),
        (np.zeros((4, 4, 3)), "image"),
        (np.zeros(4097), "audio"),
        (np.zeros(4096), "vector"),
        (np.zeros(8), "vector"),
        ("[1, 2, 3, 4, 5, 6, 7, 8]", "vector"),
        (np.zeros(7), "list"),
        (pd.Timestamp(2020, 1, 1), "date"),
        (datetime.date(2020, 1, 1), "date"),
        (np.datetime64("20000-01-01"), "date"),
        ("2020-01-01", "text"),
        ({"a": 1}, "other"),
        (b"\xff\xfe\xfd", "other"),
    ],
)
def test_kinds(cell, kind, files):
    assert inspect_cell(0, cell, files).kind == kind


def test_a_broken_file_is_of_its_kind(files):
    for cell in ("half.png", "photo.jpg", "gone.webp", "data:image/png;base64,AAAA"):
        found = inspect_cell(0, cell, files)
        assert (found.kind, bool(found.reason)) == ("image", True)
    for cell in ("gone.mp3", "data:audio/wav;base64,AAAA"):
        found = inspect_cell(0, cell, files)
        assert (found.kind, bool(found.reason)) == ("audio", True)


def test_a_given_kind_is_taken(files):
    assert inspect_cell(0, "a.png", files, "plain") == Cell(0, "text", "a.png")
    assert inspect_cell(0, "an owl", files, "image").reason == "no such file"
    assert inspect_cell(0, "a.png", files, "audio").kind == "audio"
    assert inspect_cell(0, "a.png", files, "audio").reason


def test_rejections(files):
    assert rejection(Cell(0, "number", "5"), "text", files) == ""
    assert rejection(Cell(0, "text", "five"), "number", files) == "not a number: 'five'"
    assert rejection(Cell(0, "text", "an owl"), "image", files) == "no such file"
    assert rejection(Cell(0, "image", "a.png", "broken"), "image", files) == "broken"
    # a text that happens to name an image
    assert rejection(Cell(0, "image", "a.png"), "text", files) == ""
    assert rejection(Cell(0, "image"), "number", files) == "image, not number"
    assert rejection(Cell(0, "number", np.bool_(True)), "boolean", files) == ""
    assert (
        rejection(Cell(0, "text", "perhaps"), "boolean", files)
        == "neither true nor false: 'perhaps'"
    )
    assert rejection(Cell(0, "text", "2023-02-30"), "date", files).startswith(
        "not a date in ISO 8601: '2023-02-30'"
    )
    assert rejection(
        inspect_cell(0, np.datetime64("20000-01-01"), files), "date", files
    ).startswith("not a date")
    assert rejection(inspect_cell(0, datetime.date(2020, 1, 1), files), "text", files) == ""
