"""Metrics of ordinal, quantile and matching heads, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from multimodal_tf.metrics.classification import classification, ordinal
from multimodal_tf.metrics.matching import matching
from multimodal_tf.metrics.metric import CLASS_METRICS, NO_ROWS
from multimodal_tf.metrics.regression import quantile

RANDOM = np.random.default_rng(0)
LEVELS = [0.1, 0.5, 0.9]


def test_ordinal_has_the_metrics_of_a_classification_and_the_distance_in_ranks():
    truth, scores, known = (
        RANDOM.integers(0, 3, 50),
        RANDOM.dirichlet([1, 1, 1], 50),
        RANDOM.random(50) < 0.8,
    )
    found = ordinal(truth, scores, ["S", "M", "L"], known, resamples=30)
    same = classification(truth, scores, ["S", "M", "L"], known, resamples=30)
    assert tuple(found.metrics) == (*CLASS_METRICS, "rank_mae")
    assert {name: found.metrics[name] for name in same.metrics} == same.metrics
    distance = sklearn_metrics.mean_absolute_error(truth[known], scores.argmax(axis=1)[known])
    metric = found.metrics["rank_mae"]
    assert metric.value == pytest.approx(distance)
    assert metric.low < metric.value < metric.high


def test_quantile_against_scikit_learn():
    truth, predicted = RANDOM.normal(10, 3, 60), np.sort(RANDOM.normal(10, 3, (60, 3)), axis=1)
    found = quantile(truth[:, None], predicted, LEVELS, 1, resamples=30).metrics
    assert tuple(found) == ("mae", "rmse", "r2", "pinball", "coverage", "width")
    losses = [
        sklearn_metrics.mean_pinball_loss(truth, predicted[:, index], alpha=level)
        for index, level in enumerate(LEVELS)
    ]
    assert found["pinball"].value == pytest.approx(np.mean(losses))
    assert found["mae"].value == pytest.approx(
        sklearn_metrics.mean_absolute_error(truth, predicted[:, 1])
    )
    assert found["coverage"].value == np.mean(
        [low <= one <= high for one, (low, _, high) in zip(truth, predicted)]
    )
    assert found["width"].value == pytest.approx(np.mean(predicted[:, 2] - predicted[:, 0]))
    assert all(metric.low < metric.value < metric.high for metric in found.values())


def test_quantile_leaves_out_unknown_rows():
    truth, predicted = np.array([1.0, np.nan]), np.array([[0.0, 1.0, 2.0], [7.0, 8.0, 9.0]])
    found = quantile(truth, predicted, LEVELS, 1, known=[1, 0], resamples=0)
    assert (found.n, found.metrics["coverage"].value, found.metrics["mae"].value) == (1, 1.0, 0.0)


def test_matching_against_scikit_learn():
    vectors = RANDOM.normal(size=(40, 2, 3))
    # rows that lack one of the two
    vectors[[3, 17]] = 0
    found = matching(vectors, resamples=30)
    first, second = (
        vectors[[row for row in range(40) if row not in (3, 17)], side] for side in (0, 1)
    )
    logits = np.concatenate(
        [(first * second).sum(axis=1), (first * second[[*range(1, 38), 0]]).sum(axis=1)]
    )
    truth = np.arange(76) < 38
    probabilities = 1 / (1 + np.exp(-logits))
    assert found.n == 38
    assert found.metrics["accuracy"].value == pytest.approx(
        sklearn_metrics.accuracy_score(truth, probabilities >= 0.5)
    )
    assert found.metrics["auroc"].value == pytest.approx(
        sklearn_metrics.roc_auc_score(truth, logits)
    )
    assert found.metrics["log_loss"].value == pytest.approx(
        sklearn_metrics.log_loss(truth, probabilities)
    )
    assert all(metric.low < metric.value < metric.high for metric in found.metrics.values())


@pytest.mark.parametrize("rows", [0, 1])
def test_without_rows_no_metric_is_defined(rows):
    for found in (
        ordinal(np.zeros(rows), np.full((rows, 2), 0.5), ["a", "b"], known=np.zeros(rows)),
        quantile(np.zeros(rows), np.zeros((rows, 3)), LEVELS, 1, known=np.zeros(rows)),
        matching(np.zeros((rows, 2, 3))),
    ):
        assert found.n == 0
        assert {(metric.value, metric.reason) for metric in found.metrics.values()} == {
            (None, NO_ROWS)
        }


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((3, 4)), r"must have the shape \(rows, 2, dim\), received \(3, 4\)"),
        (np.full((2, 2, 1), np.nan), "must be finite numbers"),
    ],
)
def test_invalid_vectors_are_refused(vectors, message):
    with pytest.raises(ValueError, match=message):
        matching(vectors)
