"""The guard of an exported model: served scores against NumPy, and guards that do not fit."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import small_model as case
import tensorflow as tf
from scipy import special

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    LSTMTower,
    NumberInput,
    RegressionHead,
    TextInput,
)
from multimodal_tf.config.saved_model import load_temperatures
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import ood
from multimodal_tf.evaluation.alignment import agreement
from multimodal_tf.models.build import build_model, embeddings
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Energy, Mahalanobis, MaximumSoftmax, NearestNeighbour
from multimodal_tf.scoring.presence import vectors_present
from multimodal_tf.scoring.temperature import tempered
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.guard import judge
from multimodal_tf.serving.predict_table import predict_table

GUARD_KEYS = {"ood_score", "agreement", "review"}


def tensors(raw):
    return {
        name: tf.constant(cells, tf.float32 if name == "price" else tf.string)
        for name, cells in raw.items()
    }


@pytest.fixture(scope="module")
def raw():
    """64 rows with missing cells; row 3 has only a broken image, row 5 has no cell."""
    rows = case.raw_rows(64)
    for row in (3, 5):
        for name, cells in rows.items():
            cells[row] = float("nan") if name == "price" else b""
    rows["photo"][3] = b"<html>"
    return rows


@pytest.fixture(scope="module")
def expected(raw, guarded):
    """Computed by NumPy from the model's own predictions and embeddings."""
    model, _, chosen = guarded
    preprocessor = Preprocessor(case.MATCHING, case.SCHEMA)
    features, errors = preprocessor.features(tensors(raw))
    inputs = preprocessor.model_inputs(features)
    predictions, vectors = (
        model.predict_on_batch(inputs),
        embeddings(model).predict_on_batch(inputs),
    )
    present = {name: features[f"{name}_present"].numpy() > 0 for name in case.MATCHING.inputs}
    pairs = {"match": ("photo", "title"), "heard": ("title", "sound")}
    cosines = [
        np.where(present[first] & present[second], agreement(predictions[head][:, :, :-1]), np.nan)
        for head, (first, second) in pairs.items()
    ]
    known = ~np.isnan(cosines)
    agreed = np.where(
        known.any(axis=0), np.nansum(cosines, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )
    ood_score = chosen.score(vectors["fused"])
    any_present = np.any(list(present.values()), axis=0)
    broken = errors.numpy() != b""
    # a temperature of 2
    roots = np.sqrt(predictions["label"]) / np.sqrt(predictions["label"]).sum(axis=1, keepdims=True)
    return {
        "ood_score": ood_score,
        "agreement": agreed,
        "review": ~any_present
        | broken
        | (ood_score > chosen.threshold)
        | (agreed < chosen.agreement_threshold),
        "label_probabilities": np.where(any_present[:, None], roots, predictions["label"]),
    }


@pytest.fixture(scope="module")
def serve(guarded):
    signature = tf.saved_model.load(str(guarded[1])).signatures["serving_default"]
    return lambda raw: {name: output.numpy() for name, output in signature(**tensors(raw)).items()}


# Served outputs


def test_another_process_with_tensorflow_alone_gives_what_numpy_gives(
    raw, expected, guarded, tmp_path
):
    np.savez(
        tmp_path / "raw.npz",
        **{
            name: np.array(cells, object if name != "price" else np.float32)
            for name, cells in raw.items()
        },
    )
    code = (
        "import numpy as np, tensorflow as tf\n"
        f"raw = np.load({str(tmp_path / 'raw.npz')!r}, allow_pickle=True)\n"
        f"serve = tf.saved_model.load({str(guarded[1])!r}).signatures['predict']\n"
        "dtypes = {name: 'float32' if name == 'price' else 'string' for name in raw}\n"
        "cells = {name: tf.constant(raw[name].tolist(), dtypes[name]) for name in raw}\n"
        "given = {name: output.numpy() for name, output in serve(**cells).items()}\n"
        f"np.savez({str(tmp_path / 'given.npz')!r}, **given)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    given = np.load(tmp_path / "given.npz", allow_pickle=True)
    for name, values in expected.items():
        assert given[name].dtype == (bool if name == "review" else np.float32)
        assert given[name].shape == values.shape
        np.testing.assert_allclose(given[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    # so that both were tried
    assert 0 < expected["review"].mean() < 1
    assert np.isnan(expected["agreement"]).any()


def test_a_row_without_any_input_is_always_for_review(tmp_path):
    config, schema = small()
    careless = Guard(MaximumSoftmax("label"), threshold=1e9)
    path = export_model(build_model(config, schema), config, schema, tmp_path / "1", guard=careless)
    served = tf.saved_model.load(str(path)).signatures["serving_default"](
        title=tf.constant(["red", "", ""]), price=[1.0, 2.0, np.nan]
    )
    assert served["review"].numpy().tolist() == [False, False, True]


def test_no_rows(serve):
    given = serve({name: cells[:0] for name, cells in case.raw_rows(1).items()})
    assert {name: given[name].shape for name in GUARD_KEYS} == dict.fromkeys(GUARD_KEYS, (0,))
    assert given["label_probabilities"].shape == (0, 3)


def test_a_row_does_not_depend_on_its_batch(serve, raw):
    whole, alone = serve(raw), serve({name: cells[7:8] for name, cells in raw.items()})
    for name in GUARD_KEYS:
        np.testing.assert_allclose(alone[name][0], whole[name][7], rtol=1e-4, atol=1e-5)


def test_predictions_and_embeddings_come_from_one_pass(exported, guarded):
    """No convolution and no recurrent loop is in the graph twice."""

    def heavy(path):
        graph = tf.saved_model.load(str(path)).signatures["serving_default"].graph.as_graph_def()
        nodes = [
            *graph.node,
            *(node for function in graph.library.function for node in function.node_def),
        ]
        return sum(node.op in ("Conv2D", "While", "StatelessWhile", "RFFT") for node in nodes)

    assert heavy(guarded[1]) == heavy(exported[1]) > 0


def test_without_guard_and_temperature_nothing_is_added(exported):
    path = exported[1]
    assert not GUARD_KEYS & set(
        tf.saved_model.load(str(path)).signatures["serving_default"].structured_outputs
    )
    assert sorted(os.listdir(path / "assets.extra")) == [
        "config.yaml",
        "schema.json",
        "tf_serving_warmup_requests",
    ]


def test_thresholds_and_temperatures_are_in_json_files(guarded):
    folder = guarded[1] / "assets.extra"
    result = json.loads((folder / "guard.json").read_text())
    assert result == {
        "score": "Mahalanobis",
        "embedding": "fused",
        "threshold": 40.0,
        "agreement_threshold": 0.1,
    }
    assert load_temperatures(folder.parent) == {"label": 2.0}


def test_half_precision_is_judged_in_float32(tmp_path):
    config, schema = small()
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
    raw = {"title": tf.constant(["red", "blue red", ""]), "price": tf.constant([1.0, 9.0, 4.0])}
    given = signatures["predict"](**raw)["ood_score"]
    assert given.dtype == tf.float32
    np.testing.assert_allclose(given, score(signatures["embed"](**raw)["fused"]), rtol=1e-2)


# The client


def test_the_client_shows_it_and_marks_unreadable_rows_for_review(exported, guarded, tmp_path):
    client = Client(guarded[1])
    rows = [
        {"title": "a red bird", "price": 1.0},
        {"title": "a red bird", "price": 1.0, "photo": "gone.png"},
    ]
    found = client.predict(rows)
    assert list(found.columns)[-6:] == [
        "ood_score",
        "agreement",
        "review",
        "valid",
        "error",
        "present",
    ]
    assert found["ood_score"][0] == found["ood_score"][1]
    assert found["agreement"].isna().all()
    assert found["review"][1]
    assert Client(exported[1]).guard_keys == ()
    assert list(client.predict([]).columns) == list(found.columns)
    for suffix in (".csv", ".parquet"):
        predict_table(client, read_table(pd.DataFrame(rows[:1])), tmp_path / f"out{suffix}")
    again = pd.read_parquet(tmp_path / "out.parquet")
    assert {name: str(again[name].dtype) for name in GUARD_KEYS} == {
        "ood_score": "float32",
        "agreement": "float32",
        "review": "bool",
    }
    assert list(pd.read_csv(tmp_path / "out.csv").columns) == list(again.columns)


# Formulas


@pytest.fixture(scope="module")
def vectors():
    generator = np.random.default_rng(1)
    return np.concatenate(
        [generator.normal(size=(40, 6)), np.zeros((1, 6)), 100 * generator.normal(size=(5, 6))]
    ).astype(np.float32)


def test_mahalanobis_in_a_graph_is_that_of_arrays(vectors):
    """Also where a direction hardly varies and is stretched by thousands."""
    train = np.random.default_rng(2).normal(size=(300, 6)) * [1, 1, 1, 1, 1e-3, 0] + [
        5,
        0,
        0,
        0,
        1,
        0,
    ]
    fitted = ood.fit_mahalanobis(train, np.arange(300) % 4)
    near = (train[:20] + 0.01).astype(np.float32)
    for tried in (vectors, near):
        np.testing.assert_allclose(
            fitted(tf.constant(tried)),
            fitted(tried),
            rtol=1e-5,
        )


def test_nearest_neighbour_in_a_graph_is_that_of_arrays(vectors):
    fitted = ood.fit_nearest_neighbour(np.random.default_rng(3).normal(size=(50, 6)), k=3)
    np.testing.assert_allclose(
        fitted(tf.constant(vectors)),
        fitted(vectors),
        rtol=1e-4,
        atol=1e-5,
    )


def test_energy_is_that_of_logits_of_mean_0():
    logits = np.random.default_rng(4).normal(0, 3, (20, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    centred = -special.logsumexp(logits - logits.mean(axis=1, keepdims=True), axis=1)
    np.testing.assert_allclose(
        Energy("label")(tf.constant(probabilities, tf.float32)), centred, rtol=1e-5
    )
    softmax = MaximumSoftmax("label")(tf.constant(probabilities, tf.float32))
    np.testing.assert_allclose(softmax, 1 - probabilities.max(axis=1), rtol=1e-5)


def test_which_rows_are_for_review():
    """By hand: thresholds 0.5 on 1 - the highest probability, 0 on the cosine; one row is NaN."""
    config = case.MATCHING
    right, wrong = [[2.0, 0, 0, 0, 1], [1.0, 0, 0, 0, 1]], [[2.0, 0, 0, 0, 1], [-1.0, 0, 0, 0, 1]]
    outputs = {
        "label": tf.constant([[0.9, 0.1, 0]] * 4 + [[0.4, 0.3, 0.3], [np.nan] * 3]),
        "match": tf.constant([right, wrong, wrong, right, right, right]),
        "heard": tf.zeros((6, 2, 4)),
    }
    photo_and_title, title = [True, True, False, False, False], [False, True, False, False, False]
    status = {
        "valid": tf.constant([True, True, True, False, True, True]),
        "present": tf.constant(
            [
                photo_and_title,
                photo_and_title,
                title,
                photo_and_title,
                photo_and_title,
                photo_and_title,
            ]
        ),
    }
    result = judge(
        Guard(MaximumSoftmax("label"), 0.5, agreement_threshold=0.0), outputs, {}, status, config
    )
    assert result["review"].numpy().tolist() == [False, True, False, True, True, True]
    assert result["agreement"].numpy().tolist()[:2] == [1.0, -1.0]
    assert np.isnan(result["agreement"][2])


def test_a_tower_over_columns_is_present_where_any_column_is():
    config = Config(
        inputs={"title": TextInput(), "price": NumberInput(), "size": NumberInput()},
        tabular={"type": "mlp"},
        heads={"label": ClassificationHead()},
    )
    present = tf.constant([[True, False, True], [True, False, False]])
    assert vectors_present(
        present, config.vector_columns(["tabular", "title"])
    ).numpy().tolist() == [
        [True, True],
        [False, True],
    ]


def test_a_temperature_keeps_the_order_of_classes_and_rows_without_inputs():
    predictions = tf.constant([[0.64, 0.32, 0.04], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    result = tempered(predictions, 2.0, tf.constant([True, False, True])).numpy()
    roots = np.sqrt([0.64, 0.32, 0.04])
    np.testing.assert_allclose(result[0], roots / roots.sum(), rtol=1e-5)
    assert result[1].tolist() == [0.5, 0.25, 0.25]
    np.testing.assert_allclose(result[2], [1, 0, 0], atol=1e-6)


# Errors


def small(**heads):
    """A small configuration of a text and a number, and its schema; its fused vector is 4 wide."""
    config = Config(
        inputs={
            "title": TextInput(max_tokens=3, tower=LSTMTower(embedding_dim=2, units=2)),
            "price": NumberInput(),
        },
        heads={"label": ClassificationHead()} | heads,
        fusion=ConcatenationFusion(hidden=[4]),
    )
    stats = {"title": Vocabulary(words=["red", "blue"]), "price": Moments(mean=5.0, std=2.0)}
    numbers = {name: Moments(mean=0.0, std=1.0) for name in heads}
    return config, Schema(
        rows=2, inputs=stats, heads={"label": Classes(names=["x", "y"], counts=[1, 1])} | numbers
    )


def of_width(width, embedding="fused"):
    return Mahalanobis(np.eye(width), np.zeros((1, width)), embedding)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guard": Guard(of_width(5), 1.0)}, "'fused' is 4 wide, received a score of width 5"),
        (
            {"guard": Guard(of_width(4, "fused_label"), 1.0)},
            r"one of the model's \['fused', 'price', 'title'\], received 'fused_label'",
        ),
        (
            {"guard": Guard(Energy("kind"), 1.0)},
            r"a head that chooses one class \['label'\], received 'kind'",
        ),
        (
            {"guard": Guard(MaximumSoftmax("age"), 1.0)},
            r"a head that chooses one class \['label'\], received 'age'",
        ),
        (
            {"guard": Guard(of_width(4), 1.0, agreement_threshold=0.5)},
            r"a head that compares two inputs, received label \(classification\), age \(regr",
        ),
        ({"temperature": {"age": 2.0}}, r"heads that choose one class \['label'\], received 'age'"),
        (
            {"temperature": {"label": 0.0}},
            "temperature.label must be a number above 0, received 0.0",
        ),
        ({"temperature": {"label": float("nan")}}, "must be a number above 0, received nan"),
    ],
)
def test_a_guard_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, given, message):
    config, schema = small(age=RegressionHead())
    with pytest.raises(ValueError, match=message):
        export_model(build_model(config, schema), config, schema, tmp_path / "1", **given)
    assert os.listdir(tmp_path) == []


def test_a_head_of_the_same_name_is_refused(tmp_path):
    config, schema = small(review=RegressionHead())
    with pytest.raises(ValueError, match="no head's key can have such a name, received 'review'"):
        export_model(
            build_model(config, schema),
            config,
            schema,
            tmp_path / "1",
            guard=Guard(of_width(4), 1.0),
        )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Guard(of_width(2), np.nan),
            "guard.threshold must be a finite number, received nan",
        ),
        (
            lambda: Guard(of_width(2), 1.0, np.inf),
            "guard.agreement_threshold must be a finite number, received inf",
        ),
        (
            lambda: Mahalanobis(np.eye(3), np.zeros((1, 2))),
            r"of the shape \(1, 3\), received float64 \(1, 2\)",
        ),
        (
            lambda: Mahalanobis(np.eye(3)[:2], np.zeros((1, 2))),
            r"whitening must be numbers of the shape \(2, 2\)",
        ),
        (
            lambda: Mahalanobis(np.full((2, 2), np.nan), np.zeros((1, 2))),
            "whitening must be finite numbers",
        ),
        (
            lambda: NearestNeighbour(np.eye(3), 4),
            "k must be from 1 to the 3 rows of the bank, received 4",
        ),
        (
            lambda: NearestNeighbour(2 * np.eye(3), 1),
            "rows of length 1 or 0, received lengths up to 2",
        ),
    ],
)
def test_arrays_and_thresholds_are_checked_when_a_guard_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()
