"""Numbers, categories, booleans and dates, a layer each or in one tower, from fit to the client."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    Config,
    FeatureTransformerTower,
    MLPTower,
)
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.schema import Schema
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


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """`(configuration, folder of records)`, described and ingested once."""
    folder, table = tmp_path_factory.mktemp("tabular"), read_table(frame())
    config = describe(table).config()
    ingest(table, config, folder, processes=1)
    return config, folder


@pytest.mark.slow
@pytest.mark.parametrize("tower", TOWERS)
def test_from_fit_to_client(tower, records, tmp_path):
    described, directory = records
    settings = {
        "tabular": TOWERS[tower],
        "training": {"epochs": 12, "batch_size": 32, "learning_rate": 0.02},
    }
    config = Config.model_validate(
        described.model_dump() | settings | {"fusion": {"modality_dropout": 0.05, "dropout": 0.1}}
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
        "weight": tf.constant([51.5, np.nan], tf.float64),
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
