"""Keras metrics are of their own head, whatever the batches and the missing labels."""

import contract
import keras
import numpy as np
import pytest
from all_heads import CONFIG, HEADS

from multimodal_tf.models import compile_arguments, heads


def predictions_and_targets(rows=11):
    random = np.random.default_rng(0)
    predictions = {
        "size": random.dirichlet([1, 1, 1], rows),
        "label": random.dirichlet([1, 1, 1], rows),
        "vector": random.normal(size=(rows, 4)),
        "cost": np.sort(random.normal(100, 10, (rows, 3)), axis=1),
        "age": random.normal(100, 10, (rows, 1)),
        "visits": random.normal(100, 10, (rows, 1)),
        "pair": random.normal(size=(rows, 2, 4)),
        "space": np.abs(random.normal(size=(rows, 2, 5))),
        "tags": random.random((rows, 3)),
        "order": random.integers(0, 2, (rows, 3)),
        "views": np.abs(random.normal(size=(rows, 2, 5))),
        "hidden": random.integers(0, 2, (rows, 3)),
        "tokens": random.normal(size=(rows, 2, 3)),
        # the last two: right tokens, and of how many
        "caption": np.concatenate(
            [random.normal(size=(rows, 2)), random.integers([[0, 3]], [[3, 6]], (rows, 2))], axis=1
        ),
        # loss, squared error and divergence, and whether any input is present
        "drawing": np.concatenate([random.random((rows, 3)), np.ones((rows, 1))], axis=1),
    }
    known = {name: (random.random(rows) < 0.6).astype("float32") for name in predictions} | {
        "pair": np.ones(rows, "float32"),
        "space": np.ones(rows, "float32"),
        "order": np.ones(rows, "float32"),
        "views": np.ones(rows, "float32"),
        "hidden": np.ones(rows, "float32"),
        "tokens": np.ones(rows, "float32"),
    }
    known["vector"] = np.zeros(rows, "float32")
    return (
        {name: prediction.astype("float32") for name, prediction in predictions.items()},
        contract.targets_of(CONFIG, rows),
        known,
    )


def metrics_by_hand(predictions, targets, known):
    def mean(values, name):
        return (values * known[name]).sum() / known[name].sum()

    cost = targets["cost"]
    return {
        "size_accuracy": mean(predictions["size"].argmax(axis=1) == targets["size"], "size"),
        "label_accuracy": mean(predictions["label"].argmax(axis=1) == targets["label"], "label"),
        "cost_mae": mean(np.abs(predictions["cost"][:, 1] - cost[:, 0]), "cost"),
        "cost_coverage": mean(
            (predictions["cost"][:, :1] <= cost)[:, 0] & (cost <= predictions["cost"][:, 2:])[:, 0],
            "cost",
        ),
        "age_mae": mean(np.abs(predictions["age"] - targets["age"])[:, 0], "age"),
        "visits_mae": mean(np.abs(predictions["visits"] - targets["visits"])[:, 0], "visits"),
        "tags_accuracy": mean(
            ((predictions["tags"] > 0.5) == targets["tags"]).mean(axis=1), "tags"
        ),
        "order_accuracy": (predictions["order"][:, 1:].prod(axis=1)).sum()
        / predictions["order"][:, 2].sum(),
        "hidden_score": (predictions["hidden"][:, 1:].prod(axis=1)).sum()
        / predictions["hidden"][:, 2].sum(),
        "caption_token_accuracy": (predictions["caption"][:, 2] * known["caption"]).sum()
        / (predictions["caption"][:, 3] * known["caption"]).sum(),
        "drawing_mse": mean(predictions["drawing"][:, 1], "drawing"),
        "drawing_kl": mean(predictions["drawing"][:, 2], "drawing"),
    }


@pytest.fixture(scope="module")
def model():
    """A compiled model that returns its inputs."""
    inputs = {
        name: keras.Input(prediction.shape[1:], name=f"{name}_in")
        for name, prediction in predictions_and_targets()[0].items()
    }
    model = keras.Model(
        {f"{name}_in": x for name, x in inputs.items()},
        {name: keras.layers.Identity(name=name)(x) for name, x in inputs.items()},
    )
    model.compile("sgd", **compile_arguments(CONFIG, contract.schema_of(CONFIG)))
    return model


@pytest.mark.parametrize("batch_size", [11, 4, 1])
def test_metrics_are_of_their_own_head_on_ragged_tails_too(model, batch_size):
    """11 rows in batches of 4; keras#22625 and #21675 gave a dict's metrics to other heads."""
    predictions, targets, known = predictions_and_targets()
    rows = {f"{name}_in": prediction for name, prediction in predictions.items()}
    found = model.evaluate(
        rows, targets, sample_weight=known, batch_size=batch_size, verbose=0, return_dict=True
    )
    expected = metrics_by_hand(predictions, targets, known)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert not any(name.startswith("vector") for name in found)


def test_the_accuracy_of_matching_by_hand():
    # own 3, -2, -; mismatched -1, -2
    vectors = np.array([[[1, 0], [3, -1]], [[0, 2], [-1, -1]], [[0, 0], [0, 0]]], "float32")
    metric = heads.metrics(HEADS["pair"])[0]
    metric.update_state(np.ones((3, 1)), vectors, np.ones(3))
    np.testing.assert_allclose(metric.result(), (1 + 0.5) / 2)
    # alone: its own pair only
    metric.update_state(np.ones((1, 1)), vectors[:1], np.ones(1))
    np.testing.assert_allclose(metric.result(), (1 + 0.5 + 1) / 3)
