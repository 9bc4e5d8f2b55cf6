"""A row without any input gets the prior of the training labels, and no gradient."""

import contract
import keras
import numpy as np
import pytest
from all_heads import CONFIG, HEADS

from multimodal_tf.config import ClassificationHead, MultiLabelHead
from multimodal_tf.models import build_model, compile_arguments, heads
from multimodal_tf.schema import Classes, Moments

CLASSES = Classes(names=["a", "b", "c"], counts=[5, 3, 2])
MOMENTS = Moments(mean=100.0, std=10.0)
EXPECTED = {
    "size": [0.5, 0.3, 0.2],
    "label": [0.5, 0.3, 0.2],
    "cost": [100 - 16.44854, 100, 100 + 16.44854],
    "age": [100],
    "visits": [100],
    "tags": [0.5, 0.3, 0.2],
    "vector": [0] * 6,
    "pair": [[0] * 4] * 2,
    "space": [[0] * 5] * 2,
}


@pytest.fixture
def schema():
    schema = contract.schema_of(CONFIG)
    for name in ("size", "label", "tags"):
        schema.heads[name] = CLASSES
    return schema


def test_a_row_without_inputs_gets_the_prior(schema):
    model = build_model(CONFIG, schema)
    for weight in model.trainable_weights:
        weight.assign_add(np.random.default_rng(0).normal(size=weight.shape))
    rows = contract.rows_of(CONFIG, 3)
    some = model(contract.without(rows, "price", np.array([False, True, True])))
    for name in CONFIG.inputs:
        rows = contract.without(rows, name, np.array([False, True, False]))
    predictions = {name: prediction.numpy() for name, prediction in model(rows).items()}
    for name, expected in EXPECTED.items():
        np.testing.assert_allclose(predictions[name][1], expected, rtol=1e-5, err_msg=name)
        # which needs both
        if name != "pair":
            assert not np.allclose(some[name][1], expected), "one input is enough"
        assert np.isfinite(predictions[name]).all()


def test_rows_without_inputs_have_no_gradient(schema):
    model = build_model(CONFIG, schema)
    model.compile("sgd", **compile_arguments(CONFIG, schema))
    rows = contract.rows_of(CONFIG, 3)
    for name in CONFIG.inputs:
        rows = contract.without(rows, name, np.ones(3, bool))
    found = contract.gradients(model, CONFIG, rows, model.trainable_weights)
    assert not any(gradient.any() for gradient in found)


def test_a_combined_prediction_gets_its_prior():
    stats = {
        "size": CLASSES,
        "label": CLASSES,
        "tags": CLASSES,
        "cost": MOMENTS,
        "age": MOMENTS,
        "visits": MOMENTS,
        "vector": None,
    }
    for name, one in stats.items():
        prediction = keras.Input((len(EXPECTED[name]),), name="prediction")
        any_present = keras.Input((), name="any_present")
        model = keras.Model(
            [prediction, any_present],
            heads.with_prior(HEADS[name], one, prediction, any_present, name),
        )
        found = model([np.full((2, len(EXPECTED[name])), 7.0), np.array([1.0, 0.0])])
        np.testing.assert_allclose(found, [[7.0] * len(EXPECTED[name]), EXPECTED[name]], rtol=1e-5)


def test_a_class_without_rows_still_has_a_finite_prior():
    prediction = heads.prior(MultiLabelHead(), Classes(names=["x", "y"], counts=[0, 4], rows=4))
    assert prediction == [0.125, 0.875]
    assert heads.prior(
        ClassificationHead(), Classes(names=["x", "y"], counts=[0, 4])
    ) == pytest.approx([1 / 9, 8 / 9])
