"""Numbers, categories, booleans and dates, from a table with gaps and errors to predictions."""

import functools
import pathlib
import tempfile

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from shards import write_shards

from multimodal_tf.config import (
    BooleanInput,
    ClassificationHead,
    Config,
    DateInput,
    FeatureTransformerTower,
    MLPTower,
    NumberInput,
)
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.models import build_model
from multimodal_tf.schema import Classes, Moments, Schema
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.skew import skew
from multimodal_tf.training.fit import fit

ROWS = 240
TOWERS = {
    "a layer each": None,
    "mlp": MLPTower(hidden=[16]),
    "transformer": FeatureTransformerTower(units=8, depth=1, heads=2, mlp_units=16),
}
TABULAR = ["weight", "colour", "sold", "day"]


def frame():
    """Rows whose label depends on the boolean and the weekday, with gaps and three wrong cells."""
    random = np.random.default_rng(0)
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 700, ROWS), "D")
    sold = random.random(ROWS) < 0.5
    table = pd.DataFrame(
        {
            "weight": random.normal(50, 5, ROWS).round(2).astype(str),
            "colour": random.choice(["red", "green", "blue"], ROWS),
            "sold": np.where(sold, "Yes", "no"),
            "day": days.strftime("%Y-%m-%d"),
            "label": np.where(sold & (days.dayofweek < 5), "work", "rest"),
        }
    )
    for column in TABULAR:
        table.loc[random.random(ROWS) < 1 / 6, column] = None
    for row, (column, value) in enumerate(
        [("weight", "heavy"), ("day", "2023-02-30"), ("day", "soon")]
    ):
        table.loc[row, column] = value
    return table


@functools.cache
def records():
    """`(description, folder of records)`, made once."""
    folder = tempfile.TemporaryDirectory()
    _kept.append(folder)
    table = read_table(frame())
    description = describe(table)
    ingest(table, description.config(), folder.name, processes=1)
    return description, pathlib.Path(folder.name)


_kept: list[tempfile.TemporaryDirectory] = []


def test_describe_ingest_and_fit_schema():
    description, directory = records()
    assert {column.name: column.type for column in description.columns} == {
        "weight": "number",
        "colour": "category",
        "sold": "boolean",
        "day": "date",
        "label": "classification",
    }
    assert [column.rejected for column in description.columns] == [1, 0, 0, 2, 0]
    rejected = pd.read_csv(directory / "rejected.csv")
    assert sorted(rejected["column"]) == ["day", "day", "weight"]
    assert rejected["reason"].str.startswith(("not a date in ISO 8601", "not a number")).all()
    stats = Schema.load(directory / "schema.json").inputs
    assert set(stats) == {"weight", "colour", "day"}
    assert abs(stats["day"].mean - (pd.Timestamp("2023-12-17") - pd.Timestamp(0)).days) < 60


