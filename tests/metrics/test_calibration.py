"""Calibration errors, temperature scaling and selective prediction, by hand and scikit-learn."""

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.calibration import (
    ALL_RIGHT,
    Temperature,
    calibration,
    log_losses,
    risk_coverage,
)


def _calibrated(random, rows, classes, temperature=1.0):
    """Labels drawn from probabilities, and overconfident probabilities."""
    logits = random.normal(size=(rows, classes)) * 2
    chances = special.softmax(logits, axis=1)
    labels = (
        (random.random((rows, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=classes - 1)
    )
    return labels, special.softmax(logits * temperature, axis=1)


def _binary(confidences):
    return np.stack([confidences, 1 - np.asarray(confidences)], axis=1)


def test_calibration_by_hand():
    """Confidences 0.6 0.7 | 0.8 0.9 0.9 in five bins: 0.6 is the upper edge of the third bin."""
    found = calibration([0, 1, 0, 0, 1], _binary([0.6, 0.7, 0.8, 0.9, 0.9]), bins=5, resamples=0)
    assert [(round(b.low, 1), round(b.high, 1), b.n) for b in found.bins] == [
        (0.4, 0.6, 1),
        (0.6, 0.8, 2),
        (0.8, 1.0, 2),
    ]
    assert [(b.confidence, b.accuracy.value) for b in found.bins] == [
        pytest.approx(of) for of in [(0.6, 1), (0.75, 0.5), (0.9, 0.5)]
    ]
    values = {name: metric.value for name, metric in found.metrics.items()}
    assert values["ece"] == pytest.approx((1 * 0.4 + 2 * 0.25 + 2 * 0.4) / 5)
    assert values["overconfidence"] == pytest.approx(0.78 - 0.6)
    assert values["brier"] == pytest.approx(2 * (0.4**2 + 0.7**2 + 0.2**2 + 0.1**2 + 0.9**2) / 5)
    assert found.n == 5


def test_adaptive_bins_hold_equally_many_rows_and_equal_confidences_share_one():
    found = calibration([0] * 12, _binary(np.linspace(0.55, 0.99, 12)), bins=4, resamples=0)
    assert [b.n for b in found.adaptive_bins] == [3, 3, 3, 3]
    assert found.metrics["adaptive_ece"].value == pytest.approx(
        1 - np.linspace(0.55, 0.99, 12).mean()
    )
    same = calibration([0, 0, 1, 1] * 3, _binary([0.8] * 12), bins=4, resamples=0)
    assert [(b.n, b.accuracy.value) for b in same.adaptive_bins] == [(12, 0.5)]
    assert same.metrics["adaptive_ece"].value == pytest.approx(0.3)


def test_the_brier_score_is_scikit_learns():
    labels, probabilities = _calibrated(np.random.default_rng(0), 200, 4)
    expected = sk.brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=False)
    assert calibration(labels, probabilities, resamples=0).metrics["brier"].value == pytest.approx(
        expected
    )


def test_rows_repeated_four_times_are_no_more_certain():
    labels, probabilities = _calibrated(np.random.default_rng(2), 50, 3)
    once = calibration(labels, probabilities, resamples=400)
    groups, labels, probabilities = (
        np.repeat(np.arange(50), 4),
        np.repeat(labels, 4),
        np.repeat(probabilities, 4, axis=0),
    )
    grouped, alone = (
        calibration(labels, probabilities, resamples=400, groups=of) for of in (groups, None)
    )
    for name in ("ece", "overconfidence", "brier"):
        widths = [
            found.metrics[name].high - found.metrics[name].low for found in (once, grouped, alone)
        ]
        assert widths[1] == pytest.approx(widths[0], rel=1e-6)
        assert widths[2] < 0.7 * widths[0]
    for first, second in zip(once.bins, grouped.bins):
        assert second.accuracy.high - second.accuracy.low > 0.9 * (
            first.accuracy.high - first.accuracy.low
        )
    losses, confident = 1.0 - (probabilities.argmax(axis=1) == labels), probabilities.max(axis=1)
    narrow, wide = (
        risk_coverage(losses, confident, resamples=400, groups=of).aurc for of in (None, groups)
    )
    assert narrow.value == wide.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_order_of_rows_changes_nothing():
    random = np.random.default_rng(1)
    labels, probabilities = _calibrated(random, 100, 3)
    # ties
    probabilities = probabilities.round(1) / probabilities.round(1).sum(axis=1, keepdims=True)
    order = random.permutation(100)
    first, second = (
        calibration(labels, probabilities, resamples=0),
        calibration(labels[order], probabilities[order], resamples=0),
    )
    assert {name: metric.value for name, metric in second.metrics.items()} == pytest.approx(
        {name: metric.value for name, metric in first.metrics.items()}
    )


def test_a_calibrated_model_has_a_small_error_and_an_overconfident_one_a_large():
    random = np.random.default_rng(2)
    labels, probabilities = _calibrated(random, 4000, 3)
    _, confident = labels, special.softmax(np.log(probabilities) * 3, axis=1)
    good, bad = (
        calibration(labels, probabilities, resamples=100),
        calibration(labels, confident, resamples=100),
    )
    for name in ("ece", "adaptive_ece"):
        assert good.metrics[name].value < 0.03 < 0.1 < bad.metrics[name].low
    assert good.metrics["overconfidence"].low < 0.01
    assert bad.metrics["overconfidence"].low > 0.1


def test_a_bins_interval_is_exact():
    """Two of two are right: the lower bound is the root of 0.025."""
    found = calibration([0, 0], _binary([0.9, 0.9]), resamples=0).bins[0].accuracy
    assert (found.value, found.low, found.high) == pytest.approx((1.0, np.sqrt(0.025), 1.0))


# --- temperature


def test_a_temperature_calibrates_a_model_that_is_overconfident():
    labels, probabilities = _calibrated(np.random.default_rng(3), 3000, 4, temperature=2.5)
    fitted = Temperature.fit(labels, probabilities)
    assert fitted.value.low < 2.5 < fitted.value.high < 2.8
    assert fitted.after < fitted.before
    assert fitted.after == pytest.approx(sk.log_loss(labels, fitted(probabilities)))
    assert fitted.before == pytest.approx(sk.log_loss(labels, probabilities))
    assert (fitted(probabilities).argmax(axis=1) == probabilities.argmax(axis=1)).all()
    before, after = (
        calibration(labels, probabilities, resamples=0),
        calibration(labels, fitted(probabilities), resamples=0),
    )
    assert after.metrics["ece"].value < before.metrics["ece"].value / 3


def test_no_other_temperature_has_a_lower_log_loss():
    labels, probabilities = _calibrated(np.random.default_rng(4), 300, 3, temperature=0.5)
    fitted = Temperature.fit(labels, probabilities)
    for value in np.geomspace(0.02, 50, 200):
        other = special.softmax(np.log(probabilities) / value, axis=1)
        assert sk.log_loss(labels, other) >= fitted.after - 1e-9


def test_the_interval_of_a_temperature_is_about_that_of_the_bootstrap():
    labels, probabilities = _calibrated(np.random.default_rng(5), 400, 3, temperature=2.0)
    samples = bootstrap.resample(
        lambda rows: {"t": Temperature.fit(labels[rows], probabilities[rows]).value.value},
        400,
        200,
        0,
    )["t"]
    low, high, _ = bootstrap.interval(samples)
    value = Temperature.fit(labels, probabilities).value
    assert (value.low, value.high) == pytest.approx((low, high), rel=0.1)


def test_where_every_row_is_right_the_temperature_is_one_and_says_why():
    fitted = Temperature.fit([0, 1], [[0.9, 0.1], [0.2, 0.8]])
    assert (fitted.value.value, fitted.value.low, fitted.value.reason) == (1.0, None, ALL_RIGHT)
    assert fitted([[0.9, 0.1]]) == pytest.approx(np.array([[0.9, 0.1]]))


def test_a_probability_of_zero_for_the_right_class_is_survived():
    fitted = Temperature.fit([1, 0, 1], [[1.0, 0.0], [0.9, 0.1], [0.3, 0.7]])
    assert np.isfinite([fitted.value.value, fitted.before, fitted.after]).all()
    assert log_losses([1, 0], [[1.0, 0.0], [0.5, 0.5]]) == pytest.approx(
        [-np.log(np.finfo("float32").tiny), np.log(2)]
    )


# --- selective prediction


def test_risk_coverage_by_hand():
    """By falling confidence right, wrong, right, wrong: risks 0, 1/2, 1/3, 1/2."""
    found = risk_coverage([1, 0, 0, 1], [0.4, 0.9, 0.6, 0.7], resamples=0)
    assert found.threshold == [0.9, 0.7, 0.6, 0.4]
    assert found.coverage == [0.25, 0.5, 0.75, 1.0]
    assert found.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert found.aurc.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_with_equal_confidences_the_area_is_the_mean_over_orders():
    random = np.random.default_rng(6)
    losses, confident = random.random(30), random.integers(4, size=30) / 4
    areas = [
        risk_coverage(losses, confident + random.random(30) * 1e-6, resamples=0).aurc.value
        for _ in range(400)
    ]
    assert risk_coverage(losses, confident, resamples=0).aurc.value == pytest.approx(
        np.mean(areas), abs=4 * np.std(areas) / 20
    )


def test_a_confidence_that_knows_nothing_has_the_mean_loss_as_area():
    assert risk_coverage([0, 1, 1, 0], [0.5] * 4, resamples=0).aurc.value == pytest.approx(0.5)


def test_the_area_has_an_interval_that_holds_it():
    random = np.random.default_rng(7)
    confident = random.random(300)
    found = risk_coverage(random.random(300) > confident, confident, resamples=200)
    assert found.aurc.low < found.aurc.value < found.aurc.high
    assert found.aurc.resamples == 200
    assert found.n == 300


# --- bad input


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0], [[0.5, 0.5]], "2 or more rows"),
        ([0, 0], [[1.0], [1.0]], "2 or more classes"),
        ([0, 0], [0.5, 0.5], "2 or more rows"),
        ([0, 1], [[0.5, 0.5], [0.5, np.nan]], "finite numbers, received NaN or infinity in 1 of 2"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.7]], r"sum to 1 in a row, received \[0.5, 0.7\] and 1 such"),
        ([0, 1], [[0.5, 0.5], [-0.5, 1.5]], "0 or more"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "an index from 0 to 1, received 0 to 2"),
        ([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]], "predictions must have the shape"),
    ],
)
@pytest.mark.parametrize("function", [calibration, Temperature.fit, log_losses])
def test_bad_rows_are_refused(function, labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        function(labels, probabilities)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration([0, 1], [[0.5, 0.5], [0.5, 0.5]], bins=0)
    with pytest.raises(ValueError, match="at least 2 rows, received 1"):
        risk_coverage([0], [0.5])
    with pytest.raises(ValueError, match="finite"):
        risk_coverage([0, 1], [0.5, np.nan])
