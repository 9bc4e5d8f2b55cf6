"""The names of classes that Hugging Face Datasets keeps in Parquet's metadata."""

import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table

NAMES = {"names": ["cat", "dog"], "_type": "ClassLabel"}


def table_of(tmp_path, features, **columns):
    text = features if isinstance(features, bytes) else json.dumps({"info": {"features": features}})
    rows = pa.table(columns).replace_schema_metadata({"huggingface": text})
    pa.parquet.write_table(rows, tmp_path / "a.parquet")
    return read_table(tmp_path / "a.parquet")


def test_integers_become_the_names_of_classes(tmp_path):
    features = {
        "label": NAMES,
        "tags": {"feature": NAMES, "_type": "List"},
        "old": [NAMES],
        "n": {"dtype": "int64", "_type": "Value"},
    }
    columns = {
        "label": pa.array([0, 1, None, -1, 2], pa.int64()),
        "tags": [[1, 0], [], None, [1], [5]],
        "old": [[1], [0], [], [1], [0]],
        "n": [0, 1, 2, 3, 4],
    }
    (chunk,) = read_table(table_of(tmp_path, features, **columns).name).chunks()
    # -1: no label
    assert chunk["label"].tolist()[:4] == ["cat", "dog", None, None]
    broken = BrokenCell("class 2, though the file names only 2 classes, from 0")
    assert chunk["label"][4] == broken
    assert chunk["tags"].tolist()[:4] == [["dog", "cat"], [], None, ["dog"]]
    assert isinstance(chunk["tags"][4], BrokenCell)
    assert chunk["old"].tolist()[:2] == [["dog"], ["cat"]]
    assert chunk["n"].tolist() == [0, 1, 2, 3, 4]


def test_described_by_their_names(tmp_path):
    titles = [f"some title {n}" for n in range(40)]
    found = describe(table_of(tmp_path, {"label": NAMES}, title=titles, label=[0, 1] * 20))
    (label,) = (column for column in found.columns if column.column == "label")
    assert (label.type, label.classes.commonest) == ("classification", "cat")


@pytest.mark.parametrize(
    "features",
    [
        b"no JSON",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        {"label": {"_type": "ClassLabel"}},
        {"label": {"_type": "ClassLabel", "names": [1, 2]}},
        {"label": [NAMES, NAMES]},
        {"label": None},
        {"other": NAMES},
        {},
    ],
)
def test_other_metadata_leave_the_integers(tmp_path, features):
    (chunk,) = table_of(tmp_path, features, label=[0, 1]).chunks()
    assert chunk["label"].tolist() == [0, 1]