@pytest.mark.slow
@pytest.mark.parametrize("tower", TOWERS)
def test_from_fit_to_client(tower, tmp_path):
    description, directory = records()
    settings = {
        "tabular": TOWERS[tower],
        "training": {"epochs": 12, "batch_size": 32, "learning_rate": 0.02},
    }
    config = Config.model_validate(
        description.config().model_dump()
        | settings
        | {"fusion": {"modality_dropout": 0.05, "dropout": 0.1}}
    )
    schema = Schema.load(directory / "schema.json")
    model = fit(config, schema, directory, tmp_path / "run", verbose=0).model
    report = evaluate(model.predict, config, schema, directory, resamples=20)
    # The larger class is 0.64 of the rows.
    assert report.heads["label"].metrics["accuracy"].value > 0.68
    path = export_model(model, config, schema, tmp_path / "shop" / "1")
    assert skew(model, config, schema, directory, path)["label"] < 1e-6
    predictions = Client(path).predict(
        [
            {"weight": 51.5, "colour": "red", "sold": True, "day": pd.Timestamp("2024-03-01")},
            {"weight": "51.50", "colour": " red", "sold": "Y", "day": "2024-03-01T02:00:00+02:00"},
            {"colour": "never seen", "day": "2024-02-30"},
            {"sold": "perhaps"},
        ]
    )
    assert predictions["valid"].tolist() == [True, True, False, False]
    np.testing.assert_allclose(*predictions["label_probabilities"][:2], rtol=1e-6)
    assert predictions["present"].tolist() == [
        "weight,colour,sold,day",
        "weight,colour,sold,day",
        "colour",
        "",
    ]
    assert "day: not a date in ISO 8601" in predictions["error"][2]
    assert "sold: neither true nor false: 'perhaps'" in predictions["error"][3]
    served = tf.saved_model.load(str(path)).signatures
    raw = {
        "weight": tf.constant([51.5, np.nan]),
        "colour": tf.constant(["red", ""]),
        "sold": tf.constant([1.0, 2.0]),
        "day": tf.constant(["2024-03-01", "2024-02-30"]),
    }
    output = served["serving_default"](**raw)
    np.testing.assert_allclose(
        output["label_probabilities"][0], predictions["label_probabilities"][0], rtol=1e-6
    )
    assert (
        output["error"].numpy()[1]
        == b"sold: neither 0 nor 1; day: not a date in ISO 8601; no input is present"
    )
    vectors = served["embed"](**raw)
    assert set(vectors) == {*(TABULAR if TOWERS[tower] is None else ["tabular"]), "fused", "error"}
    empty = served["serving_default"](**{name: cells[:0] for name, cells in raw.items()})
    assert empty["label_probabilities"].shape == (0, 2)
    assert (path / "assets.extra/tf_serving_warmup_requests").stat().st_size


SMALL = Config(
    inputs={"sold": BooleanInput(), "day": DateInput()}, heads={"label": ClassificationHead()}
)
SCHEMA = Schema(
    rows=3,
    inputs={"day": Moments(mean=19_000.6, std=2.0)},
    heads={"label": Classes(names=["a", "b"], counts=[1, 2])},
)


def test_features_of_booleans_and_dates():
    raw = {"sold": [1.0, 0.0, float("nan"), 0.5], "day": ["1970-01-02T00:01", "", " ", "soon"]}
    features, errors = Preprocessor(SMALL, SCHEMA).features(raw)
    assert features["sold"].numpy().tolist() == [1, 0, 0, 0]
    assert features["sold_present"].numpy().tolist() == [1, 1, 0, 0]
    # A missing value becomes the training mean.
    assert features["day"].numpy().tolist() == [[1, 60], [19_001, 0], [19_001, 0], [19_001, 0]]
    assert features["day"].dtype == tf.int32
    assert features["day_present"].numpy().tolist() == [1, 0, 0, 0]
    assert errors.numpy().tolist() == [
        b"",
        b"",
        b"",
        b"sold: neither 0 nor 1; day: not a date in ISO 8601",
    ]
    assert [kind_of(BooleanInput()).problem(value) for value in (1.0, float("nan"), 2.0)] == [
        "",
        "",
        "neither 0 nor 1",
    ]


def test_the_schema_must_hold_the_dates():
    with pytest.raises(ValueError, match=r"inputs\.day: the schema must hold moments"):
        Preprocessor(SMALL, SCHEMA.model_copy(update={"inputs": {}}))
    with pytest.raises(
        ValueError, match=r"inputs\.day: the schema must hold moments for a date, received nothing"
    ):
        build_model(SMALL, SCHEMA.model_copy(update={"inputs": {}}))


@pytest.mark.parametrize(
    ("days", "mean", "std"),
    [
        (["2024-05-17", "", "2024-05-18T12:00:00Z"], 19_860.75, 0.75),
        (["2024-05-17"] * 3, 19_860, 1),
        ([""] * 3, 0, 1),
    ],
)
def test_moments_of_dates(tmp_path, days, mean, std):
    config = Config(
        inputs={"day": DateInput(), "price": NumberInput()}, heads={"label": ClassificationHead()}
    )
    rows = [({"day": day.encode()}, {"label": label}) for day, label in zip(days, "aba")]
    assert fit_schema(config, write_shards(tmp_path, train=rows)).inputs["day"] == Moments(
        mean=mean, std=std, rows=sum(map(bool, days))
    )
