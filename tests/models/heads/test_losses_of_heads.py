"""Focal, cumulative link, pinball and matching losses against NumPy and Keras."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.losses import (
    CumulativeLinkLoss,
    FocalCrossentropy,
    MatchingLoss,
    PinballLoss,
    PoissonLoss,
    SmoothedCrossentropy,
)

CLASSES, PROBABILITIES = (
    np.array([0, 2, 1]),
    np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]], "float32"),
)
LOSSES = {
    "focal": FocalCrossentropy(1.5, 0.1),
    "ordinal": CumulativeLinkLoss(),
    "pinball": PinballLoss([0.1, 0.9], 2.0),
    "count": PoissonLoss(2.0),
    "matching": MatchingLoss(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_round_trip(loss):
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()


# --- focal


def test_focal_without_gamma_is_the_crossentropy():
    for smoothing in (0.0, 0.2):
        expected = SmoothedCrossentropy(smoothing).call(CLASSES, PROBABILITIES)
        np.testing.assert_allclose(
            FocalCrossentropy(0.0, smoothing).call(CLASSES, PROBABILITIES), expected, rtol=1e-5
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focal_is_that_of_keras_for_one_hot_classes(smoothing):
    keras_own = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=2.0, label_smoothing=smoothing, reduction=None
    )
    expected = keras_own(np.eye(3)[CLASSES], PROBABILITIES)
    np.testing.assert_allclose(
        FocalCrossentropy(2.0, smoothing).call(CLASSES[:, np.newaxis], PROBABILITIES),
        expected,
        rtol=1e-5,
    )


def test_focal_by_hand():
    np.testing.assert_allclose(
        FocalCrossentropy(2.0).call(CLASSES[:1], PROBABILITIES[:1]),
        -(0.3**2) * np.log(0.7),
        rtol=1e-5,
    )


@pytest.mark.parametrize("gamma", [-1.0, float("nan"), float("inf")])
def test_an_invalid_gamma_is_refused(gamma):
    with pytest.raises(
        ValueError, match=f"^`gamma` must be 0 or more and finite, received {gamma}$"
    ):
        FocalCrossentropy(gamma)


# --- cumulative link


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31))
def test_cumulative_link_is_its_formula(classes, seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), 4)
    truth = random.integers(0, classes, 4)
    above = 1 - np.cumsum(probabilities, axis=1)[:, :-1]
    marks = truth[:, None] > np.arange(classes - 1)
    expected = -np.sum(np.where(marks, np.log(above), np.log(1 - above)), axis=1)
    np.testing.assert_allclose(
        CumulativeLinkLoss().call(truth, probabilities.astype("float32")),
        expected,
        rtol=1e-3,
        atol=1e-5,
    )


def test_cumulative_link_of_two_classes_is_the_crossentropy():
    probabilities = np.array([[0.7, 0.3], [0.2, 0.8]], "float32")
    expected = SmoothedCrossentropy(0.0).call([0, 0], probabilities)
    np.testing.assert_allclose(
        CumulativeLinkLoss().call(np.array([0, 0]), probabilities), expected, rtol=1e-5
    )


def test_a_mistake_by_two_steps_costs_more():
    sure = np.eye(3, dtype="float32")[[0, 1, 2]] * 0.94 + 0.02
    loss = CumulativeLinkLoss().call(np.array([0, 0, 0]), sure).numpy()
    assert loss[0] < loss[1] < loss[2]


# --- pinball


def test_pinball_is_least_at_the_quantile():
    labels = np.random.default_rng(0).normal(size=(2001, 1)).astype("float32")
    candidates = np.linspace(-2, 2, 81)
    for level in (0.1, 0.5, 0.9):
        loss = PinballLoss([level], 1.0)
        means = [float(np.mean(loss.call(labels, np.full_like(labels, one)))) for one in candidates]
        assert candidates[np.argmin(means)] == pytest.approx(np.quantile(labels, level), abs=0.06)


def test_pinball_by_hand():
    loss = PinballLoss([0.2, 0.8], 10.0).call(
        np.array([[5.0], [5.0]], "float32"), np.array([[0.0, 10.0], [15.0, 15.0]], "float32")
    )
    np.testing.assert_allclose(
        loss, [(0.2 * 5 + 0.2 * 5) / 20, (0.8 * 10 + 0.2 * 10) / 20], rtol=1e-6
    )


@pytest.mark.parametrize("levels", [[], [0.0, 0.5], [0.5, 1.0]])
def test_invalid_levels_are_refused(levels):
    with pytest.raises(ValueError, match="^`levels` must be between 0 and 1, received"):
        PinballLoss(levels, 1.0)


def test_an_invalid_std_is_refused():
    with pytest.raises(
        ValueError, match=r"^`std` must be a positive finite number, received 0\.0$"
    ):
        PinballLoss([0.5], 0.0)


# --- matching


def softplus(x):
    return np.logaddexp(0, x)


def test_matching_by_hand():
    """Three rows, the last without its second: the first two are each other's mismatched pair."""
    first, second = (
        np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]),
        np.array([[3.0, -1.0], [1.0, 1.0], [0.0, 0.0]]),
    )
    vectors = np.stack([first, second], axis=1).astype("float32")
    expected = [(softplus(-3) + softplus(1)) / 2, (softplus(-2) + softplus(-2)) / 2, 0]
    np.testing.assert_allclose(MatchingLoss().call(np.ones((3, 1)), vectors), expected, rtol=1e-5)


def test_matching_of_one_row_alone_has_no_mismatched_pair():
    vectors = np.array([[[1.0, 0.0], [2.0, 0.0]]], "float32")
    np.testing.assert_allclose(
        MatchingLoss().call(np.ones((1, 1)), vectors), [softplus(-2) / 2], rtol=1e-5
    )


def test_matching_without_rows():
    assert MatchingLoss().call(np.ones((0, 1)), np.zeros((0, 2, 3), "float32")).shape == (0,)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 7), st.integers(0, 2**31))
def test_matching_does_not_depend_on_the_order_of_the_rows(rows, seed):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, 2, 3)).astype("float32")
    order = random.permutation(rows)
    one, other = (MatchingLoss().call(None, x).numpy() for x in (vectors, vectors[order]))
    np.testing.assert_allclose(one[order], other, rtol=1e-4, atol=1e-5)
