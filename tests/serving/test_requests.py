"""Requests of every kind of input: no free axis but the batch, and the same cells as strings."""

import json

import numpy as np
import pytest
import small_fusions
import tensorflow as tf
from one_axis import check_axes
from random_rows import schema_of

from multimodal_tf.config import ClassificationHead, Config, MatchingHead, RegressionHead
from multimodal_tf.config.inputs import INPUTS
from multimodal_tf.data import requests
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.models.build import build_model, explanations
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Mahalanobis
from multimodal_tf.serving.export import export_model

# the graphs of media take seconds: `test_export` and `test_video_end_to_end` have them
CONFIG = Config(
    inputs={
        kind: one(**({"dim": 8} if kind == "vector" else {}))
        for kind, one in INPUTS.items()
        if not one.is_media
    },
    heads={
        "label": ClassificationHead(),
        "age": RegressionHead(),
        "match": MatchingHead(inputs=["number", "text"], dim=3),
    },
    fusion=small_fusions.FUSIONS["gated"],
    missing=["n/a"],
)
SCHEMA = schema_of(CONFIG)
ENDPOINTS = ("predict", "embed", "explain")
# what is not read as a number, a boolean or a vector, and why
UNREADABLE = {
    "number": ("12 kg", "not a number"),
    "boolean": ("perhaps", "neither true nor false"),
    "vector": ("[1, 2]", "not a list of 8 numbers"),
}


@pytest.fixture(scope="module")
def path(once):
    def make(folder):
        model = build_model(CONFIG, SCHEMA)
        width = model.get_layer("fused").output.shape[-1]
        guard = Guard(Mahalanobis(np.eye(width), np.zeros((1, width))), 9.0, 0.1)
        export_model(model, CONFIG, SCHEMA, folder / "1", explanations(model), guard)

    return once("requests", make) / "1"


@pytest.fixture(scope="module")
def signatures(path):
    return tf.saved_model.load(str(path)).signatures


@pytest.fixture(scope="module")
def cells():
    """A request of two rows: all cells, and none."""
    found = {}
    for name, one in CONFIG.inputs.items():
        example = kind_of(one).example(SCHEMA.inputs.get(name))
        missing = tf.constant("" if example.dtype == tf.string else float("nan"), example.dtype)
        found[name] = tf.stack([example, tf.fill(tf.shape(example), missing)])
    return requests.of_records(CONFIG, found)


def strings(cells):
    return {name: requests.to_strings(one, cells[name]) for name, one in CONFIG.inputs.items()}


def outputs(signature, cells):
    return {name: one.numpy() for name, one in signature(**cells).items()}


def test_no_axis_but_the_batch_is_free(signatures):
    names = {"serving_default", "core", *ENDPOINTS, *(f"{one}_json" for one in ENDPOINTS)}
    assert set(signatures) == names
    check_axes(signatures)
    for endpoint in ENDPOINTS:
        specs = signatures[f"{endpoint}_json"].structured_input_signature[1]
        assert specs.keys() == CONFIG.inputs.keys()
        assert all((one.dtype, one.shape.rank) == (tf.string, 1) for one in specs.values())


@pytest.mark.parametrize("kind", INPUTS)
def test_no_axis_of_any_kind_is_free(kind):
    one = INPUTS[kind](**({"dim": 8} if kind == "vector" else {}))
    assert requests.request_spec(one).shape.as_list() == [None, *([8] if kind == "vector" else [])]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_strings_give_the_same_and_json_can_hold_it(signatures, cells, endpoint):
    expected = outputs(signatures[endpoint], cells)
    found = outputs(signatures[f"{endpoint}_json"], strings(cells))
    assert expected.keys() == found.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=key)
        if values.dtype != object:
            json.dumps(values.tolist(), allow_nan=False)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_string_is_its_row_s_error(signatures, cells, name):
    text, reason = UNREADABLE[name]
    raw = strings(cells)
    raw[name] = tf.constant([text, text])
    found = outputs(signatures["predict_json"], raw)
    assert found["error"][0].decode() == f"{name}: {reason}"
    assert found["error"][1].decode() == f"{name}: {reason}; no input is present"
    assert found["valid"].tolist() == [False, False]
    assert found["review"].tolist() == [True, True]
    without = {key: value if key != name else tf.constant(["", ""]) for key, value in raw.items()}
    for key, values in outputs(signatures["predict_json"], without).items():
        if values.dtype != object and key not in ("valid", "review"):
            np.testing.assert_array_equal(found[key], values, err_msg=key)
    assert outputs(signatures["embed_json"], raw)["error"][0].decode() == f"{name}: {reason}"


def test_words_of_booleans_and_numbers_as_people_write_them(signatures, cells):
    raw = {name: tf.repeat(one[:1], 4) for name, one in strings(cells).items()}
    raw["boolean"] = tf.constant([" TRUE", "no", "1.0", "0"])
    raw["number"] = tf.constant(["+1e1", " 7.5 ", ".5", "n/a"])
    found = outputs(signatures["predict_json"], raw)
    assert found["valid"].all(), found["error"]
    assert found["present"][:, list(raw).index("number")].tolist() == [True, True, True, False]
    numbers = {name: tf.repeat(cells[name][:1], 4, axis=0) for name in cells} | {
        "boolean": tf.constant([1, 0, 1, 0], cells["boolean"].dtype),
        "number": tf.constant([10, 7.5, 0.5, np.nan], cells["number"].dtype),
    }
    np.testing.assert_array_equal(found["age"], outputs(signatures["predict"], numbers)["age"])
