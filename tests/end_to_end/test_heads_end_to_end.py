"""Several heads at once, each on its own inputs, from a table to served predictions."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import small_table as case

from multimodal_tf.config import Config
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.schema import Schema
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.predict_table import predict_table
from multimodal_tf.serving.skew import skew
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

HEADS = {
    "size": {
        "type": "ordinal",
        "classes": ["small", "medium", "large"],
        "inputs": ["title", "price"],
    },
    "cost": {"type": "quantile", "quantiles": [0.1, 0.4, 0.9], "column": "age"},
    "label": {"type": "classification", "loss": "focal", "inputs": ["title"]},
    "pair": {"type": "matching", "inputs": ["title", "colour"], "dim": 4},
    "vector": {"type": "embedding"},
}
CONFIG = Config.model_validate(case.CONFIG.model_dump() | {"heads": HEADS})


def frame():
    table = case.frame()
    table["size"] = pd.cut(
        table["price"], [-np.inf, 8, 12, np.inf], labels=["small", "medium", "large"]
    ).astype(object)
    # a row without any label, from which matching learns
    table.loc[0, ["label", "size", "age"]] = None
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("heads")


@pytest.fixture(scope="module")
def schema(folder):
    return case.ingested(folder / "records", CONFIG, frame())


@pytest.fixture(scope="module")
def run(folder, schema):
    return fit(CONFIG, schema, folder / "records", folder / "run", verbose=0)


@pytest.fixture(scope="module")
def exported(folder, schema, run):
    return export_model(load_run(folder / "run").model, CONFIG, schema, folder / "small" / "1")


def test_statistics_of_the_labels(schema):
    assert schema.rows == 40, "the row without any label is kept"
    assert set(schema.heads) == {"size", "cost", "label"}
    assert schema.heads["size"].names == ["small", "medium", "large"]
    assert schema.heads["cost"].type == "moments"


def test_targets_of_every_head(folder, schema):
    inputs, targets, weights = next(
        iter(load_split(CONFIG, schema, folder / "records", "train", batch_size=40))
    )
    assert {name: target.shape.as_list() for name, target in targets.items()} == {
        "size": [40],
        "cost": [40, 1],
        "label": [40],
        "pair": [40, 1],
        "vector": [40, 1],
    }
    assert weights["pair"].numpy().all()
    assert not weights["vector"].numpy().any()


def test_metrics_of_every_head(folder, schema, run):
    found = evaluate(run.model, CONFIG, schema, folder / "records", resamples=20)
    assert {name: head.type for name, head in found.heads.items()} == {
        "size": "ordinal",
        "cost": "quantile",
        "label": "classification",
        "pair": "matching",
    }
    assert found.rows == 19
    for head in found.heads.values():
        assert all(
            metric.value is not None and metric.low <= metric.value <= metric.high
            for metric in head.metrics.values()
        )
    assert found.heads["cost"].missing > 0
    found.render()


def test_history_has_the_metrics_of_every_head(run):
    names = {
        "val_size_accuracy",
        "val_cost_mae",
        "val_cost_coverage",
        "val_label_accuracy",
        "val_pair_accuracy",
        "val_loss",
    }
    assert names <= set(run.history)
    assert not any("vector" in name for name in run.history)


def test_served_predictions_are_the_models(exported, folder, schema, run):
    client = Client(exported)
    rows = frame().query("split == 'test'").reset_index(drop=True)
    predictions = client.predict(rows)
    inputs = next(iter(load_split(CONFIG, schema, folder / "records", "test", batch_size=19)))[0]
    own = {name: np.asarray(prediction) for name, prediction in run.model(inputs).items()}
    assert predictions["size"].tolist() == [
        schema.heads["size"].names[best] for best in own["size"].argmax(axis=1)
    ]
    np.testing.assert_allclose(
        np.stack(predictions["size_probabilities"]), own["size"], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(np.stack(predictions["cost_quantiles"]), own["cost"], rtol=1e-4)
    for column, index in (("cost_low", 0), ("cost", 1), ("cost_high", 2)):
        np.testing.assert_allclose(predictions[column], own["cost"][:, index], rtol=1e-4)
    logits = (own["pair"][:, 0] * own["pair"][:, 1]).sum(axis=1)
    np.testing.assert_allclose(predictions["pair"], 1 / (1 + np.exp(-logits)), rtol=1e-4)
    np.testing.assert_allclose(np.stack(predictions["vector"]), own["vector"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(np.stack(predictions["vector"]), axis=1), 1, rtol=1e-4
    )


def test_there_is_no_skew(exported, folder, schema, run):
    found = skew(run.model, CONFIG, schema, folder / "records", exported)
    assert set(found) == set(HEADS)
    assert max(found.values()) < 1e-3


def test_a_row_without_inputs_gets_the_prior(exported, schema):
    prediction = Client(exported).predict([{}]).iloc[0]
    counts = np.array(schema.heads["size"].counts)
    np.testing.assert_allclose(prediction["size_probabilities"], counts / counts.sum(), rtol=1e-5)
    moments = schema.heads["cost"]
    np.testing.assert_allclose(
        prediction["cost_low"], moments.mean - 1.281552 * moments.std, rtol=1e-4
    )
    assert prediction["pair"] == 0.5
    assert not np.any(prediction["vector"])
    assert not prediction["valid"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_predictions(exported, tmp_path, ending):
    client = Client(exported)
    predict_table(client, read_table(frame()), tmp_path / f"out.{ending}")
    if ending == "parquet":
        found = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pandas()
        assert len(found["cost_quantiles"][0]) == 3
    else:
        found = pd.read_csv(tmp_path / "out.csv")
        assert len(json.loads(found["vector"][0])) > 1
    assert {
        "size",
        "size_probability",
        "size_probabilities",
        "cost",
        "cost_low",
        "cost_high",
        "pair",
        "vector",
    } <= set(found)
    assert len(found) == 70


def test_shards_serve_a_head_without_a_column_that_came_later(folder, schema):
    """A head that reads no column needs nothing that ingest would have had to write."""
    heads = {"label": HEADS["label"], "again": HEADS["pair"]}
    config = Config.model_validate(CONFIG.model_dump() | {"heads": heads})
    _, targets, _ = next(iter(load_split(config, schema, folder / "records", "test")))
    assert set(targets) == {"label", "again"}


# --- the order of classes


def learn(tmp_path, head, column):
    table = case.frame()
    table["grade"] = column(table)
    config = Config.model_validate(
        case.CONFIG.model_dump() | {"heads": {"grade": {"type": "ordinal"} | head}}
    )
    ingest(read_table(table), config, tmp_path, processes=1)
    return Schema.load(tmp_path / "schema.json").heads["grade"]


def test_numbers_are_in_their_own_order(tmp_path):
    assert learn(
        tmp_path, {}, lambda table: [("2", "10", "1")[row % 3] for row in table.index]
    ).names == ["1", "2", "10"]


def test_words_need_an_order(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^heads\.grade\.classes must give the order of classes that are not all numbers, "
        r"received \['b', ",
    ):
        learn(tmp_path, {}, lambda table: table["label"])


def test_every_class_must_be_in_the_order(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^heads\.grade\.classes must name every class of the training split, "
        r"received .* without 'd'$",
    ):
        learn(tmp_path, {"classes": ["c", "b"]}, lambda table: table["label"])


def test_a_class_without_rows_keeps_its_index_and_another_order_is_fitted_anew(tmp_path):
    stats = learn(tmp_path, {"classes": ["d", "e", "c", "b"]}, lambda table: table["label"])
    assert stats.names == ["d", "e", "c", "b"]
    assert stats.counts[1] == 0
    assert learn(tmp_path, {"classes": ["b", "c", "d"]}, lambda table: table["label"]).names == [
        "b",
        "c",
        "d",
    ]
