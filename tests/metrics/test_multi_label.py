"""Average precision, thresholds and calibration of multi-label heads, against scikit-learn."""

import warnings

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.calibration import Temperature, calibration, decisions
from multimodal_tf.metrics.classification import classification
from multimodal_tf.metrics.metric import ONE_SIDED, ClassMetrics, Metric
from multimodal_tf.metrics.multi_label import multi_label
from multimodal_tf.scoring import monitored
from multimodal_tf.scoring.temperature import tempered
from multimodal_tf.scoring.thresholds import fit_thresholds, tempered_thresholds

# a warning of scikit-learn that leaks is a failure
pytestmark = pytest.mark.filterwarnings("error")
NAMES = ["a", "b", "c"]


def rows(seed, count=60, ties=False):
    """Truth and probabilities that tell something of it."""
    random = np.random.default_rng(seed)
    truth = random.random((count, 3)) < [0.5, 0.2, 0.1]
    scores = special.expit(random.normal(size=truth.shape) + 2 * truth - 1)
    return truth, scores.round(1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties):
    truth, scores = rows(1, ties=ties)
    head = multi_label(truth, scores, NAMES, resamples=0)
    for average in ("macro", "micro"):
        expected = sk.average_precision_score(truth, scores, average=average)
        assert head.metrics[f"average_precision_{average}"].value == pytest.approx(expected)
    for index, name in enumerate(NAMES):
        found, columns = head.classes[name], (truth[:, index], scores[:, index])
        assert found.average_precision == pytest.approx(sk.average_precision_score(*columns))
        assert found.auroc == pytest.approx(sk.roc_auc_score(*columns))


@pytest.mark.parametrize("ties", [False, True])
def test_resamples_give_the_average_precision_of_their_rows(ties):
    truth, scores = rows(2, ties=ties)
    index = np.random.default_rng(0).integers(len(truth), size=len(truth))
    found = bootstrap.average_precision(truth, scores)(index)
    for average in ("macro", "micro"):
        expected = sk.average_precision_score(truth[index], scores[index], average=average)
        assert found[f"average_precision_{average}"] == pytest.approx(expected)


def test_a_class_without_rows_has_no_metrics_of_its_own():
    truth, scores = rows(3)
    truth[:, 2] = False
    head = multi_label(truth, scores, NAMES, resamples=20)
    assert head.classes["c"] == ClassMetrics(n=0)
    expected = sk.average_precision_score(truth[:, :2], scores[:, :2])
    assert head.metrics["average_precision_macro"].value == pytest.approx(expected)
    one = classification([0, 0], [[0.9, 0.1], [0.2, 0.8]], ["x", "y"], resamples=0)
    assert one.classes["y"] == ClassMetrics(n=0)
    assert one.classes["x"].recall == 0.5


def test_without_any_label_average_precision_is_not_defined():
    head = multi_label(np.zeros((3, 2)), np.full((3, 2), 0.2), ["a", "b"], resamples=20)
    assert head.metrics["average_precision_macro"] == Metric(None, 3, reason=ONE_SIDED)
    # of a label that every row bears nothing can be ranked
    full = multi_label(np.ones((3, 1)), np.full((3, 1), 0.2), ["a"], resamples=0).classes["a"]
    assert (full.n, full.auroc, full.average_precision) == (3, None, None)


def test_thresholds_decide_what_is_predicted():
    truth, scores = rows(4)
    least = [0.2, 0.5, 0.7]
    head = multi_label(truth, scores, NAMES, resamples=0, threshold=least)
    assert head.metrics["f1_macro"].value == pytest.approx(
        sk.f1_score(truth, scores >= least, average="macro")
    )
    assert head.metrics["exact_match"].value == sk.accuracy_score(truth, scores >= least)
    # each row may have its own, and rows that are not known do not count
    known = np.arange(len(truth)) % 2 == 0
    by_row = np.where(known[:, None], least, 0.9)
    same = multi_label(truth[known], scores[known], NAMES, resamples=0, threshold=least)
    assert multi_label(truth, scores, NAMES, known, resamples=0, threshold=by_row) == same
    with pytest.raises(ValueError, match=r"threshold must be .* shape \(3,\), received \(2,\)"):
        multi_label(truth, scores, NAMES, threshold=[0.1, 0.2])


