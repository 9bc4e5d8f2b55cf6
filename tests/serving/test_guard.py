"""The guard of an exported model: what it serves, against NumPy, and what the client shows."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import small_model as small
import tensorflow as tf
from small_model import MATCHING, SCHEMA, raw_rows, served
from small_text_model import small_text

from multimodal_tf.config.saved_model.files import load_temperatures
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import ood
from multimodal_tf.evaluation.alignment import agreement
from multimodal_tf.models.build import build_model, embeddings
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import MaximumSoftmax
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.predict_table import predict_table

GUARD_KEYS = {"ood_score", "agreement", "compared", "review"}


@pytest.fixture(scope="module")
def expected(matching_rows):
    """Computed by NumPy from the model's own predictions and embeddings."""
    model, chosen = small.build(MATCHING), small.guard()
    preprocessor = Preprocessor(MATCHING, SCHEMA)
    features, errors = preprocessor.features(small.tensors(matching_rows))
    inputs = preprocessor.model_inputs(features)
    predictions, vectors = (
        model.predict_on_batch(inputs),
        embeddings(model).predict_on_batch(inputs),
    )
    present = {name: features[f"{name}_present"].numpy() > 0 for name in MATCHING.inputs}
    pairs = {"match": ("title", "price"), "tinted": ("price", "colour")}
    cosines = [
        np.where(present[first] & present[second], agreement(predictions[head][:, :, :-1]), np.nan)
        for head, (first, second) in pairs.items()
    ]
    known = ~np.isnan(cosines)
    # nothing disagrees where nothing is compared
    agreed = np.where(
        known.any(axis=0), np.nansum(cosines, axis=0) / np.maximum(known.sum(axis=0), 1), 1
    )
    ood_score = chosen.score(vectors["fused"])
    any_present = np.any(list(present.values()), axis=0)
    broken = errors.numpy() != b""
    # a temperature of 2
    roots = np.sqrt(predictions["label"]) / np.sqrt(predictions["label"]).sum(axis=1, keepdims=True)
    return {
        "ood_score": ood_score,
        "agreement": agreed,
        "compared": known.any(axis=0),
        "review": ~any_present
        | broken
        | (ood_score > chosen.threshold)
        | (agreed < chosen.agreement_threshold),
        "label_probabilities": np.where(any_present[:, None], roots, predictions["label"]),
    }


@pytest.fixture(scope="module")
def serve(signatures):
    return lambda raw: served(signatures["guarded"]["serving_default"], raw)


# Served outputs


@pytest.mark.slow
def test_another_process_with_tensorflow_alone_gives_what_numpy_gives(expected, serving_process):
    given = serving_process["guarded"]
    for name, values in expected.items():
        assert given[name].dtype == (bool if name in ("compared", "review") else np.float32)
        assert given[name].shape == values.shape
        np.testing.assert_allclose(given[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    # so that both were tried
    assert 0 < expected["review"].mean() < 1
    assert 0 < expected["compared"].mean() < 1


def test_a_row_without_any_input_is_always_for_review(tmp_path):
    config, schema = small_text()
    careless = Guard(MaximumSoftmax("label"), threshold=1e9)
    path = export_model(build_model(config, schema), config, schema, tmp_path / "1", guard=careless)
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    given = serve(title=tf.constant(["red", "", ""]), price=[1.0, 2.0, np.nan])
    assert given["review"].numpy().tolist() == [False, False, True]


def test_no_rows(serve):
    given = serve({name: cells[:0] for name, cells in raw_rows(1, MATCHING).items()})
    assert {name: given[name].shape for name in GUARD_KEYS} == dict.fromkeys(GUARD_KEYS, (0,))
    assert given["label_probabilities"].shape == (0, 3)


def test_a_row_does_not_depend_on_its_batch(serve, matching_rows):
    whole = serve(matching_rows)
    alone = serve({name: cells[7:8] for name, cells in matching_rows.items()})
    for name in GUARD_KEYS:
        np.testing.assert_allclose(alone[name][0], whole[name][7], rtol=1e-4, atol=1e-5)


def test_predictions_and_embeddings_come_from_one_pass(signatures):
    """No recurrent loop is in the graph twice."""

    def loops(signature):
        graph = signature.graph.as_graph_def()
        nodes = [
            *graph.node,
            *(node for function in graph.library.function for node in function.node_def),
        ]
        return sum(node.op in ("While", "StatelessWhile") for node in nodes)

    found = signatures["guarded"]
    assert loops(found["serving_default"]) == loops(found["embed"]) > 0


def test_thresholds_and_temperatures_are_in_json_files(guarded):
    result = json.loads((guarded / "assets.extra" / "guard.json").read_text())
    assert result == {
        "score": "Mahalanobis",
        "embedding": "fused",
        "threshold": 40.0,
        "agreement_threshold": 0.1,
    }
    assert load_temperatures(guarded) == {"label": 2.0}


def test_half_precision_is_judged_and_served_in_float32(tmp_path):
    config, schema = small_text()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(config, schema)
    finally:
        keras.config.set_dtype_policy("float32")
    score = ood.fit_mahalanobis(np.random.default_rng(0).normal(size=(50, 4)))
    chosen = Guard(score, threshold=5.0)
    signatures = tf.saved_model.load(
        str(export_model(model, config, schema, tmp_path / "1", guard=chosen))
    ).signatures
    raw = {
        "title": tf.constant(["red", "blue red", ""]),
        "price": tf.constant([1.0, 9.0, 4.0], tf.float64),
    }
    given = signatures["predict"](**raw)["ood_score"]
    assert given.dtype == tf.float32
    np.testing.assert_allclose(given, score(signatures["embed"](**raw)["fused"]), rtol=1e-2)
    outputs = {name: one.structured_outputs for name, one in signatures.items()}
    assert outputs["embed"]["fused"].dtype == tf.float32
    assert outputs["predict"]["label_probabilities"].dtype == tf.float32


# The client


def test_the_client_shows_it_and_marks_unreadable_rows_for_review(guarded, tmp_path):
    client = Client(guarded)
    rows = [
        {"title": "a red bird"},
        {"title": "a red bird", "colour": b"caf\xe9"},
    ]
    found = client.predict(rows)
    assert list(found.columns)[-7:] == [
        "ood_score",
        "agreement",
        "compared",
        "review",
        "valid",
        "error",
        "present",
    ]
    assert found["ood_score"][0] == pytest.approx(found["ood_score"][1], rel=1e-5)
    assert (found["agreement"] == 1).all()
    assert not found["compared"].any()
    assert found["review"][1]
    assert list(client.predict([]).columns) == list(found.columns)
    for suffix in (".csv", ".parquet"):
        predict_table(client, read_table(pd.DataFrame(rows[:1])), tmp_path / f"out{suffix}")
    again = pd.read_parquet(tmp_path / "out.parquet")
    assert {name: str(again[name].dtype) for name in GUARD_KEYS} == {
        "ood_score": "float32",
        "agreement": "float32",
        "compared": "bool",
        "review": "bool",
    }
    assert list(pd.read_csv(tmp_path / "out.csv").columns) == list(again.columns)
