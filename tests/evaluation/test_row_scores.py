"""The scores that contributions and robustness rest on, by type of head."""

import types

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss

from multimodal_tf.config import ClassificationHead, Config, MultiLabelHead, TextInput
from multimodal_tf.config.heads import RegressionHead
from multimodal_tf.evaluation import baselines, contributions, row_scores
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.schema import Classes, Schema, thresholds

NAMES = ["a", "b", "c"]


def split(head, labels, predictions, known=None, inputs=("text",), counts=(8, 1, 1)):
    """What the functions read of a split."""
    rows, classes = len(labels), Classes(names=NAMES, counts=list(counts))
    return types.SimpleNamespace(
        config=Config(inputs={name: TextInput() for name in inputs}, heads={"label": head}),
        schema=Schema(rows=10, inputs={}, heads={"label": classes}),
        head="label",
        labels=np.asarray(labels),
        known=np.ones(rows, bool) if known is None else np.asarray(known, bool),
        predictions={"label": np.asarray(predictions, float)},
        thresholds=np.array(thresholds("label", head, classes)),
        groups=None,
    )


def labels_of(rows=200):
    """Three rare labels, and probabilities that rank them well but stay below one half."""
    random = np.random.default_rng(0)
    truth = (random.random((rows, 3)) < 0.1).astype(float)
    return truth, np.clip(0.05 + 0.3 * truth + 0.1 * random.random(truth.shape), 0, 1)


def test_labels_are_scored_by_average_precision_of_the_known_rows():
    truth, chances = labels_of()
    known = np.arange(200) % 4 > 0
    some = split(MultiLabelHead(), truth, chances, known)
    assert row_scores.unit_of(some.config, "label") == "average precision"
    expected = average_precision_score(truth[known], chances[known], average="macro")
    found = row_scores.values(some, some.predictions)
    assert found[known].mean() == pytest.approx(expected)
    assert expected > 0.9
    # the share of labels right is the same for a model that knows nothing
    nothing = {"label": np.full_like(chances, 0.1)}
    assert ((chances >= 0.5) == (truth > 0)).mean() == ((nothing["label"] >= 0.5) == truth).mean()
    assert row_scores.values(some, nothing)[known].mean() < 0.2


def test_losses_are_log_losses_or_absolute_errors():
    truth, chances = labels_of()
    some = split(MultiLabelHead(), truth, chances)
    expected = [log_loss(truth[i], chances[i], labels=[0, 1]) for i in range(5)]
    assert row_scores.losses(some, some.predictions)[:5] == pytest.approx(expected, rel=1e-5)
    classes = split(ClassificationHead(), [0, 2, -1], np.full((3, 3), [0.5, 0.25, 0.25]))
    found = row_scores.losses(classes, classes.predictions)
    assert found[:2] == pytest.approx([np.log(2), np.log(4)])
    numbers = split(RegressionHead(), [[1.0], [2.0]], [[3.0], [2.0]])
    assert row_scores.losses(numbers, numbers.predictions).tolist() == [2, 0]


def test_a_row_is_right_in_all_its_labels_or_not():
    some = split(MultiLabelHead(), [[1, 0, 0], [1, 1, 0]], [[0.9, 0.1, 0.2], [0.9, 0.1, 0.2]])
    assert row_scores.right(some).tolist() == [True, False]
    some.thresholds = np.array([0.5, 0.1, 0.5])
    assert row_scores.right(some).tolist() == [False, True]
    assert row_scores.right(split(RegressionHead(), [[1.0]], [[1.0]])) is None


def test_intervals_of_shares_end_at_0_and_1_and_those_of_errors_do_not():
    metric = Metric(0.97, 9, low=0.9, high=1.04)
    assert row_scores.with_unit(metric, "average precision").high == 1
    assert row_scores.with_unit(metric, "negative absolute error").high == 1.04


def test_the_majority_is_that_of_the_training_rows():
    some = split(ClassificationHead(), [0, 0, 1, 1, 1], np.eye(3)[[0, 0, 1, 1, 1]])
    assert baselines.majority(some).value == pytest.approx(2 / 5)
    truth, chances = labels_of()
    assert baselines.majority(split(MultiLabelHead(), truth, chances)) is None


class Priors:
    """A model that gives the class priors without any input, and else is mostly right."""

    def __init__(self, predictions):
        self.predictions = predictions

    def predict_features(self, features, without):
        rows = len(next(iter(features.values())))
        prior = np.tile([0.8, 0.1, 0.1], (rows, 1))
        if len(without) == 2:
            return {"label": prior}
        return {"label": (prior + self.predictions["label"][:rows]) / 2}


def test_the_class_that_is_predicted_without_inputs_gets_no_negative_values():
    labels = np.array([0] * 80 + [1] * 10 + [2] * 10)
    sure = np.eye(3)[labels] * 0.9 + 0.1 / 3
    some = split(ClassificationHead(), labels, sure, inputs=("text", "more"), counts=(80, 10, 10))
    features = {name: np.zeros((100, 1)) for name in ("text", "more")}
    found = contributions.modality_contributions(
        Priors(some.predictions), some, features, resamples=20, seed=0
    )
    assert found.all.unit == "accuracy"
    for name in NAMES:
        values = [metric.value for metric in found.classes[name].shapley.values()]
        assert min(values) > 0
        gain = np.log(sure.max()) - np.log(0.8 if name == "a" else 0.1)
        assert sum(values) == pytest.approx(gain)
