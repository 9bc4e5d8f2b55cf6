"""Nadeau and Bengio's corrected variance: by hand, and the error rate of its test."""

import numpy as np
import pytest
from scipy import stats

from multimodal_tf.metrics.resampled_t import interval, paired_test


def test_the_interval_by_hand():
    """Two times three folds: mean 0.7, variance 0.02, factor 1 / 6 + 1 / 2; t(5) is 2.5706."""
    scores = [[0.6, 0.7, 0.8], [0.5, 0.7, 0.9]]
    half = 2.570582 * np.sqrt((1 / 6 + 1 / 2) * 0.02)
    found = interval(scores)
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.7 - half, 0.7 + half))


def test_without_the_part_for_shared_rows_it_is_the_usual_interval():
    """With many folds the correction goes towards 0."""
    scores = np.random.default_rng(0).normal(size=(40, 500))
    usual = stats.ttest_1samp(scores.ravel(), 0).confidence_interval(0.95)
    found = interval(scores)
    assert (found.high - found.low) / (usual.high - usual.low) == pytest.approx(
        np.sqrt(1 + 20_000 / 499)
    )


def test_the_paired_test_by_hand():
    first, second = np.array([[0.9, 0.8, 0.9, 0.8]]), np.array([[0.7, 0.8, 0.8, 0.7]])
    found = paired_test(first, second)
    # differences 0.2, 0, 0.1, 0.1
    t = 0.1 / np.sqrt((1 / 4 + 1 / 3) * (0.1**2 + 0.1**2) / 3)
    assert (found.n, found.difference.value, found.t) == (4, pytest.approx(0.1), pytest.approx(t))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 3))
    assert found.p < 0.05 or found.difference.low < 0 < found.difference.high


def test_the_other_way_round_only_the_sign_changes():
    random = np.random.default_rng(1)
    first, second = random.random((2, 5)), random.random((2, 5))
    one, other = paired_test(first, second), paired_test(second, first)
    assert (one.t, one.p) == (pytest.approx(-other.t), pytest.approx(other.p))
    assert (one.difference.low, one.difference.high) == pytest.approx(
        (-other.difference.high, -other.difference.low)
    )


def test_the_test_and_the_interval_say_the_same():
    random = np.random.default_rng(2)
    for _ in range(200):
        found = paired_test(random.normal(0.6, 1, size=(1, 10)), random.normal(size=(1, 10)))
        assert (found.p < 0.05) == (found.difference.low > 0 or found.difference.high < 0)


def test_where_all_differences_are_equal_there_is_no_t():
    scores = np.random.default_rng(3).random((2, 5))
    same, better = paired_test(scores, scores), paired_test(scores + 0.1, scores)
    assert (same.t, same.p, same.difference.value) == (None, 1.0, 0.0)
    assert (better.t, better.p) == (None, 0.0)


def _fold_accuracy(column, labels, train, test):
    """Accuracy of a model that cuts halfway between the class means."""
    cut = np.mean([column[train][labels[train] == c].mean() for c in (0, 1)])
    return ((column[test] > cut) == labels[test]).mean()


def test_two_equally_good_models_are_rarely_called_different_where_the_usual_test_often_does():
    """Each model reads one of two equally informative columns; ten times two folds."""
    random = np.random.default_rng(4)
    corrected, usual = [], []
    for _ in range(100):
        labels = np.arange(60) % 2
        columns = random.normal(size=(2, 60)) + labels
        scores = np.empty((2, 10, 2))
        for repeat in range(10):
            halves = random.permutation(60).reshape(2, 30)
            for model, fold in np.ndindex(2, 2):
                scores[model, repeat, fold] = _fold_accuracy(
                    columns[model], labels, halves[1 - fold], halves[fold]
                )
        corrected.append(paired_test(scores[0], scores[1]).p < 0.05)
        usual.append(stats.ttest_rel(scores[0].ravel(), scores[1].ravel()).pvalue < 0.05)
    assert np.mean(corrected) <= 0.1
    assert np.mean(usual) > 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([0.5, 0.6]), r"received \(2,\)"),
        (lambda: interval([[0.5], [0.6]]), "2 or more folds"),
        (lambda: interval([[0.5, np.nan]]), "NaN or infinity in 1 of 2 folds"),
        (lambda: interval(np.empty((0, 5))), "1 or more repeats"),
        (lambda: paired_test([[0.5, 0.6]], [[0.5, 0.6, 0.7]]), "the same folds"),
        (lambda: paired_test([[0.5, 0.6]], [[0.5, np.inf]]), "second must be finite"),
    ],
)
def test_bad_scores_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
