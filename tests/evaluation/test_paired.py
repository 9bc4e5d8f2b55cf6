"""Differences of runs on the same rows: by hand, paired, and with groups drawn as a whole."""

import numpy as np
import pytest
from predictions_of_runs import ONE, OTHER, TRUTH, chosen, numbers

from multimodal_tf.config import MultiLabelHead, OrdinalHead, QuantileHead
from multimodal_tf.data.predictions import HeadPredictions
from multimodal_tf.evaluation import by_head
from multimodal_tf.evaluation.paired import compare_head
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.classification import classification, ordinal
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.regression import quantile, regression

RESAMPLES = 200


class TestDifferences:
    def test_by_hand(self):
        """4 and 6 of 8 rows are right, 2 and 3 of 4 for each class."""
        found = compare_head({"one": ONE, "other": OTHER}, resamples=RESAMPLES)
        accuracy = found.metrics["accuracy"]
        assert (found.n, accuracy.metrics["one"].value, accuracy.metrics["other"].value) == (
            8,
            0.5,
            0.75,
        )
        assert accuracy.differences["other"].value == 0.25
        assert {
            name: (each.n, each.differences["other"].value) for name, each in found.classes.items()
        } == {
            "cat": (4, 0.25),
            "dog": (4, 0.25),
        }

    def test_the_interval_is_that_of_differences_on_the_same_draws(self):
        found = (
            compare_head({"one": ONE, "other": OTHER}, resamples=RESAMPLES, seed=3)
            .metrics["accuracy"]
            .differences["other"]
        )
        random = np.random.default_rng(3)
        gained = np.array([0, 0, 1, 0, 0, 0, 1, 0])
        drawn = [gained[random.integers(8, size=8)].mean() for _ in range(RESAMPLES)]
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
        # no row got worse, so no resample can: unpaired intervals would not show this
        assert found.low >= 0

    def test_a_run_and_itself_do_not_differ(self):
        found = compare_head({"one": ONE, "same": ONE}, resamples=RESAMPLES)
        assert all(
            (each.differences["same"].value, each.differences["same"].low) == (0, 0)
            for each in found.metrics.values()
        )

    def test_metrics_are_those_of_evaluation(self):
        found = compare_head({"one": ONE, "other": OTHER}, resamples=RESAMPLES, seed=1)
        alone = classification(
            ONE.targets, ONE.predictions, ONE.classes, resamples=RESAMPLES, seed=1
        )
        assert {name: each.metrics["one"] for name, each in found.metrics.items()} == alone.metrics

    def test_rows_without_a_label_do_not_count(self):
        known = np.array([1, 1, 0, 1, 1, 1, 1, 1], bool)
        one, other = (
            chosen(right, known=known)
            for right in ([1, 1, 0, 1, 0, 1, 0, 0], [1, 1, 1, 1, 0, 1, 1, 0])
        )
        found = compare_head({"one": one, "other": other}, resamples=0)
        assert (found.n, found.metrics["accuracy"].differences["other"].value) == (
            7,
            pytest.approx(5 / 7 - 4 / 7),
        )

    def test_several_runs_are_each_compared_with_the_first(self):
        found = compare_head({"a": ONE, "b": OTHER, "c": ONE}, resamples=0)
        differences = found.metrics["accuracy"].differences
        assert {run: metric.value for run, metric in differences.items()} == {"b": 0.25, "c": 0}

    def test_a_class_without_rows_has_no_metric(self):
        three = [
            HeadPredictions(
                one.head,
                ("cat", "dog", "owl"),
                TRUTH,
                one.known,
                np.pad(one.predictions, [(0, 0), (0, 1)]),
            )
            for one in (ONE, OTHER)
        ]
        found = compare_head({"one": three[0], "other": three[1]}, resamples=10)
        assert (
            found.classes["owl"].metrics["one"].reason
            == found.classes["owl"].differences["other"].reason
            == "no row is of this class"
        )

    def test_numbers(self):
        one, other = numbers([2.0, 2, 4, 8]), numbers([1.0, 2, 4, 6])
        found = compare_head({"one": one, "other": other}, resamples=0)
        assert found.metrics["mae"].differences["other"].value == pytest.approx(2 / 4 - 1 / 4)
        assert found.metrics["rmse"].differences["other"].value == pytest.approx(1 - 0.5)
        assert found.classes == {}

    def test_labels_by_each_labels_decisions(self):
        marks = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
        rows = [
            HeadPredictions(MultiLabelHead(), ("x", "y"), marks, np.ones(4, bool), scores)
            for scores in (marks * 0.9, np.full((4, 2), 0.9))
        ]
        found = compare_head({"one": rows[0], "other": rows[1]}, resamples=0)
        assert found.metrics["exact_match"].differences["other"].value == 0.25 - 1
        assert found.classes["y"].differences["other"].value == -0.5


