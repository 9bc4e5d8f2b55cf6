"""No served number is NaN or infinite: every head, every numeric kind, every endpoint."""

from typing import get_args

import numpy as np
import pytest
import small_fusions
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from random_rows import schema_of

from multimodal_tf.config import (
    BooleanInput,
    Config,
    DateInput,
    DenseTower,
    Head,
    NumberInput,
    VectorInput,
)
from multimodal_tf.data.codecs.cell import TOO_LARGE
from multimodal_tf.data.kinds.scaling import TOO_FAR
from multimodal_tf.models.build import build_model, explanations
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Mahalanobis
from multimodal_tf.serving import finite
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model

TOWER = DenseTower(dim=4)
# heads that only teach are not served; numbers have no tokens
HEADS = [
    one(inputs=["price", "numbers"]) if one.compares_inputs else one()
    for one in get_args(get_args(Head)[0])
    if one.served and not one.reads_tokens
]
CONFIG = Config(
    inputs={
        "price": NumberInput(tower=TOWER),
        "numbers": VectorInput(dim=8, tower=TOWER),
        "day": DateInput(tower=TOWER),
        "new": BooleanInput(tower=TOWER),
    },
    heads={head.type: head for head in HEADS},
    fusion=small_fusions.FUSIONS["gated"],
)
ENDPOINTS = ("predict", "embed", "explain", "core")
LARGEST = float(np.finfo(np.float32).max)
# floats that something overflows, divides or underflows at
HOSTILE = [
    0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e-30, 1.0, 5.0, 1e6, 1e11, 1e12, 1e13, -1e13, 1e18, 1.8e19,
    2e19, 1e30, 3e38, -3e38, LARGEST, -LARGEST, float("inf"), float("-inf"), float("nan"),
]  # fmt: skip
DAYS = ["", "0001-01-01", "9999-12-31T23:59:59Z", "2024-02-29", "10000-01-01", "nan", "1e300"]
NUMBER = st.sampled_from(HOSTILE) | st.floats(width=32)
ROWS = 4


def good_rows():
    return {
        "price": np.array([4.0, 5.0, 6.0, np.nan]),
        "numbers": np.random.default_rng(0).normal(5, 2, (ROWS, 8)).astype(np.float32),
        "day": np.array([b"2022-01-01", b"2023-05-06", b"", b"2021-12-24"], object),
        "new": np.array([1.0, 0.0, np.nan, 1.0], np.float32),
    }


def call(signature, rows):
    """The outputs as arrays, where all numbers must be finite."""
    outputs = {name: one.numpy() for name, one in signature(**rows).items()}
    for name, one in outputs.items():
        if one.dtype.kind == "f":
            assert np.isfinite(one).all(), (name, one)
    return outputs


@pytest.fixture(scope="module")
def folder(once):
    """A model whose weights are so large that its layers overflow for the largest inputs."""

    def make(folder):
        schema = schema_of(CONFIG)
        model = build_model(CONFIG, schema)
        generator = np.random.default_rng(0)
        for weight in model.trainable_variables:
            weight.assign_add(generator.normal(0, 30, weight.shape))
        width = model.get_layer("fused").output.shape[-1]
        guard = Guard(
            Mahalanobis(np.eye(width), np.zeros((1, width))), 9.0, agreement_threshold=0.1
        )
        export_model(
            model,
            CONFIG,
            schema,
            folder / "1",
            explanations(model),
            guard,
            {"classification": 0.01},
        )

    return once("hostile_numbers", make) / "1"


@pytest.fixture(scope="module")
def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


@settings(max_examples=40, deadline=None)
@given(
    price=NUMBER,
    numbers=st.lists(NUMBER, min_size=8, max_size=8) | NUMBER.map(lambda one: [one] * 8),
    day=st.sampled_from(DAYS),
    new=NUMBER,
)
def test_a_hostile_row_gets_finite_numbers_and_changes_no_other(
    signatures, price, numbers, day, new
):
    rows = good_rows()
    for name, cell in {"price": price, "numbers": numbers, "day": day.encode(), "new": new}.items():
        rows[name][2] = cell
    for endpoint in ENDPOINTS[:3]:
        outputs, clean = call(signatures[endpoint], rows), call(signatures[endpoint], good_rows())
        for name, one in outputs.items():
            np.testing.assert_array_equal(one[[0, 1, 3]], clean[name][[0, 1, 3]], err_msg=name)
    served = signatures["predict"](**rows)
    error = served["error"][2].numpy().decode()
    assert served["valid"][2] == (error == "")
    assert served["valid"][2] or served["review"][2]
    if np.isfinite(price) and abs(price - 5) > 2e12:
        assert f"price: {TOO_FAR if abs(price) <= 2**64 else TOO_LARGE}" in error
    if np.isinf(price):
        assert "price: not a finite number" in error


@settings(max_examples=20, deadline=None)
@given(st.lists(NUMBER, min_size=20, max_size=20))
def test_the_endpoint_of_tensors_gives_finite_numbers(signatures, values):
    specs = signatures["core"].structured_input_signature[1]
    rows = {}
    for name, spec in specs.items():
        one = np.resize(np.array(values, np.float32), [ROWS, *spec.shape[1:]])
        rows[name] = tf.constant(one if spec.dtype.is_floating else np.zeros(one.shape, np.int32))
    call(signatures["core"], rows)


def test_a_client_says_which_cell_it_is(folder):
    client = Client(folder)
    given = client.predict(
        [{"price": 3e38, "new": 1}, {"price": "1e39", "new": 1}, {"price": 7, "new": 1}]
    )
    assert given["error"].tolist() == [
        f"price: {TOO_LARGE}: 3e+38",
        "price: not a finite 32-bit number: '1e39'",
        "",
    ]
    assert given["present"].tolist() == ["new", "new", "price,new"]
    # the others are what they are without the cell, in as many rows: sums of floats depend on these
    without = client.predict([{"new": 1}, {"new": 1}, {"price": 7, "new": 1}])
    assert given["regression"].tolist() == without["regression"].tolist()


def test_a_model_with_broken_weights_is_not_exported(tmp_path):
    config = CONFIG.model_copy(update={"heads": {"regression": CONFIG.heads["regression"]}})
    model = build_model(config, schema_of(config))
    model.trainable_variables[1].assign(model.trainable_variables[1] * np.nan)
    with pytest.raises(ValueError, match=r"^the model's weights must be finite numbers: [^\n]*$"):
        export_model(model, config, schema_of(config), tmp_path / "1")
    assert not (tmp_path / "1").exists()


def test_what_replaces_a_row():
    outputs = {
        "a": tf.constant([[1.0, 2.0], [np.nan, 0.0], [np.inf, 1.0]]),
        "b": tf.zeros([3, 1, 2]),
    }
    others = {"a": np.array([[0.25, 0.75]], np.float32), "b": np.ones((1, 1, 2), np.float32)}
    kept, reasons = finite.replaced(outputs, others)
    assert kept["a"].numpy().tolist() == [[1.0, 2.0], [0.25, 0.75], [0.25, 0.75]]
    assert not kept["b"].numpy().any()
    status = {"error": tf.constant(["", "", "x: y"]), "valid": tf.constant([True, True, False])}
    found = finite.with_reasons(status, reasons)
    said = "a: the output is not finite"
    assert found["error"].numpy().tolist() == [b"", said.encode(), f"x: y; {said}".encode()]
    assert found["valid"].numpy().tolist() == [True, False, False]
    assert finite.replaced(outputs)[0]["a"].numpy().tolist()[1:] == [[0.0, 0.0]] * 2
