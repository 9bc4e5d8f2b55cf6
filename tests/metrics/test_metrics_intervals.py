"""Intervals of metrics: the bootstrap resamples what is reported, and costs little."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.classification import classification
from multimodal_tf.metrics.multi_label import multi_label
from multimodal_tf.metrics.regression import regression

# a warning of scikit-learn that leaks is a failure
pytestmark = pytest.mark.filterwarnings("error")


def _distribution(random, rows, classes):
    return random.dirichlet(np.ones(classes), rows).astype("float32")


def _every_row(kind, random, rows=60):
    """Averages as the bootstrap computes them on all rows, and those of scikit-learn."""
    index = np.arange(rows)
    if kind == "classification":
        truth, chosen = random.integers(4, size=rows), random.integers(3, size=rows)
        hits, actual, predicted = bootstrap.class_counts(truth, chosen, 5, index)
        averages = bootstrap.averaged(hits, actual, predicted)
        return averages, lambda average: sk.precision_recall_fscore_support(
            truth, chosen, average=average, zero_division=0
        )
    truth, chosen = random.random((rows, 4)) > 0.7, random.random((rows, 4)) > 0.7
    averages = bootstrap.averaged(*bootstrap.label_counts(truth, chosen, index))
    return averages, lambda average: sk.precision_recall_fscore_support(
        truth, chosen, average=average, zero_division=0
    )


@pytest.mark.parametrize("kind", ["classification", "multi_label"])
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_what_is_resampled_is_what_is_reported(kind, average):
    for seed in range(5):
        averages, reference = _every_row(kind, np.random.default_rng(seed))
        assert [
            averages[f"{name}_{average}"] for name in ("precision", "recall", "f1")
        ] == pytest.approx(reference(average)[:3])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
def test_resampled_auroc_is_scikit_learns(rows):
    positive, scores = (
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows], dtype=float),
    )
    area = bootstrap.auroc(positive[:, None], scores[:, None])(np.arange(len(rows)))["auroc"]
    if positive.all() or not positive.any():
        assert np.isnan(area)
    else:
        assert area == pytest.approx(sk.roc_auc_score(positive, scores))


@pytest.mark.parametrize("kind", ["classification", "multi_label", "regression"])
def test_every_metric_is_resampled_by_its_own_formula(kind):
    """On 200 rows an interval holds the value inside; another formula would miss it."""
    random = np.random.default_rng(0)
    truth = random.integers(3, size=200)
    scores = _distribution(random, 200, 3)
    if kind == "classification":
        head = classification(truth, scores, ["a", "b", "c"], resamples=200)
    elif kind == "multi_label":
        head = multi_label(np.eye(3)[truth], scores, ["a", "b", "c"], resamples=200)
    else:
        head = regression(truth + scores[:, 0], truth, resamples=200)
    for name, metric in head.metrics.items():
        assert metric.low < metric.value < metric.high, name
        assert metric.resamples == 200


def test_interval_of_accuracy_is_the_binomial_one():
    """90 right of 100: the resamples are binomial, so their standard deviation is 0.03."""
    head = classification(
        [0] * 100, [[0.9, 0.1]] * 90 + [[0.1, 0.9]] * 10, ["a", "b"], resamples=4000
    )
    metric = head.metrics["accuracy"]
    assert (metric.low, metric.high) == (
        pytest.approx(0.84, abs=0.011),
        pytest.approx(0.95, abs=0.011),
    )


def test_undefined_resamples_are_left_out_and_counted():
    """With 1 row of b out of 4, a resample lacks b with probability (3/4)^4 = 0.32: no AUROC."""
    head = classification(
        [0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], ["a", "b"], resamples=1000
    )
    assert 560 < head.metrics["auroc"].resamples < 800
    assert head.metrics["accuracy"].resamples == 1000


def test_seed_decides_the_interval():
    random = np.random.default_rng(0)
    arguments = (random.integers(3, size=50), _distribution(random, 50, 3), ["a", "b", "c"])
    assert classification(*arguments, seed=1) == classification(*arguments, seed=1)
    assert classification(*arguments, seed=1) != classification(*arguments, seed=2)


def test_many_classes_get_fewer_resamples_of_auroc():
    random = np.random.default_rng(0)
    head = classification(
        random.integers(100, size=300),
        _distribution(random, 300, 100),
        [str(i) for i in range(100)],
        resamples=300,
    )
    assert (head.metrics["auroc"].resamples, head.metrics["accuracy"].resamples) == (200, 300)


def test_bootstrap_costs_little_beside_scikit_learn():
    """1,000 resamples of 5,000 rows take less time than 400 averages of scikit-learn."""
    random = np.random.default_rng(0)
    truth, probabilities = random.integers(10, size=5000), _distribution(random, 5000, 10)
    chosen = probabilities.argmax(axis=1)
    start = time.perf_counter()
    for _ in range(10):
        for average in ("macro", "micro", "weighted"):
            sk.precision_recall_fscore_support(truth, chosen, average=average, zero_division=0)
    ten_rounds, start = time.perf_counter() - start, time.perf_counter()
    classification(truth, probabilities, [str(i) for i in range(10)], resamples=1000)
    assert time.perf_counter() - start < 40 * ten_rounds