class TestDrawing:
    def test_groups_are_drawn_whole(self):
        """The same as weights of groups, as in `clustered.weighted_metrics`."""
        codes = group_codes(["a", "b", "a", "c", "b", "a", "c", "d"], 8)
        found = (
            compare_head({"one": ONE, "other": OTHER}, codes, RESAMPLES, seed=2)
            .metrics["accuracy"]
            .differences["other"]
        )
        gained = (OTHER.predictions.argmax(axis=1) == TRUTH).astype(float) - (
            ONE.predictions.argmax(axis=1) == TRUTH
        )
        by_weight = weighted_metrics(
            lambda weights: {"mean": weights @ gained / weights.sum()}, codes, RESAMPLES, 2
        )["mean"]
        assert (found.value, found.low, found.high) == pytest.approx(
            (by_weight.value, by_weight.low, by_weight.high)
        )

    def test_a_group_for_each_row_is_no_group(self):
        statistic = bootstrap.row_means({"mean": np.arange(5.0)})
        alone = bootstrap.resample(statistic, 5, 20, 0)["mean"]
        assert np.array_equal(bootstrap.resample(statistic, 5, 20, 0, np.arange(5))["mean"], alone)
        # of one group there is nothing to draw
        assert bootstrap.resample(statistic, 5, 20, 0, np.zeros(5, int)) == {}

    def test_a_draw_has_each_drawn_groups_rows_and_no_others(self):
        codes = np.array([1, 0, 2, 1, 0, 1])
        seen = []
        bootstrap.resample(
            lambda index: seen.append(sorted(index)) or {"n": len(index)}, 6, 30, 0, codes
        )
        random, members = np.random.default_rng(0), [[1, 4], [0, 3, 5], [2]]
        assert seen == [
            sorted(row for group in random.integers(3, size=3) for row in members[group])
            for _ in range(30)
        ]

    @pytest.mark.parametrize(
        ("one", "alone"),
        [
            (chosen([1, 0] * 4, head=OrdinalHead(classes=["cat", "dog"])), ordinal),
            (
                numbers(
                    [[0, 1, 2], [2, 3, 4], [1, 4, 9], [7, 9, 9]],
                    QuantileHead(quantiles=[0.1, 0.5, 0.9]),
                ),
                lambda labels, rows, levels, **kwargs: quantile(labels, rows, levels, 1, **kwargs),
            ),
            (numbers([1.5, 2.5, 3.0, 8.0]), regression),
        ],
        ids=["ordinal", "quantile", "regression"],
    )
    def test_each_types_resamples_give_its_own_intervals(self, one, alone):
        names = one.classes or getattr(one.head, "quantiles", None)
        metrics = alone(
            one.targets, one.predictions, *([names] if names else []), resamples=50, seed=4
        ).metrics
        drawn = by_head.samples(one, 50, 4)
        assert metrics.keys() == drawn.keys()
        assert {name: (metric.low, metric.high) for name, metric in metrics.items()} == {
            name: bootstrap.interval(samples)[:2] for name, samples in drawn.items()
        }
