"""Comparison of runs: paired differences, groups drawn as a whole, disagreement, refusals."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
import small_table as case

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    Split,
)
from multimodal_tf.data.predictions import HeadPredictions, Predicted
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import by_head
from multimodal_tf.evaluation.comparison import predict_split
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.paired import compare_head
from multimodal_tf.evaluation.predictor import of_model
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.classification import classification, ordinal
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.regression import quantile, regression
from multimodal_tf.models.build import build_model, explanations
from multimodal_tf.report.compare import compare
from multimodal_tf.serving.export import export_model

TRUTH = np.array([0, 0, 0, 1, 1, 1, 1, 0])
RESAMPLES = 200


def chosen(right, classes=("cat", "dog"), known=None, head=None):
    """Predictions of two classes: 0.8 for the right class where `right`, else 0.3."""
    right = np.array(right, bool)
    of_right = np.where(right, 0.8, 0.3)
    second = np.where(TRUTH == 1, of_right, 1 - of_right)
    known = np.ones(len(TRUTH), bool) if known is None else known
    return HeadPredictions(
        head or ClassificationHead(), classes, TRUTH, known, np.stack([1 - second, second], axis=1)
    )


ONE, OTHER = chosen([1, 1, 0, 1, 0, 1, 0, 0]), chosen([1, 1, 1, 1, 0, 1, 1, 0])


def predicted(predicted, rows=None, head="label"):
    return Predicted(np.arange(len(predicted.known)) if rows is None else rows, {head: predicted})


def numbers(predictions, head=None, targets=(1.0, 2.0, 4.0, 8.0)):
    return HeadPredictions(
        head or RegressionHead(),
        (),
        np.array(targets),
        np.ones(len(targets), bool),
        np.array(predictions).reshape(len(targets), -1),
    )


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


class TestPage:
    def test_the_page_shows_the_difference_and_the_rows_of_disagreement(self, tmp_path):
        table = read_table(
            pd.DataFrame(
                {
                    "title": [f"title {row} <script>" for row in range(10)],
                    "shop": list("aabbccddee"),
                }
            )
        )
        rows = np.arange(1, 9)
        found = compare(
            {"plain": predicted(ONE, rows), "gated": predicted(OTHER, rows)},
            None,
            tmp_path / "out",
            table=table,
            group="shop",
            resamples=50,
        )
        assert found.page.summary[0].startswith(
            "label: gated and plain do not differ significantly: accuracy 0.750 against 0.500, "
            "a difference of +0.250"
        )
        document = json.loads((tmp_path / "out" / "report.json").read_text())
        blocks = {
            block.get("title", block["type"]): block for block in document["sections"][0]["blocks"]
        }
        differing = blocks["Rows on which runs disagree in label, largest difference first: 2 of 2"]
        assert [row[:4] for row in differing["rows"]] == [
            [3, "cat", "dog (0.70)", "cat (0.80)"],
            [7, "dog", "cat (0.70)", "dog (0.80)"],
        ]
        assert differing["rows"][0][4:] == ["title 3 <script>", "b"]
        assert blocks["Rows of label by which runs are right"]["rows"] == [["gated", 4, 2, 0, 2]]
        assert "title 3 &lt;script&gt;" in (tmp_path / "out" / "index.html").read_text()
        assert document["made_with"]["resamples"] == "50 of groups, 5, seed 0"

    def test_a_significant_difference_is_called_better(self, tmp_path):
        one, other = numbers([2.0, 3, 5, 9]), numbers([1.1, 2.1, 4.1, 8.1])
        found = compare(
            {"a": predicted(one, head="price"), "b": predicted(other, head="price")},
            None,
            tmp_path / "out",
            resamples=50,
        )
        assert found.page.summary[0].startswith(
            "price: b is better than a: mae 0.100 against 1.000, "
            "a difference of -0.900 (-0.900 .. -0.900)"
        )

    def test_runs_that_agree_have_a_note(self, tmp_path):
        found = compare(
            {"a": predicted(ONE), "b": predicted(ONE)}, None, tmp_path / "out", resamples=0
        )
        assert "All runs predict the same label in every row." in [
            getattr(block, "text", "") for block in found.page.sections[0].blocks
        ]


SMALL = Config(
    inputs={name: case.CONFIG.inputs[name] for name in ("price", "colour")},
    heads=case.CONFIG.heads,
    fusion={"hidden": [4]},
    split=case.CONFIG.split,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Records, and two models of other inputs, the second also as a SavedModel."""
    folder = tmp_path_factory.mktemp("compare")
    schema = case.ingested(folder / "records")
    keras.utils.set_random_seed(1)
    small, whole = (
        build_model(config, schema)
        for config in (SMALL, SMALL.model_copy(update={"fusion": case.CONFIG.fusion}))
    )
    other = SMALL.model_copy(update={"fusion": case.CONFIG.fusion})
    export_model(whole, other, schema, folder / "saved" / "1", explanations(whole))
    return folder, schema, small, whole, other