def test_fitted_thresholds_have_the_best_f1_of_all():
    truth, scores = rows(5, 200)
    found = fit_thresholds(truth, scores)
    for column in range(3):
        mine = sk.f1_score(truth[:, column], scores[:, column] >= found[column])
        others = [sk.f1_score(truth[:, column], scores[:, column] >= t) for t in scores[:, column]]
        assert mine == max(others)
        # between two scores: rounding decides nothing
        assert found[column] not in scores[:, column]


def test_a_label_of_few_rows_gets_the_threshold_of_all_labels():
    truth, scores = rows(6, 100)
    truth[:, 2] = False
    truth[:4, 2] = True
    found = fit_thresholds(truth, scores)
    shared = fit_thresholds(truth.reshape(-1, 1), scores.reshape(-1, 1))[0]
    assert found[2] == shared
    assert shared != found[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_thresholds(np.zeros((4, 2), bool), np.ones((4, 2))).tolist() == [0.5, 0.5]


def test_a_temperature_calibrates_labels_and_keeps_what_is_predicted():
    random = np.random.default_rng(7)
    right = special.expit(random.normal(size=(1000, 3)))
    truth = random.random(right.shape) < right
    sharp = tempered(right, 0.4, independent=True).numpy()
    fitted = Temperature.fit(*decisions(truth, sharp))
    assert fitted.value.value == pytest.approx(2.5, rel=0.1)
    scaled = tempered(sharp, fitted.value.value, independent=True).numpy()
    before, after = (
        calibration(*decisions(truth, one), resamples=0).metrics["ece"].value
        for one in (sharp, scaled)
    )
    assert after < 0.02 < before
    least = np.array([0.2, 0.5, 0.9])
    np.testing.assert_array_equal(
        scaled >= tempered_thresholds(least, fitted.value.value), sharp >= least
    )
    absent = np.arange(1000) > 5
    kept = tempered(sharp, 2.0, absent, independent=True).numpy()
    np.testing.assert_array_equal(kept[:6], sharp[:6])


def test_scores_that_choose_an_epoch_are_those_of_the_evaluation():
    truth, scores = rows(8)
    head = multi_label(truth, scores, NAMES, resamples=0)
    of_labels = ("average_precision_macro", "average_precision_micro", "f1_micro")
    names = ("auroc", "f1_macro", "accuracy", "balanced_accuracy")
    for name in (*of_labels, *names):
        found = monitored.label_score(name, truth, scores, scores >= 0.5)
        assert found == pytest.approx(head.metrics[name].value), name
    chances = scores / scores.sum(axis=1, keepdims=True)
    classes = np.random.default_rng(0).integers(3, size=len(scores))
    one = classification(classes, chances, NAMES, resamples=0)
    for name in names:
        found = monitored.class_score(name, classes, chances)
        assert found == pytest.approx(one.metrics[name].value), name


def test_groups_are_drawn_as_a_whole():
    truth, scores = rows(9, 40)
    groups = np.repeat(np.arange(4), 10).astype(object)
    groups[:2] = None
    head = multi_label(truth, scores, NAMES, resamples=200, groups=groups)
    alone = multi_label(truth, scores, NAMES, resamples=200)
    assert head.metrics["accuracy"].value == alone.metrics["accuracy"].value
    assert head.metrics["accuracy"] != alone.metrics["accuracy"]
    # what is not known has no group that counts
    known = np.arange(40) >= 10
    same = multi_label(truth[10:], scores[10:], NAMES, resamples=200, groups=groups[10:])
    assert multi_label(truth, scores, NAMES, known, 200, groups=groups) == same
