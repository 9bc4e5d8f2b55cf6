"""All kinds of inputs without media and all kinds of heads: served, and predicted by the client."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from shop import ANIMALS, BAD_CELLS, DIM, HEADS, ROWS, SIZES, TEST, frame

from multimodal_tf.config.saved_model.files import load_temperatures
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.serving.predict_table import predict_table
from multimodal_tf.serving.skew import skew

INPUTS = ["title", "price", "colour", "sold", "day", "v"]


@pytest.fixture(scope="module")
def own(shop, shop_run):
    """What the trained model gives for the test rows, by head."""
    config, schema = shop_run.config, shop_run.schema
    batches = load_split(config, schema, shop / "records", "test", batch_size=TEST)
    predictions = shop_run.model(next(iter(batches))[0])
    return {name: np.asarray(prediction) for name, prediction in predictions.items()}


def test_served_predictions_are_the_models(shop, shop_client, shop_run, own):
    found = shop_client.predict(frame()[-TEST:])
    temperatures = load_temperatures(shop / "saved" / "1")
    # the export calibrates these, and none else
    assert set(temperatures) == {"label", "size"}
    for name in ("label", "size"):
        names = shop_run.schema.heads[name].names
        assert found[name].tolist() == [names[best] for best in own[name].argmax(axis=1)]
        powers = own[name].astype(float) ** (1 / temperatures[name])
        np.testing.assert_allclose(
            np.stack(found[f"{name}_probabilities"]),
            powers / powers.sum(axis=1, keepdims=True),
            rtol=1e-4,
            atol=1e-6,
        )
    assert (shop_client.served["visits"].dtype, shop_client.served["visits"].shape.rank) == (
        tf.float32,
        1,
    )
    np.testing.assert_allclose(found["visits"], own["visits"][:, 0], rtol=1e-4)
    np.testing.assert_allclose(np.stack(found["cost_quantiles"]), own["cost"], rtol=1e-4)
    for column, index in (("cost_low", 0), ("cost", 1), ("cost_high", 2)):
        np.testing.assert_allclose(found[column], own["cost"][:, index], rtol=1e-4)
    logits = (own["pair"][:, 0] * own["pair"][:, 1]).sum(axis=1)
    np.testing.assert_allclose(found["pair"], 1 / (1 + np.exp(-logits)), rtol=1e-4)
    vectors = np.stack(found["vector"])
    np.testing.assert_allclose(vectors, own["vector"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)


def test_there_is_no_skew(shop, shop_run):
    found = skew(
        shop_run.model, shop_run.config, shop_run.schema, shop / "records", shop / "saved" / "1"
    )
    assert set(found) == {*HEADS, "visits"}
    assert found["label"] < 1e-6
    assert max(found.values()) < 1e-3


def test_a_row_without_inputs_gets_the_prior(shop_client):
    found, heads = shop_client.predict([{}]).iloc[0], shop_client.schema.heads
    counts = np.array(heads["size"].counts)
    np.testing.assert_allclose(found["size_probabilities"], counts / counts.sum(), rtol=1e-5)
    cost = heads["cost"]
    np.testing.assert_allclose(found["cost_low"], cost.mean - 1.281552 * cost.std, rtol=1e-4)
    assert found["visits"] == pytest.approx(heads["visits"].mean, rel=1e-6)
    assert found["pair"] == 0.5
    assert not np.any(found["vector"])
    assert not found["valid"]


# The client


def test_one_row_in_two_spellings(shop_client):
    vector = [0.5, -1.0, 2.0, 0.0, 1e-3, 4.0, 1.0, -7.0]
    found = shop_client.predict(
        [
            {
                "price": 51.5,
                "colour": "red",
                "sold": True,
                "day": pd.Timestamp("2024-03-01"),
                "v": vector,
            },
            {
                "price": "51.50",
                "colour": " red",
                "sold": "Y",
                "day": "2024-03-01T02:00:00+02:00",
                "v": json.dumps(vector),
            },
        ]
    )
    assert found["valid"].all()
    assert found["present"].tolist() == ["price,colour,sold,day,v"] * 2
    for name in ("label_probabilities", "size_probabilities", "cost_quantiles", "vector"):
        np.testing.assert_allclose(*found[name], rtol=1e-5, atol=1e-6)


def test_broken_cells_of_each_kind(shop_client):
    found = shop_client.predict(
        [
            {"colour": "never seen", "day": "2024-02-30"},
            {"sold": "perhaps"},
            {"price": "heavy", "v": [1.0]},
        ]
    )
    assert not found["valid"].any()
    assert found["present"].tolist() == ["colour", "", ""]
    assert "day: not a date in ISO 8601" in found["error"][0]
    assert "sold: neither true nor false: 'perhaps'" in found["error"][1]
    assert "price: not a number" in found["error"][2]
    assert "v: a vector must have 8 finite numbers, received 1" in found["error"][2]


# A table of predictions


def test_predictions_are_right_and_broken_cells_are_reported(shop):
    found = pd.read_csv(shop / "predictions.csv", keep_default_na=False)
    table = pd.read_csv(shop / "table.csv")
    assert len(found) == ROWS
    told = table["label"].notna() & (table["title"].notna() | table["v"].notna())
    assert (found["label"] == table["label"])[told].mean() > 0.9
    assert set(found["label"]) == set(ANIMALS)
    assert found.index[~found["valid"]].tolist() == list(BAD_CELLS)
    for row, (column, _, reason) in BAD_CELLS.items():
        assert found["error"][row].startswith(f"{column}: {reason}")


def test_a_table_of_predictions_has_the_columns_of_every_head(shop):
    found = pd.read_csv(shop / "predictions.csv")
    assert list(found.columns) == [
        "row",
        *("label", "label_probability", *(f"label={name}" for name in ANIMALS)),
        "visits",
        *("size", "size_probability", *(f"size={name}" for name in SIZES)),
        *("cost", "cost_low", "cost_high", "cost_quantiles"),
        *("pair", "vector"),
        *("ood_score", "agreement", "compared", "review"),
        *("valid", "error", "present"),
    ]
    assert (found["visits"] > 0).all()
    assert len(json.loads(found["vector"][0])) > 1


def test_a_csv_table_and_a_parquet_table_have_the_same_predictions(shop, shop_client, tmp_path):
    frame().to_parquet(tmp_path / "table.parquet")
    tables = {"csv": shop / "table.csv", "parquet": tmp_path / "table.parquet"}
    for suffix, table in tables.items():
        predict_table(shop_client, read_table(table), tmp_path / f"from_{suffix}.parquet")
    found = pd.read_parquet(tmp_path / "from_csv.parquet")
    pd.testing.assert_frame_equal(found, pd.read_parquet(tmp_path / "from_parquet.parquet"))
    assert len(found) == ROWS
    assert len(found["cost_quantiles"][0]) == 3
    np.testing.assert_allclose(
        found["visits"], pd.read_csv(shop / "predictions.csv")["visits"], rtol=1e-4
    )


def test_new_rows_without_labels_are_predicted_to_parquet(shop, command, tmp_path):
    rows = [{"title": "bird old", "v": [0.0] * DIM}, {"title": "dog new", "v": [6.0] * DIM}]
    (tmp_path / "new.jsonl").write_text("\n".join(map(json.dumps, rows)))
    saved, out = shop / "saved" / "1", tmp_path / "new.parquet"
    assert command("predict", saved, tmp_path / "new.jsonl", "--out", out) == 0
    assert pd.read_parquet(out)["label"].tolist() == ["bird", "dog"]


# The signatures


@pytest.fixture(scope="module")
def raw():
    """Two rows for the signatures, the second without a good cell."""
    return {
        "title": tf.constant(["bird old", ""]),
        "price": tf.constant([51.5, np.nan], tf.float64),
        "colour": tf.constant(["red", ""]),
        "sold": tf.constant([1.0, 2.0]),
        "day": tf.constant(["2024-03-01", "2024-02-30"]),
        "v": tf.constant([[1.0] * DIM, [math.inf] * DIM], tf.float32),
    }


@pytest.fixture(scope="module")
def signatures(shop):
    return tf.saved_model.load(str(shop / "saved" / "1")).signatures


def test_a_served_row_is_that_of_the_client(signatures, shop_client, raw):
    serve = signatures["serving_default"]
    assert serve.structured_input_signature[1]["v"].shape.as_list() == [None, DIM]
    output = serve(**raw)
    row = {"title": "bird old", "price": 51.5, "colour": "red", "sold": 1, "day": "2024-03-01"}
    found = shop_client.predict([row | {"v": [1.0] * DIM}])
    np.testing.assert_allclose(
        output["label_probabilities"][0], found["label_probabilities"][0], rtol=1e-6
    )
    assert output["present"].numpy().tolist() == [[True] * 6, [False] * 6]
    assert output["error"].numpy()[1] == (
        b"sold: neither 0 nor 1; day: not a date in ISO 8601; v: not a vector of finite numbers; "
        b"no input is present"
    )
    empty = serve(**{name: cells[:0] for name, cells in raw.items()})
    assert empty["label_probabilities"].shape == (0, 3)


def test_a_vector_of_nan_is_missing(signatures, raw):
    output = signatures["serving_default"](**raw | {"v": tf.fill([2, DIM], math.nan)})
    assert not output["present"].numpy()[:, INPUTS.index("v")].any()
    assert output["valid"].numpy()[0]


def test_every_input_has_an_embedding_and_there_are_requests_to_warm_up(shop, signatures, raw):
    fused = {"fused_of_label", "fused_of_size", "fused"}
    assert set(signatures["embed"](**raw)) - fused == {*INPUTS, "error"}
    extra = shop / "saved" / "1" / "assets.extra"
    assert (extra / "tf_serving_warmup_requests").stat().st_size
