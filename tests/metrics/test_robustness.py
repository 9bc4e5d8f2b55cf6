"""Robustness metrics by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from multimodal_tf.metrics import robustness

CLEAN, MODEL = 0.9, np.array([[0.8, 0.6], [0.5, 0.1]])
BASELINE = (0.8, np.array([[0.6, 0.4], [0.7, 0.5]]))


def test_corruption_errors_by_hand():
    """Errors 0.2 + 0.4 over 0.4 + 0.6, and 0.5 + 0.9 over 0.3 + 0.5."""
    assert robustness.corruption_errors(MODEL) == pytest.approx([0.3, 0.7])
    assert robustness.corruption_errors(MODEL, BASELINE[1]) == pytest.approx([0.6, 1.75])
    assert robustness.mean_corruption_error(MODEL, BASELINE[1]) == pytest.approx(1.175)


def test_relative_corruption_errors_by_hand():
    """Drops 0.1 + 0.3 over 0.2 + 0.4, and 0.4 + 0.8 over 0.1 + 0.3."""
    assert robustness.relative_corruption_errors(CLEAN, MODEL) == pytest.approx([0.2, 0.6])
    assert robustness.relative_corruption_errors(CLEAN, MODEL, BASELINE) == pytest.approx(
        [2 / 3, 3]
    )
    assert robustness.relative_mean_corruption_error(CLEAN, MODEL, BASELINE) == pytest.approx(
        11 / 6
    )


def test_a_model_has_an_mce_of_one_against_itself():
    assert robustness.mean_corruption_error(MODEL, MODEL) == pytest.approx(1)
    assert robustness.relative_mean_corruption_error(CLEAN, MODEL, (CLEAN, MODEL)) == pytest.approx(
        1
    )


def test_relative_robustness_is_the_area_of_trapezoids():
    """0.5 x (0.85 + 0.7), and 0.5 x (0.7 + 0.3)."""
    assert robustness.relative_robustness(CLEAN, MODEL) == pytest.approx([0.775, 0.5])


def test_effective_robustness_is_the_area_above_the_moved_baseline():
    """The moved baseline is 0.9, 0.7, 0.5 and 0.9, 0.8, 0.6.

    The differences are 0, 0.1, 0.1 and 0, -0.3, -0.5.
    """
    assert robustness.effective_robustness(CLEAN, MODEL, BASELINE) == pytest.approx([0.075, -0.275])


def test_a_baseline_without_errors_or_drop_gives_no_ratio():
    perfect = (1.0, np.ones([2, 2]))
    assert np.isnan(robustness.corruption_errors(MODEL, perfect[1])).all()
    flat = (0.7, np.full([2, 2], 0.7))
    assert np.isnan(robustness.relative_corruption_errors(CLEAN, MODEL, flat)).all()


@given(
    arrays.arrays(float, (4, 3, 5), elements=st.floats(0, 1)),
    arrays.arrays(float, 4, elements=st.floats(0, 1)),
)
def test_leading_axes_are_as_one_call_for_each(accuracy, clean):
    for metric in (
        robustness.relative_robustness,
        robustness.relative_corruption_errors,
        robustness.curve,
    ):
        together = metric(clean, accuracy)
        assert together == pytest.approx(
            np.stack([metric(one, of) for one, of in zip(clean, accuracy)])
        )
    assert robustness.mean_corruption_error(accuracy) == pytest.approx(
        1 - accuracy.mean(axis=(1, 2))
    )


@given(arrays.arrays(float, (2, 5), elements=st.floats(0, 1)), st.floats(0, 1))
def test_metrics_are_bounded_and_zero_against_oneself(accuracy, clean):
    assert (robustness.relative_robustness(clean, accuracy) <= 1 + 1e-12).all()
    assert robustness.effective_robustness(clean, accuracy, (clean, accuracy)) == pytest.approx(
        [0, 0]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: robustness.corruption_errors([[0.5, np.nan]]),
            "accuracy must lie in 0..1, received nan",
        ),
        (
            lambda: robustness.corruption_errors([[50, 60]]),
            "accuracy must lie in 0..1, received 50.0",
        ),
        (
            lambda: robustness.corruption_errors([0.5]),
            r"\(..., corruptions, severities\), neither of them 0, received \(1,\)",
        ),
        (lambda: robustness.corruption_errors(np.ones([0, 5])), r"received \(0, 5\)"),
        (
            lambda: robustness.corruption_errors([[0.5]], [[0.5, 0.5]]),
            r"must be \(1, 1\), as the model's, received \(1, 2\)",
        ),
        (lambda: robustness.curve([0.5, 0.5], [[0.5]]), r"clean must be \(\), .* received \(2,\)"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
