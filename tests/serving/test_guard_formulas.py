"""Scores, agreement and temperatures in a graph: the formulas of arrays, or worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from small_model import MATCHING

from multimodal_tf.config import ClassificationHead, Config, NumberInput, TextInput
from multimodal_tf.evaluation import ood
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Energy, MaximumSoftmax
from multimodal_tf.scoring.presence import vectors_present
from multimodal_tf.scoring.temperature import tempered
from multimodal_tf.serving.guard import judge


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
    right, wrong = [[2.0, 0, 0, 0, 1], [1.0, 0, 0, 0, 1]], [[2.0, 0, 0, 0, 1], [-1.0, 0, 0, 0, 1]]
    outputs = {
        "label": tf.constant([[0.9, 0.1, 0]] * 4 + [[0.4, 0.3, 0.3], [np.nan] * 3]),
        "match": tf.constant([right, wrong, wrong, right, right, right]),
        "tinted": tf.zeros((6, 2, 4)),
    }
    title_and_price, title = [True, True, False], [True, False, False]
    status = {
        "valid": tf.constant([True, True, True, False, True, True]),
        "present": tf.constant([title_and_price] * 2 + [title] + [title_and_price] * 3),
    }
    result = judge(
        Guard(MaximumSoftmax("label"), 0.5, agreement_threshold=0.0), outputs, {}, status, MATCHING
    )
    assert result["review"].numpy().tolist() == [False, True, False, True, True, True]
    # the third row has no pair, in which anything could disagree
    assert result["agreement"].numpy().tolist()[:3] == [1.0, -1.0, 1.0]
    assert result["compared"].numpy().tolist()[:3] == [True, True, False]


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
