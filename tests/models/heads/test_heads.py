"""Predictions, losses and metrics of each head, by hand where labels are missing."""

import contract
import keras
import numpy as np
import pytest

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DenseTower,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
)
from multimodal_tf.models import build_model, compile_arguments, heads
from multimodal_tf.schema import Classes, Moments, Schema

# in an order that is not the alphabet's, which is Keras' own
CONFIG = Config(
    inputs={"price": NumberInput(tower=DenseTower(dim=4))},
    heads={
        "zone": ClassificationHead(label_smoothing=0),
        "cost": RegressionHead(weight=0.5),
        "tags": MultiLabelHead(),
        "area": ClassificationHead(label_smoothing=0, weight=2),
    },
    fusion=ConcatenationFusion(dropout=0),
)
CLASSES = Classes(names=["a", "b", "c"], counts=[4, 3, 3])
STATS = {
    "zone": CLASSES,
    "cost": Moments(mean=100, std=10),
    "tags": Classes(names=["x", "y"], counts=[1, 1]),
    "area": CLASSES,
}
SCHEMA = Schema(rows=10, inputs={"price": Moments(mean=0, std=1)}, heads=STATS)

PREDICTIONS = {
    "zone": [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]],
    "cost": [[110.0], [100.0], [95.0], [1e6]],
    "tags": [[0.9, 0.2], [0.6, 0.6], [0.1, 0.1], [0.5, 0.5]],
    "area": [[0.5, 0.25, 0.25]] * 4,
}
TARGETS = {
    "zone": np.array([0, 0, 2, 0], "int32"),
    "cost": np.array([[100.0], [100.0], [105.0], [0.0]], "float32"),
    "tags": np.array([[1, 0], [1, 0], [0, 0], [0, 0]], "float32"),
    "area": np.array([1, 0, 0, 0], "int32"),
}
KNOWN = {
    "zone": np.array([1, 1, 1, 0], "float32"),
    "cost": np.array([1, 0, 1, 0], "float32"),
    "tags": np.array([1, 1, 0, 0], "float32"),
    "area": np.array([0, 0, 0, 1], "float32"),
}


def frozen(schema):
    """A compiled model that returns its inputs."""
    inputs = {
        f"{name}_in": keras.Input((len(prediction[0]),), name=f"{name}_in")
        for name, prediction in PREDICTIONS.items()
    }
    model = keras.Model(
        inputs,
        {name: keras.layers.Identity(name=name)(inputs[f"{name}_in"]) for name in PREDICTIONS},
    )
    model.compile("sgd", **compile_arguments(CONFIG, schema))
    return model


@pytest.fixture(scope="module")
def model():
    return frozen(SCHEMA)


def evaluate(model, batch_size, predictions=PREDICTIONS):
    inputs = {f"{name}_in": np.array(rows, "float32") for name, rows in predictions.items()}
    return model.evaluate(
        inputs, TARGETS, sample_weight=KNOWN, batch_size=batch_size, verbose=0, return_dict=True
    )


@pytest.mark.parametrize("batch_size", [4, 3, 1])
def test_metrics_of_each_head_count_its_own_labelled_rows(model, batch_size):
    found = evaluate(model, batch_size)
    expected = {
        "zone_accuracy": 2 / 3,
        "cost_mae": 10.0,
        "tags_accuracy": 3 / 4,
        "area_accuracy": 1.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


LOSSES = {
    "zone_loss": (np.log(2) + np.log(4) + np.log(2)) / 4,
    "cost_loss": (1.0 + 1.0) / 4,
    "tags_loss": -(np.log(0.9) + np.log(0.8) + np.log(0.6) + np.log(0.4)) / 2 / 4,
    "area_loss": np.log(2) / 4,
}
TOTAL = (
    LOSSES["zone_loss"] + 0.5 * LOSSES["cost_loss"] + LOSSES["tags_loss"] + 2 * LOSSES["area_loss"]
)


def test_losses_of_each_head_by_hand(model):
    found = evaluate(model, 4)
    assert {name: found[name] for name in LOSSES} == pytest.approx(LOSSES, rel=1e-5)
    assert found["loss"] == pytest.approx(TOTAL, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_total_does_not_depend_on_the_batches(model, batch_size):
    assert evaluate(model, batch_size)["loss"] == pytest.approx(TOTAL, rel=1e-5)


def test_the_prediction_of_an_unlabelled_row_does_not_count(model):
    wild = {
        name: [
            row if known else (np.array(row)[::-1] * 0.5).tolist()
            for row, known in zip(PREDICTIONS[name], KNOWN[name])
        ]
        for name in PREDICTIONS
    }
    assert wild != PREDICTIONS
    assert evaluate(model, 4, wild) == pytest.approx(evaluate(model, 4))


def test_the_loss_weight_corrects_the_share_of_labelled_training_rows():
    stats = STATS | {
        "zone": CLASSES.model_copy(update={"rows": 5}),
        "cost": Moments(mean=100, std=10, rows=2),
    }
    schema = SCHEMA.model_copy(update={"heads": stats})
    assert compile_arguments(CONFIG, schema)["loss_weights"] == {
        "zone": 2.0,
        "cost": 2.5,
        "tags": 1.0,
        "area": 2.0,
    }
    assert evaluate(frozen(schema), 4)["loss"] == pytest.approx(
        TOTAL + LOSSES["zone_loss"] + 2 * LOSSES["cost_loss"], rel=1e-5
    )


def test_no_labelled_training_row_at_all_is_no_division_by_zero():
    assert (
        heads.loss_weight(
            ClassificationHead(label_smoothing=0), CLASSES.model_copy(update={"rows": 0}), 10
        )
        == 1.0
    )


def test_shapes_and_ranges_of_predictions():
    model = build_model(CONFIG, SCHEMA)
    predictions = model(contract.rows_of(CONFIG, 5))
    np.testing.assert_allclose(np.sum(predictions["zone"], axis=1), 1, rtol=1e-5)
    assert ((predictions["tags"] > 0) & (predictions["tags"] < 1)).numpy().all()
    assert {name: prediction.shape for name, prediction in predictions.items()} == {
        "zone": (5, 3),
        "cost": (5, 1),
        "tags": (5, 2),
        "area": (5, 3),
    }


def test_a_regression_predicts_in_its_own_unit():
    model = build_model(CONFIG, SCHEMA)
    normalised = keras.Model(model.input, model.get_layer("cost_normalised").output)
    rows = contract.rows_of(CONFIG, 5)
    np.testing.assert_allclose(model(rows)["cost"], normalised(rows) * 10 + 100, rtol=1e-6)


def test_a_confidently_wrong_prediction_keeps_its_gradient():
    """Cross-entropy is computed from the logits, not from a probability clipped at 1e-7."""
    config = Config(inputs=CONFIG.inputs, heads={"zone": ClassificationHead(label_smoothing=0)})
    model = build_model(config, SCHEMA)
    model.compile(keras.optimizers.SGD(1.0), **compile_arguments(config, SCHEMA))
    bias = model.get_layer("zone").bias
    bias.assign([100.0, 0.0, 0.0])
    model.train_on_batch(contract.rows_of(config, 2), {"zone": np.array([1, 1], "int32")})
    np.testing.assert_allclose(bias, [99.0, 1.0, 0.0], atol=1e-3)
