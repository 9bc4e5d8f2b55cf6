"""Squared error and smoothed cross-entropy against NumPy and Keras."""

import keras
import numpy as np
import pytest

from multimodal_tf.losses import ScaledMeanSquaredError, SmoothedCrossentropy

TRUE, PREDICTED = (
    np.array([[1.0], [3.0], [5.0]], "float32"),
    np.array([[3.0], [3.0], [1.0]], "float32"),
)


def test_by_hand():
    loss = ScaledMeanSquaredError(4.0, reduction=None)
    np.testing.assert_allclose(loss(TRUE, PREDICTED), [1.0, 0.0, 4.0])


def test_one_value_a_row_which_keras_reduces():
    assert ScaledMeanSquaredError(4.0).call(TRUE, PREDICTED).shape == (3,)
    np.testing.assert_allclose(ScaledMeanSquaredError(4.0)(TRUE, PREDICTED), 5 / 3, rtol=1e-6)
    np.testing.assert_allclose(
        ScaledMeanSquaredError(4.0)(TRUE, PREDICTED, sample_weight=np.array([1.0, 0.5, 0.0])),
        1 / 3,
        rtol=1e-6,
    )


def test_the_mean_has_loss_one_and_variance_one_is_that_of_keras():
    labels = np.random.default_rng(0).normal(7, 3, (50, 1))
    np.testing.assert_allclose(
        ScaledMeanSquaredError(labels.var())(labels, np.full_like(labels, labels.mean())),
        1,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        ScaledMeanSquaredError(1.0)(TRUE, PREDICTED),
        keras.losses.MeanSquaredError()(TRUE, PREDICTED),
    )


def test_round_trip():
    copy = keras.losses.deserialize(
        keras.losses.serialize(ScaledMeanSquaredError(4.0, name="cost", reduction="sum"))
    )
    assert (copy.variance, copy.name, copy.reduction) == (4.0, "cost", "sum")


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_variance_is_refused(variance):
    with pytest.raises(
        ValueError, match=f"^`variance` must be a positive finite number, received {variance}$"
    ):
        ScaledMeanSquaredError(variance)


CLASSES, PROBABILITIES = (
    np.array([0, 2, 1]),
    np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]], "float32"),
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_smoothed_crossentropy_is_that_of_keras_for_one_hot_classes(smoothing):
    reference = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing, reduction=None)(
        np.eye(3)[CLASSES], PROBABILITIES
    )
    loss = SmoothedCrossentropy(smoothing)
    np.testing.assert_allclose(loss.call(CLASSES, PROBABILITIES), reference, rtol=1e-5)
    np.testing.assert_allclose(
        loss.call(CLASSES[:, np.newaxis], PROBABILITIES), reference, rtol=1e-5
    )


def test_smoothed_crossentropy_by_hand():
    by_hand = -(0.75 * np.log(0.7) + 0.25 * (np.log(0.7) + np.log(0.2) + np.log(0.1)) / 3)
    np.testing.assert_allclose(
        SmoothedCrossentropy(0.25)(CLASSES[:1], PROBABILITIES[:1]), by_hand, rtol=1e-5
    )


def test_without_smoothing_it_is_the_plain_crossentropy_and_weights_count():
    weights = np.array([1.0, 0.0, 2.0])
    plain = keras.losses.SparseCategoricalCrossentropy()(
        CLASSES, PROBABILITIES, sample_weight=weights
    )
    np.testing.assert_allclose(
        SmoothedCrossentropy(0.0)(CLASSES, PROBABILITIES, sample_weight=weights), plain, rtol=1e-5
    )


def test_smoothed_crossentropy_round_trip():
    copy = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.2)))
    assert copy.label_smoothing == 0.2


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_an_invalid_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match="^`label_smoothing` must be"):
        SmoothedCrossentropy(smoothing)