class TestModels:
    def test_metrics_are_those_of_evaluate(self, models, tmp_path):
        folder, schema, small, whole, other = models
        runs = {"small": of_model(small, SMALL, schema), "whole": folder / "saved" / "1"}
        found = compare(runs, folder / "records", tmp_path / "out", resamples=20)
        for name, model, config in (("small", small, SMALL), ("whole", whole, other)):
            evaluated = evaluate(model.predict, config, schema, folder / "records", resamples=0)
            for head, compared in found.heads.items():
                for key, metric in evaluated.heads[head].metrics.items():
                    assert compared.metrics[key].metrics[name].value == (
                        None
                        if metric.value is None
                        else pytest.approx(metric.value, rel=1e-4, abs=1e-5)
                    )
        assert (tmp_path / "out" / "index.html").is_file()

    def test_rows_have_their_numbers_in_the_table(self, models):
        folder, schema, small, _, _ = models
        found = predict_split(of_model(small, SMALL, schema), folder / "records")
        label = found.heads["label"]
        words = case.frame()["label"][found.rows]
        seen = words.isin(label.classes).to_numpy()
        assert np.array_equal(label.known, seen)
        assert [label.classes[target] for target in label.targets[seen]] == list(words[seen])

    def test_the_command_line(self, models, tmp_path, monkeypatch, capsys):
        from multimodal_tf import cli

        folder = models[0]
        shutil.copytree(folder / "saved" / "1", folder / "saved" / "2")
        words = [
            "compare",
            folder / "saved" / "1",
            folder / "saved" / "2",
            folder / "records",
            "--out",
            tmp_path / "out",
        ]
        monkeypatch.setattr("sys.argv", ["multimodal-tf", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
        assert "Report:" in capsys.readouterr().out


class TestRefused:
    def refused(self, message, tmp_path, *runs, error=ValueError, **arguments):
        with pytest.raises(error, match=message):
            compare(
                dict(zip("abc", runs)),
                arguments.pop("records", None),
                tmp_path / "out",
                **arguments,
            )
        assert not (tmp_path / "out").exists()

    def test_one_run(self, tmp_path):
        self.refused(r"two runs or more, received \['a'\]", tmp_path, predicted(ONE))
        self.refused("two runs or more, received none", tmp_path)

    def test_other_heads_classes_or_quantiles(self, tmp_path):
        self.refused(
            r"same heads, received 'a' with \['label'\] and 'b' with \['x'\]",
            tmp_path,
            predicted(ONE),
            predicted(ONE, head="x"),
        )
        owl = chosen([1] * 8, classes=("cat", "owl"))
        self.refused(
            "same classes in all runs, received .*'dog'.* in 'a' and .*'owl'.* in 'b'",
            tmp_path,
            predicted(ONE),
            predicted(owl),
        )
        ordered = chosen([1] * 8, head=OrdinalHead(classes=["cat", "dog"]))
        self.refused(
            "same type in all runs, received classification in 'a' and ordinal",
            tmp_path,
            predicted(ONE),
            predicted(ordered),
        )
        low, high = (
            numbers([[0, 1]] * 4, QuantileHead(quantiles=levels))
            for levels in ([0.1, 0.5], [0.5, 0.9])
        )
        self.refused("same quantiles in all runs", tmp_path, predicted(low), predicted(high))

    def test_other_rows_or_labels(self, tmp_path):
        self.refused(
            "the same rows of one table, received 8 rows of 'a' and 8 of 'b'",
            tmp_path,
            predicted(ONE),
            predicted(ONE, np.arange(1, 9)),
        )
        swapped = HeadPredictions(ONE.head, ONE.classes, 1 - TRUTH, ONE.known, ONE.predictions)
        self.refused(
            "the same table, received other labels of 'label' in 'b'",
            tmp_path,
            predicted(ONE),
            predicted(swapped),
        )

    def test_rows_without_a_known_label(self, tmp_path):
        runs = [
            predicted(
                HeadPredictions(one.head, one.classes, TRUTH, np.zeros(8, bool), one.predictions)
            )
            for one in (ONE, OTHER)
        ]
        self.refused(
            r"must have a known label of \['label'\], received none in 8 rows", tmp_path, *runs
        )

    def test_a_group_without_the_table_or_the_column(self, tmp_path):
        runs = predicted(ONE), predicted(OTHER)
        self.refused("group needs the table", tmp_path, *runs, group="shop")
        table = read_table(pd.DataFrame({"title": ["a"] * 8}))
        self.refused("must have the column 'shop'", tmp_path, *runs, table=table, group="shop")
        self.refused(
            "with a row 7, received .* of 2 rows",
            tmp_path,
            *runs,
            table=read_table(pd.DataFrame({"title": ["a"] * 2})),
        )

    def test_a_prediction_that_is_nan(self, tmp_path):
        broken = HeadPredictions(ONE.head, ONE.classes, TRUTH, ONE.known, np.full((8, 2), np.nan))
        self.refused(
            "head 'label': predictions must be finite numbers",
            tmp_path,
            predicted(ONE),
            predicted(broken),
        )

    def test_models_without_records_or_of_other_records(self, models, tmp_path):
        folder, schema, small, _, _ = models
        predictor = of_model(small, SMALL, schema)
        self.refused(
            "records must be given where a run is a model, received none for 'a'",
            tmp_path,
            predictor,
            predictor,
        )
        priced = SMALL.inputs | {"price": NumberInput(column="cost")}
        other = of_model(small, SMALL.model_copy(update={"inputs": priced}), schema)
        self.refused(
            "run 'b': inputs.price: .* was ingested with",
            tmp_path,
            predictor,
            other,
            records=folder / "records",
        )
        self.refused(
            "no such folder",
            tmp_path,
            tmp_path / "none",
            predictor,
            records=folder / "records",
            error=FileNotFoundError,
        )

    def test_a_folder_with_other_files(self, tmp_path):
        (tmp_path / "letter.txt").write_text("dear")
        with pytest.raises(FileExistsError, match="holds letter.txt"):
            compare({"a": predicted(ONE), "b": predicted(OTHER)}, None, tmp_path)

    def test_arrays_that_do_not_fit(self):
        with pytest.raises(
            ValueError,
            match=r"of a classification head must have the shape \(8, 2\), received \(8, 1\)",
        ):
            HeadPredictions(
                ClassificationHead(), ("cat", "dog"), TRUTH, ONE.known, ONE.predictions[:, :1]
            )
        with pytest.raises(ValueError, match="a known target must be from 0 to 1, received 0 to 2"):
            HeadPredictions(
                ClassificationHead(), ("cat", "dog"), TRUTH * 2, ONE.known, ONE.predictions
            )
        with pytest.raises(
            ValueError, match="evaluated by their labels, received a head of type matching"
        ):
            HeadPredictions(
                MatchingHead(inputs=["photo", "title"]), (), TRUTH, ONE.known, ONE.predictions
            )
        with pytest.raises(ValueError, match="as many rows as `rows`"):
            predicted(ONE, np.arange(3))
        with pytest.raises(ValueError, match="must have a head with a label, received none"):
            Predicted(np.arange(3), {})


def test_without_the_table_of_groups_the_page_warns(models, tmp_path):
    folder, schema, small, _, _ = models
    grouped = SMALL.model_copy(
        update={
            "split": Split(group="shop"),
            "inputs": {"price": NumberInput(), "colour": SMALL.inputs["colour"]},
        }
    )
    runs = {name: of_model(small, grouped, schema) for name in ("a", "b")}
    found = compare(runs, folder / "records", tmp_path / "out", resamples=0)
    assert "the table with the column shop was not given" in found.page.summary[-1]
