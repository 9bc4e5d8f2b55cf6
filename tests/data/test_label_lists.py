"""Several labels in one cell: lists as people write them, and rows to which no label applies."""

import json

import numpy as np
import pandas as pd
import pytest

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    MultiLabelHead,
    VectorInput,
)
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.kinds.lists import list_of
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table

SEPARATOR = "\x1f"
NONE = SEPARATOR
RED = f"red{SEPARATOR}round"


@pytest.mark.parametrize(
    "cell",
    [
        '["red", "round"]',
        "['red', 'round']",
        "[ 'red' , \"round\", ]",
        "['red' 'round']",
        "['red'\n 'round']",
        "[np.str_('red'), np.str_('round')]",
        "['round', 'red', None, nan]",
        b'["red", "round"]',
        ["red", "round"],
        np.array(["red", "round"]),
        " round ; red;;",
    ],
)
def test_lists_in_any_writing_are_the_same_labels(cell):
    assert read_label(cell, MultiLabelHead()) == RED


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("[1, 2.0]", f"1{SEPARATOR}2"),
        ("[1. 2.]", f"1{SEPARATOR}2"),
        ("['it\\'s', \"a, b\"]", f"a, b{SEPARATOR}it's"),
        ('["[a]", "caf\\u00e9"]', f"[a]{SEPARATOR}café"),
        # two labels in brackets
        ("[Intro];[Outro]", f"[Intro]{SEPARATOR}[Outro]"),
        ("[red", "[red"),
        ("[]", NONE),
        (";", NONE),
        ([], NONE),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_labels_of_a_cell(cell, labels):
    assert read_label(cell, MultiLabelHead()) == labels
    # a missing cell alone depends on the head
    assert read_label(cell, MultiLabelHead(empty="none")) == (NONE if labels is None else labels)


@pytest.mark.parametrize("cell", ["[red, round]", "['red'", "['red', ...]", "['a'b]", "['\\x']"])
def test_broken_lists_are_refused(cell):
    cell = cell if cell.endswith("]") else cell + ", 'round]"
    with pytest.raises(CellError, match="^a list of labels is JSON, or as Python writes it, rec"):
        read_label(cell, MultiLabelHead())


def test_a_class_is_no_list():
    with pytest.raises(CellError, match="^a list, which a head of several labels reads, and no"):
        read_label("['red']", ClassificationHead())
    # an interval of pandas
    assert read_label("[0, 10]", ClassificationHead()) == "[0, 10]"
    assert read_label("[]", ClassificationHead()) == "[]"


def test_hostile_lists_end_soon():
    assert list_of("[" * 100_000 + "]" * 100_000) is None
    assert list_of("[" + "-" * 100_000 + "1]") is None
    assert list_of("[" + "9" * 100_000 + "]") is None
    assert list_of("['" + "\\" * 100_001 + "']") is None


@pytest.mark.parametrize("form", ["[{}]", "[ {} ]"])
def test_vectors_as_numpy_and_python_write_them(form):
    numbers = [0.5, 1.0, -2.0, 3.0, 4.0, 5.0, 6.0, 1e-7]
    for text in (str(np.array(numbers)), form.format(", ".join(map(str, numbers)))):
        assert read_cell(text, VectorInput(dim=8)) == np.float32(numbers).tolist()
    gaps = read_cell("[" + "nan, " * 7 + "None]", VectorInput(dim=8))
    assert gaps is None


def columns(tmp_path, tags):
    """The same table as CSV, JSON Lines, Parquet and DataFrame."""
    frame = pd.DataFrame({"colour": ["red", "blue"] * (len(tags) // 2), "tags": tags})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    return [frame, *(tmp_path / f"t.{suffix}" for suffix in ("csv", "jsonl", "parquet"))]


def test_the_same_labels_from_every_kind_of_table(tmp_path):
    tags = [["red", "round"], [], None, ["red"]] * 10
    frame, *files = columns(tmp_path, tags)
    files.append(tmp_path / "json.csv")
    texts = [None if one is None else json.dumps(one) for one in tags]
    frame.assign(tags=texts).to_csv(files[-1], index=False)
    for source in (frame, *files):
        table = read_table(source)
        found = describe(table).columns[1]
        assert (found.type, found.rejected, found.missing) == ("multi_label", 0, 10)
        # empty lists say that no label applies, so a missing cell says something else
        assert found.empty == "unknown"
        assert found.why.endswith(
            "; 10 cells are empty: not known (empty: none, if no label applies to them)"
        )
        chunk = next(table.chunks())["tags"]
        assert [read_label(cell, found.config()) for cell in chunk] == [
            RED,
            NONE,
            None,
            "red",
        ] * 10


def test_empty_cells_of_a_csv_say_that_no_label_applies(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("colour,tags\n" + "red,a;b\nblue,\ngreen,b\nred,a\n" * 10, encoding="utf-8")
    table = read_table(path)
    description = describe(table)
    tags = description.columns[1]
    assert tags.empty == "none"
    assert tags.why.endswith(
        "; 10 cells are empty: no label applies (empty: unknown leaves these rows out)"
    )
    assert (tags.classes.rows, tags.classes.without) == (40, 10)
    config = description.config()
    assert config.heads["tags"].empty == "none"
    assert Config.from_yaml(config.to_yaml()) == config
    assert ingest(table, config, tmp_path / "none", processes=1).kept == 40
    config.heads["tags"].empty = "unknown"
    assert ingest(table, config, tmp_path / "unknown", processes=1).kept == 30


def test_the_weight_of_rows_without_labels(tmp_path):
    frame = pd.DataFrame({"colour": ["red", "blue"] * 10, "tags": ["a;b", None] * 10})
    for empty, weight, rows in (("none", 1.0, 20), ("unknown", 1.0, 10)):
        config = Config(
            inputs={"colour": CategoryInput()},
            heads={"tags": MultiLabelHead(empty=empty)},
            split={"validation": 0, "test": 0},
        )
        ingest(read_table(frame), config, tmp_path / empty, processes=1)
        schema = fit_schema(config, tmp_path / empty)
        assert schema.heads["tags"].rows == rows
        batches = list(load_split(config, schema, tmp_path / empty, "train"))
        targets = np.concatenate([one[1]["tags"] for one in batches])
        weights = np.concatenate([one[2]["tags"] for one in batches])
        assert weights.tolist() == [weight] * rows
        assert targets.sum(axis=0).tolist() == [10, 10]


def test_a_second_head_leaves_empty_cells_unknown():
    frame = pd.DataFrame({"colour": ["red"] * 4, "tags": ["a;b", None, "a", "b"], "age": range(4)})
    found = describe(read_table(frame), label=["tags", "age"], types={"tags": "multi_label"})
    assert found.columns[1].empty == "unknown"
    assert "1 cells are empty: not known" in found.columns[1].why
