"""Ingest refuses a table of which too many cells cannot be read, and says what to do."""

import re

import numpy as np
import pandas as pd
import pytest
from media import random_image

from multimodal_tf.cli import app
from multimodal_tf.config import BagTower, ClassificationHead, Config, ImageInput, TextInput
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.ingest.unreadable import is_refused
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.kinds.path_hints import path_hint
from multimodal_tf.data.table import read_table

ROWS = 20
CONFIG = Config(
    inputs={
        "photo": ImageInput(height=8, width=8),
        "title": TextInput(max_tokens=4, tower=BagTower(embedding_dim=4)),
    },
    heads={"label": ClassificationHead()},
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("a.png", "My Photo.PNG", "été.png"):
        (folder / name).write_bytes(random_image())
    (folder / "Sub").mkdir()
    (folder / "Sub" / "b.png").write_bytes(random_image())
    return folder


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("https://example.org/a.png", "an address: download the file"),
        ("gs://bucket/a.png", "an address: download the file"),
        ("file:///data/a.png", "a file:// address: give the path alone"),
        (r"C:\data\a.png", "a path of Windows"),
        ("D:/data/a.png", "a path of Windows"),
        (r"data\a.png", "a path of Windows"),
        (r"\\server\share\a.png", "a path of Windows"),
        ("~/a.png", "~ is not expanded"),
        ("My%20Photo.PNG", "escaped as in an address: there is 'My Photo.PNG'"),
        ("%C3%A9t%C3%A9.png", "escaped as in an address: there is 'été.png'"),
        ("A.PNG", "small and capital letters differ: there is 'a.png'"),
        ("sub/B.png", "small and capital letters differ: there is 'Sub/b.png'"),
        ("a.png;b.png", "2 paths in one cell, of which there is 'a.png'"),
        ("a.png, Sub/b.png", "2 paths in one cell, of which there is 'a.png'"),
        ("a.png|c.png|d.png", "3 paths in one cell, of which there is 'a.png'"),
        ("gone.png", ""),
        ("gone%20.png", ""),
        ("gone.png;a.png", ""),
        ("sub/gone.png", ""),
        ("../a.png", ""),
        ("an owl; an oak", ""),
        ("", ""),
        (".", ""),
    ],
)
def test_a_path_says_what_is_wrong(name, hint, pictures):
    found = path_hint(name, pictures)
    assert found.startswith(hint)
    assert bool(found) == bool(hint)
    if name.strip("."):
        reason = re.escape(f"no such file: {hint}" if hint else "no such file")
        with pytest.raises(CellError, match=f"^{reason}"):
            read_cell(name, CONFIG.inputs["photo"], pictures)


def table_of(paths, root):
    titles = [f"owl {row}" for row in range(len(paths))]
    labels = ["x", "y"] * (len(paths) // 2) + ["x"] * (len(paths) % 2)
    return read_table(pd.DataFrame({"photo": paths, "title": titles, "label": labels}), root=root)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["images/a.png"] * ROWS,
            r"20 of 20 cells of the input 'photo' cannot be read, more than max_unreadable=0.2;"
            r" the first, row 0, tried as /.*/images/a.png: no such file \(--root, in Python",
        ),
        (["a.png"] * 8 + [r"C:\a.png"] * 12, r"12 of 20 .*, row 8, tried as .*a path of Windows"),
        (["https://h.org/1.png", "https://h.org/2.png", None], "2 of 2 .*an address: download"),
        ([b"\x00\x01"] * ROWS, "20 of 20 .*the first, row 0: not an image"),
    ],
)
def test_too_many_are_refused(paths, message, pictures, tmp_path):
    with pytest.raises(ValueError, match=message):
        ingest(table_of(paths, pictures), CONFIG, tmp_path / "r", processes=1)
    assert not (tmp_path / "r" / "manifest.json").exists()
    assert (tmp_path / "r" / "rejected.csv").read_text().count("photo") == sum(
        path not in ("a.png", None) for path in paths
    )


def test_texts_of_another_encoding_are_refused(tmp_path):
    titles, labels = ["café".encode("latin-1")] * 8, ["x", "y"] * 4
    table = read_table(pd.DataFrame({"title": titles, "label": labels}))
    config = CONFIG.model_copy(update={"inputs": {"title": CONFIG.inputs["title"]}})
    with pytest.raises(ValueError, match="8 of 8 cells of the input 'title'.*not UTF-8: byte 0xe9"):
        ingest(table, config, tmp_path / "r", processes=1)


def test_two_inputs_of_one_column_are_counted_apart(pictures, tmp_path):
    both = {"photo": CONFIG.inputs["photo"], "name": TextInput(max_tokens=4, column="photo")}
    config = CONFIG.model_copy(update={"inputs": both, "max_unreadable": 0.5})
    paths = ["a.png"] * 8 + ["gone.png"] * 12
    with pytest.raises(ValueError, match="12 of 20 cells of the input 'photo'.*row 8"):
        ingest(table_of(paths, pictures), config, tmp_path / "r", processes=1)


def test_few_broken_cells_are_listed_as_before(pictures, tmp_path):
    paths = ["a.png"] * 16 + ["gone.png"] * 4
    assert ingest(table_of(paths, pictures), CONFIG, tmp_path / "r", processes=1).rejected == 4


def test_the_share_is_a_field(pictures, tmp_path):
    paths = ["a.png"] * 5 + ["gone.png"] * 15
    strict = CONFIG.model_copy(update={"max_unreadable": 0.7})
    with pytest.raises(ValueError, match="15 of 20 .*max_unreadable=0.7"):
        ingest(table_of(paths, pictures), strict, tmp_path / "r", processes=1)
    # the shards are kept
    loose = CONFIG.model_copy(update={"max_unreadable": 0.8})
    assert ingest(table_of(paths, pictures), loose, tmp_path / "r", processes=1).rejected == 15
    with pytest.raises(ValueError, match="max_unreadable"):
        Config.model_validate(CONFIG.model_dump() | {"max_unreadable": 1.1})


@pytest.mark.parametrize(
    ("broken", "cells", "most", "refused"),
    [
        (0, 0, 0.2, False),
        (1, 1, 0.2, False),
        (2, 2, 0.2, True),
        (9, 20, 0.2, False),
        (10, 49, 0.2, True),
        (10, 50, 0.2, False),
        (20, 20, 1.0, False),
        (10, 1000, 0.0, True),
    ],
)
def test_how_many_are_too_many(broken, cells, most, refused):
    assert is_refused(broken, cells, most) is refused


def test_describe_shows_the_path_that_was_tried_and_warns(pictures):
    photo = describe(table_of(["images/a.png"] * ROWS, pictures)).columns[0]
    assert photo.rejections[0].reason == f"no such file ({pictures}/images/a.png)"
    assert "20 of 20 looked at cannot be read: ingest refuses more than 20 %" in photo.why


def test_describe_repeats_the_root(pictures, tmp_path):
    from typer.testing import CliRunner

    rows = np.array([["a.png", "x"], ["Sub/b.png", "y"]] * 4)
    pd.DataFrame(rows, columns=["photo", "label"]).to_csv(tmp_path / "t.csv", index=False)
    paths = [tmp_path / "t.csv", "--out", tmp_path / "c.yaml", "--root", pictures, "--no-presets"]
    done = CliRunner().invoke(app, ["describe", *map(str, paths)])
    assert done.exit_code == 0, done.output
    assert f"--out RECORDS --root {pictures}" in done.output
