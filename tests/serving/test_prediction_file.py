"""A file of predictions: a column a class, ids carried along, whole numbers as such."""

import pandas as pd
import pytest
from small_model import CONFIG, SCHEMA
from typer.testing import CliRunner

from multimodal_tf.cli import app
from multimodal_tf.config import ClassificationHead
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Classes
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.columns import of_whole_numbers
from multimodal_tf.serving.predict_table import predict_table

TABLE = pd.DataFrame(
    {"id": [7, None, 9], "code": ["007", "=1+1", None], "title": ["red", "a bird", "的"]}
)


@pytest.fixture(scope="module")
def client(exported):
    return Client(exported)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_are_carried_along(suffix, client, tmp_path):
    predict_table(client, read_table(TABLE), tmp_path / f"out.{suffix}", False, ["code", "id"])
    written = next(read_table(tmp_path / f"out.{suffix}").chunks())
    assert list(written.columns[:4]) == ["row", "code", "id", "label"]
    assert list(written["id"]) == ["7", None, "9"]
    # no spreadsheet runs it
    assert list(written["code"]) == ["007", "'=1+1" if suffix == "csv" else "=1+1", None]


def test_each_class_has_a_column_that_holds_its_probability(client, tmp_path):
    predict_table(client, read_table(TABLE), tmp_path / "out.parquet")
    written, given = pd.read_parquet(tmp_path / "out.parquet"), client.predict(TABLE)
    for head in ("label", "tags"):
        for at, name in enumerate(SCHEMA.heads[head].names):
            assert list(written[f"{head}={name}"]) == [
                p[at] for p in given[f"{head}_probabilities"]
            ]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (["idd"], "has no column 'idd': did you mean 'id'"),
        (["valid"], "keep: 'valid' is a column of"),
    ],
)
def test_columns_that_cannot_be_carried_are_refused(keep, message, client, tmp_path):
    with pytest.raises(ValueError, match=message):
        predict_table(client, read_table(TABLE.assign(valid=1)), tmp_path / "o.csv", keep=keep)
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("names", "whole"),
    [
        (["0", "1", "-2"], True),
        (["0", "1.5"], False),
        (["007", "1"], False),
        (["cat", "1"], False),
        ([str(2**63)], False),
        (["1_0"], False),
        (["१"], False),
    ],
)
def test_classes_that_are_whole_numbers(names, whole):
    schema = SCHEMA.model_copy(
        update={"heads": {"label": Classes(names=names, counts=[1] * len(names))}}
    )
    config = CONFIG.model_copy(update={"heads": {"label": ClassificationHead()}})
    assert of_whole_numbers(config, schema) == ({"label"} if whole else set())


def test_whole_numbers_come_back_as_such(client, tmp_path, monkeypatch):
    serve = client._serve

    def numbers(*args):
        served = serve(*args)
        served["label"][:] = b"3"
        return served

    monkeypatch.setattr(client, "_serve", numbers)
    monkeypatch.setattr(client, "whole_numbers", frozenset({"label"}))
    assert client.predict(TABLE)["label"].tolist() == [3, 3, 3]
    assert client.predict([])["label"].dtype == "int64"
    predict_table(client, read_table(TABLE), tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet")["label"].dtype == "int64"


def test_a_dict_is_one_row(client):
    row = {"title": "a red bird", "price": 3}
    pd.testing.assert_frame_equal(client.predict(row), client.predict([row]))


def test_the_command_carries_columns_along(exported, tmp_path):
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    paths = map(str, [exported, tmp_path / "t.csv", "--out", tmp_path / "out.csv"])
    done = CliRunner().invoke(app, ["predict", *paths, "--keep", "code", "--keep", "id"])
    assert done.exit_code == 0, done.output
    assert list(pd.read_csv(tmp_path / "out.csv"))[:3] == ["row", "code", "id"]
