"""Out-of-fold predictions of several schemas, their metrics by fold, and paired comparisons."""

import numpy as np
import pytest
from cross_validated import fold_scores

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    MultiLabelHead,
    NumberInput,
    OrdinalHead,
)
from multimodal_tf.data.predictions import HeadPredictions, OutOfFold
from multimodal_tf.evaluation import cv_metrics
from multimodal_tf.metrics.resampled_t import interval, paired_test
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.training import out_of_fold


def by_hand(fold, targets, predictions, known=None, head=None, classes=("cat", "dog")):
    """Out-of-fold predictions of one head `label`, the same in each repetition."""
    known = np.ones(len(targets), bool) if known is None else known
    predicted = HeadPredictions(
        head or ClassificationHead(), classes, np.array(targets), known, np.array(predictions)
    )
    return OutOfFold(np.arange(len(targets)), np.array(fold), {"label": (predicted,) * len(fold)})


class TestPredictionsOfSeveralSchemas:
    def test_classes_that_a_fold_has_not_seen_have_probability_0(self):
        schemas = [
            Schema(rows=2, inputs={}, heads={"label": Classes(names=names, counts=[1, 1])})
            for names in (["a", "c"], ["b", "c"])
        ]
        held = [
            {
                "rows": np.array([3, 0]),
                "label/targets": np.array([0, 1]),
                "label/known": np.array([1, 1]) > 0,
            },
            {
                "rows": np.array([1, 2]),
                "label/targets": np.array([0, 0]),
                "label/known": np.array([1, 0]) > 0,
            },
        ]
        for one, predictions in zip(held, ([[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.3, 0.7]])):
            one["label/predictions"] = np.array(predictions)
        config = Config(inputs={"price": NumberInput()}, heads={"label": ClassificationHead()})
        found = out_of_fold.combine(config, schemas, held, 2)
        label = found.heads["label"][0]
        assert (list(found.rows), found.fold.tolist(), label.classes) == (
            [0, 1, 2, 3],
            [[0, 1, 1, 0]],
            ("a", "b", "c"),
        )
        assert label.predictions == pytest.approx(
            np.array([[0.2, 0, 0.8], [0, 0.6, 0.4], [0, 0.3, 0.7], [0.9, 0, 0.1]])
        )
        assert list(label.targets[label.known]) == [2, 1, 0]

    def test_ordinal_classes_keep_their_order(self):
        sizes = Classes(names=["S", "M", "L"], counts=[1, 1, 1])
        head = OrdinalHead(classes=["S", "M", "L"])
        assert out_of_fold._classes(head, [sizes]) == ("S", "M", "L")
        folds = [Classes(names=names, counts=[1, 1]) for names in (["2", "10"], ["9", "10"])]
        assert out_of_fold._classes(OrdinalHead(), folds) == ("2", "9", "10")


class TestMetrics:
    FOLD = ([0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2])
    TARGETS = [0, 1, 0, 1, 0, 1]
    # rows 3 and 5 are misclassified
    RIGHT = np.array([1, 1, 1, 0, 1, 0], bool)

    def predictions(self, right=RIGHT):
        probability = np.where(right, 0.9, 0.1)
        of_first = np.where(np.array(self.TARGETS) == 0, probability, 1 - probability)
        return np.stack([of_first, 1 - of_first], axis=1)

    def test_scores_by_hand(self):
        found = fold_scores(
            by_hand(self.FOLD, self.TARGETS, self.predictions()), "label", "accuracy"
        )
        assert found.tolist() == [[1.0, 0.5, 0.5], [0.5, 1.0, 0.5]]

    def test_a_row_that_is_not_known_does_not_count(self):
        known = np.array([1, 1, 1, 0, 1, 1], bool)
        found = fold_scores(
            by_hand(self.FOLD, self.TARGETS, self.predictions(), known), "label", "accuracy"
        )
        assert found.tolist() == [[1.0, 1.0, 0.5], [1.0, 1.0, 0.5]]

    def test_the_interval_is_nadeau_and_bengios_of_the_scores(self, first):
        judged = cv_metrics.cross_validation_metrics(first)
        for head, metric in (("label", "accuracy"), ("age", "mae")):
            scores = fold_scores(first, head, metric)
            assert judged.heads[head].metrics[metric].mean == interval(scores)
            assert judged.heads[head].metrics[metric].scores == scores.tolist()
        by_rows = np.abs(first.heads["age"][0].predictions[:, 0] - first.heads["age"][0].targets)
        assert fold_scores(first, "age", "mae")[0] == pytest.approx(
            [by_rows[first.fold[0] == number].mean() for number in range(2)]
        )

    def test_an_undefined_metric_says_so(self):
        judged = cv_metrics.cross_validation_metrics(
            by_hand([[0, 0, 1, 1]], [0, 1, 0, 0], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
        )
        area = judged.heads["label"].metrics["auroc"]
        assert (area.mean.value, area.mean.reason, area.scores) == (
            None,
            "not defined in 1 of 2 folds",
            [[1.0, None]],
        )

    def test_every_type_of_head_has_its_metrics(self):
        rows = np.arange(4)
        tags = HeadPredictions(
            MultiLabelHead(), ("x", "y"), np.eye(2)[[0, 1, 0, 1]], rows >= 0, np.full((4, 2), 0.6)
        )
        sizes = HeadPredictions(
            OrdinalHead(classes=["S", "L"]), ("S", "L"), rows % 2, rows >= 0, np.full((4, 2), 0.5)
        )
        judged = cv_metrics.cross_validation_metrics(
            OutOfFold(rows, np.array([[0, 0, 1, 1]]), {"tags": (tags,), "size": (sizes,)})
        )
        assert judged.heads["tags"].metrics["accuracy"].mean.value == 0.5
        assert judged.heads["size"].metrics["rank_mae"].mean.value == 0.5
        assert cv_metrics.CrossValidated.model_validate_json(judged.model_dump_json()) == judged


class TestTwoConfigurations:
    def test_the_paired_test_is_on_the_scores_of_the_same_folds(self, first, second):
        found = {(one.head, one.metric): one for one in cv_metrics.compare(first, second)}
        one, other = (fold_scores(each, "label", "log_loss") for each in (first, second))
        test = found["label", "log_loss"].test
        assert test == paired_test(one, other)
        assert test.difference.value == pytest.approx(one.mean() - other.mean())
        assert found["label", "accuracy"].test.n == 2

    def test_unpaired_predictions_are_refused_in_one_sentence(self, first):
        fold, targets, predictions = [[0, 1, 0, 1]], [0, 1, 0, 1], [[0.9, 0.1]] * 4
        ours = by_hand(fold, targets, predictions)
        fewer = OutOfFold(np.array([0, 1, 2, 7]), ours.fold, ours.heads)
        ordered = by_hand(fold, targets, predictions, head=OrdinalHead(classes=["cat", "dog"]))
        wrong = [
            (
                fewer,
                "same rows of the table, received 4 and 4 rows, of which 2 are in one only, "
                "such as row 3",
            ),
            (by_hand([[1, 0, 0, 1]], targets, predictions), "the same folds"),
            (
                ordered,
                "'label' must be of one type in both configurations, received classification "
                "and ordinal",
            ),
            (
                OutOfFold(ours.rows, ours.fold, {"other": ours.heads["label"]}),
                "a head in common, received .'label'. and .'other'.",
            ),
        ]
        for other, message in wrong:
            with pytest.raises(ValueError, match=message):
                cv_metrics.compare(ours, other)
