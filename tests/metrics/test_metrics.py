"""Metrics of heads by hand, against scikit-learn, for every row count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from multimodal_tf.metrics.classification import classification
from multimodal_tf.metrics.metric import (
    CLASS_METRICS,
    NO_LABEL,
    NO_ROWS,
    NO_SPREAD,
    ONE_CLASS,
    ONE_SIDED,
    RANKED,
    ClassMetrics,
    Metric,
)
from multimodal_tf.metrics.multi_label import multi_label
from multimodal_tf.metrics.regression import regression

# a warning of scikit-learn that leaks is a failure
pytestmark = pytest.mark.filterwarnings("error")


def _values(head):
    return {name: metric.value for name, metric in head.metrics.items()}


# --- classification


def test_classification_by_hand():
    """Truth a a a b c, predicted a a b b a: hits 2 1 0, rows 3 1 1, predicted 3 2 0."""
    predicted = np.eye(3)[[0, 0, 1, 1, 0]] * 0.8 + 0.1 * (1 - np.eye(3)[[0, 0, 1, 1, 0]])
    head = classification([0, 0, 0, 1, 2], predicted, ["a", "b", "c"], resamples=0)
    expected = {
        "accuracy": 3 / 5,
        "balanced_accuracy": (2 / 3 + 1 + 0) / 3,
        "precision_macro": (2 / 3 + 1 / 2 + 0) / 3,
        "recall_macro": (2 / 3 + 1 + 0) / 3,
        "f1_macro": (2 / 3 + 2 / 3 + 0) / 3,
        "precision_micro": 3 / 5,
        "recall_micro": 3 / 5,
        "f1_micro": 3 / 5,
        "precision_weighted": (3 * 2 / 3 + 1 / 2) / 5,
        "recall_weighted": 3 / 5,
        "f1_weighted": (3 * 2 / 3 + 2 / 3) / 5,
        # a: pairs of (0.8, 0.8, 0.1) with (0.1, 0.8): 1 + 1 + 1/2 + two ties = 3.5 of 6; b: 1 of 1,
        # 3 of 4 and a tie; c: all ties
        "auroc": (3.5 / 6 + 3.5 / 4 + 1 / 2) / 3,
        "log_loss": -(3 * np.log(0.8) + 2 * np.log(0.1)) / 5,
    }
    assert _values(head) == pytest.approx(expected)
    assert head.confusion == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert head.classes["a"] == ClassMetrics(n=3, precision=2 / 3, recall=2 / 3, f1=2 / 3)
    assert (head.n, [of.n for of in head.classes.values()]) == (5, [3, 1, 1])


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 40), classes=st.integers(2, 5), seed=st.integers(0, 10_000))
def test_classification_agrees_with_scikit_learn(rows, classes, seed):
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=rows)
    probabilities = random.dirichlet(np.ones(classes), rows).astype("float32")
    chosen = probabilities.argmax(axis=1)
    values = _values(
        classification(truth, probabilities, [str(i) for i in range(classes)], resamples=0)
    )
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(truth, chosen))
    for average in ("macro", "micro", "weighted"):
        expected = sk.precision_recall_fscore_support(
            truth, chosen, average=average, zero_division=0
        )
        assert [
            values[f"{name}_{average}"] for name in ("precision", "recall", "f1")
        ] == pytest.approx(expected[:3])
    assert values["log_loss"] == pytest.approx(
        sk.log_loss(truth, probabilities, labels=range(classes)), rel=1e-5
    )
    if len(set(truth)) == classes > 2:
        expected = sk.roc_auc_score(
            truth, probabilities / probabilities.sum(axis=1, keepdims=True), multi_class="ovr"
        )
        assert values["auroc"] == pytest.approx(expected)
    if set(chosen) <= set(truth) and len(set(truth)) > 1:
        assert values["balanced_accuracy"] == pytest.approx(
            sk.balanced_accuracy_score(truth, chosen)
        )


def test_a_class_without_rows_and_predictions_takes_no_part():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6]])
    narrow = classification([0, 1], probabilities, ["a", "b"], resamples=50)
    wide = classification(
        [0, 1], np.pad(probabilities, ((0, 0), (0, 1))), ["a", "b", "c"], resamples=50
    )
    assert wide.metrics == narrow.metrics
    assert wide.classes["c"].n == 0


def test_binary_auroc_is_the_usual_one():
    random = np.random.default_rng(3)
    # rounded: ties
    truth, positive = random.integers(2, size=50), random.random(50).round(1)
    head = classification(
        truth, np.stack([1 - positive, positive], axis=1), ["no", "yes"], resamples=0
    )
    assert head.metrics["auroc"].value == pytest.approx(sk.roc_auc_score(truth, positive))


def test_one_class_only():
    head = classification([1, 1], [[0.1, 0.9], [0.8, 0.2]], ["a", "b"], resamples=20)
    assert head.metrics["auroc"] == Metric(None, 2, reason=ONE_CLASS)
    # a is predicted, so it takes part
    assert (head.metrics["accuracy"].value, head.metrics["recall_macro"].value) == (0.5, 0.25)
    # but a has no rows
    assert head.metrics["balanced_accuracy"].value == 0.5


def test_unknown_rows_do_not_count():
    probabilities = [[0.9, 0.1], [0.1, 0.9], [np.nan, 0.5]]
    known = classification([0, 0], probabilities[:2], ["a", "b"])
    assert classification([0, 0, 99], probabilities, ["a", "b"], known=[1.0, 2.0, 0.0]) == known


# --- multi-label


def test_multi_label_by_hand():
    """Labels red and round on three rows.

    Red: hit, miss, true negative. Round: hit, false positive, miss.
    """
    truth = [[1, 1], [1, 0], [0, 1]]
    predicted = [[0.9, 0.5], [0.4, 0.7], [0.2, 0.3]]
    head = multi_label(truth, predicted, ["red", "round"], resamples=0)
    expected = {
        # red: 1 of 1, 2 of 2; round: 0.7 is wrong, then 1 of 2 and 2 of 3
        "average_precision_macro": (1 + (1 / 2 + 2 / 3) / 2) / 2,
        # 0.9, wrong 0.7, 0.5, 0.4, 0.3, wrong 0.2
        "average_precision_micro": (1 + 2 / 3 + 3 / 4 + 4 / 5) / 4,
        "exact_match": 1 / 3,
        "accuracy": 3 / 6,
        "balanced_accuracy": ((1 / 2 + 1) / 2 + (1 / 2 + 0) / 2) / 2,
        "precision_macro": (1 + 1 / 2) / 2,
        "recall_macro": 1 / 2,
        "f1_macro": (2 / 3 + 1 / 2) / 2,
        "precision_micro": 2 / 3,
        "recall_micro": 2 / 4,
        "f1_micro": 4 / 7,
        "precision_weighted": (2 * 1 + 2 * 1 / 2) / 4,
        "recall_weighted": 1 / 2,
        "f1_weighted": (2 * 2 / 3 + 2 * 1 / 2) / 4,
        "auroc": (2 / 2 + 0 / 2) / 2,
        "log_loss": -np.log([0.9, 0.5, 0.4, 1 - 0.7, 1 - 0.2, 0.3]).mean(),
    }
    assert _values(head) == pytest.approx(expected)
    assert head.confusion == [[[1, 0], [1, 1]], [[0, 1], [1, 1]]]
    found = {"n": 2, "precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2}
    found |= {"auroc": 0, "average_precision": 7 / 12}
    assert head.classes["round"].model_dump() == pytest.approx(found)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(2, 30), labels=st.integers(2, 4), seed=st.integers(0, 10_000))
def test_multi_label_agrees_with_scikit_learn(rows, labels, seed):
    random = np.random.default_rng(seed)
    truth, probabilities = random.integers(2, size=(rows, labels)), random.random((rows, labels))
    chosen = probabilities >= 0.5
    values = _values(
        multi_label(truth, probabilities, [str(i) for i in range(labels)], resamples=0)
    )
    part = np.flatnonzero(truth.any(axis=0) | chosen.any(axis=0))
    if len(part):
        for average in ("macro", "micro", "weighted"):
            expected = sk.precision_recall_fscore_support(
                truth, chosen, labels=part, average=average, zero_division=0
            )
            assert [
                values[f"{name}_{average}"] for name in ("precision", "recall", "f1")
            ] == pytest.approx(expected[:3])
    assert values["exact_match"] == pytest.approx(sk.accuracy_score(truth, chosen))
    assert values["accuracy"] == pytest.approx(1 - sk.hamming_loss(truth, chosen))
    assert values["log_loss"] == pytest.approx(
        np.mean([sk.log_loss(t, p, labels=[0, 1]) for t, p in zip(truth.T, probabilities.T)])
    )
    if ((truth.sum(axis=0) > 0) & (truth.sum(axis=0) < rows)).all():
        assert values["auroc"] == pytest.approx(
            sk.roc_auc_score(truth, probabilities, average="macro")
        )


def test_one_label_only_is_not_taken_for_a_binary_class():
    head = multi_label([[1], [0], [0]], [[0.9], [0.8], [0.1]], ["red"], resamples=20)
    # of label red alone
    assert head.metrics["precision_macro"].value == 1 / 2
    assert head.confusion == [[[1, 1], [0, 1]]]


def test_no_label_applies():
    head = multi_label([[0, 0]] * 3, [[0.1, 0.2]] * 3, ["a", "b"], resamples=20)
    assert head.metrics["f1_macro"] == Metric(None, 3, reason=NO_LABEL)
    assert head.metrics["auroc"].reason == head.metrics["balanced_accuracy"].reason == ONE_SIDED
    assert (head.metrics["exact_match"].value, head.metrics["accuracy"].low) == (1.0, 1.0)


# --- regression


def test_regression_by_hand_and_column_vectors():
    """Errors 1, 0, -2 around labels 1, 2, 6 with mean 3 and squares 4 + 1 + 9."""
    head = regression(np.array([[1.0], [2.0], [6.0]]), np.array([[2.0], [2.0], [4.0]]), resamples=0)
    assert _values(head) == pytest.approx({"mae": 1.0, "rmse": np.sqrt(5 / 3), "r2": 1 - 5 / 14})
    assert regression([1.0, 2.0, 6.0], [2.0, 2.0, 4.0], resamples=0) == head


def test_equal_labels_have_no_r2():
    assert regression([2.0, 2.0], [1.0, 2.0]).metrics["r2"] == Metric(None, 2, reason=NO_SPREAD)
    assert regression([2.0], [1.0]).metrics["r2"].value is None


def test_missing_label_of_a_regression_is_nan_and_unknown():
    head = regression([1.0, np.nan, 3.0], [1.0, 5.0, 2.0], known=[1, 0, 1])
    assert (head.n, head.metrics["mae"].value) == (2, 0.5)


# --- every row count


HEADS = {
    "classification": lambda rows, resamples=30: classification(
        np.arange(rows) % 2, np.full((rows, 2), 0.5), ["a", "b"], resamples=resamples
    ),
    "multi_label": lambda rows, resamples=30: multi_label(
        np.ones((rows, 2)), np.full((rows, 2), 0.5), ["a", "b"], resamples=resamples
    ),
    "regression": lambda rows, resamples=30: regression(
        np.arange(rows), np.zeros(rows), resamples=resamples
    ),
}


METRICS = {
    "classification": CLASS_METRICS,
    "multi_label": (*RANKED, "exact_match", *CLASS_METRICS),
    "regression": ("mae", "rmse", "r2"),
}


@pytest.mark.parametrize("kind", HEADS)
def test_no_rows(kind):
    head = HEADS[kind](0)
    assert head.n == 0
    assert tuple(head.metrics) == METRICS[kind]
    assert {(metric.value, metric.reason) for metric in head.metrics.values()} == {(None, NO_ROWS)}
    assert not np.any(head.confusion)


@pytest.mark.parametrize("kind", HEADS)
def test_one_row_has_metrics_and_no_interval(kind):
    head = HEADS[kind](1)
    assert head.n == 1
    assert all(metric.low is None and metric.resamples == 0 for metric in head.metrics.values())
    assert any(metric.value is not None for metric in head.metrics.values())


@pytest.mark.parametrize("kind", HEADS)
def test_without_resamples_there_are_values_and_no_intervals(kind):
    full, bare = HEADS[kind](7), HEADS[kind](7, resamples=0)
    assert _values(full) == _values(bare)
    assert all(metric.low is None for metric in bare.metrics.values())
    assert all(
        metric.low is not None for metric in full.metrics.values() if metric.value is not None
    )


# --- errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: classification([0, 2], [[0.5, 0.5]] * 2, ["a", "b"]),
            "a label must be an index from 0 to 1, received 0 to 2",
        ),
        (
            lambda: classification([0, -1], [[0.5, 0.5]] * 2, ["a", "b"]),
            "received -1 to 0",
        ),
        (
            lambda: classification([0], [[0.5, 0.5]], ["a", "b", "c"]),
            r"predictions must have the shape \(1, 3\), received \(1, 2\)",
        ),
        (
            lambda: classification([0], [[np.nan, 0.5]], ["a", "b"]),
            "received NaN or infinity in 1 of 1 rows",
        ),
        (
            lambda: classification([0], [[0.5, 0.5]], ["a", "b"], known=[1, 1]),
            r"known must have the shape \(1,\), received \(2,\)",
        ),
        (lambda: classification([], np.zeros((0, 0)), []), "at least one class"),
        (
            lambda: multi_label([0], [[0.5]], ["a"]),
            r"labels must have the shape \(1, 1\), received \(1,\)",
        ),
        (
            lambda: regression([1.0, np.nan], [1.0, 1.0]),
            "labels must be finite numbers, received NaN or infinity in 1 of 2 rows",
        ),
        (
            lambda: regression([1.0, 2.0], [1.0, np.inf]),
            "predictions must be finite numbers",
        ),
    ],
)
def test_bad_shapes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
