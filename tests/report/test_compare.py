"""Comparison of runs: the page, rows of disagreement, models, refusals."""

import copy
import functools
import json

import numpy as np
import pandas as pd
import pytest
import title_table
from predictions_of_runs import ONE, OTHER, TRUTH, chosen, numbers, predicted
from title_table import CONFIG

from multimodal_tf import cli
from multimodal_tf.config import (
    ClassificationHead,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrdinalHead,
    QuantileHead,
    Split,
)
from multimodal_tf.data.predictions import HeadPredictions, Predicted
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.comparison import predict_split
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.predictor import of_model
from multimodal_tf.models.build import build_model
from multimodal_tf.report.compare import compare


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
        (tile,) = found.page.tiles
        assert (tile.name, tile.value.value, tile.section) == (
            "accuracy of label, gated",
            0.75,
            "label",
        )
        assert tile.details[0] == "plain 0.500"
        assert tile.details[1].startswith("difference +0.250 (")
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

    def test_a_multi_label_head_is_compared_by_average_precision(self, tmp_path):
        truth = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
        exact, wrong = np.where(truth, 0.4, 0.3), np.where(truth, 0.6, 0.9)
        runs = {
            name: predicted(HeadPredictions(MultiLabelHead(), ("a", "b"), truth, [True] * 4, found))
            for name, found in (("wrong", wrong), ("exact", exact))
        }
        found = compare(runs, None, tmp_path / "out", resamples=0)
        (tile,) = found.page.tiles
        assert tile.name == "average precision macro of label, exact"
        assert tile.value.value == 1
        assert tile.details[0] == "wrong 0.500"

    def test_runs_that_agree_have_a_note(self, tmp_path):
        found = compare(
            {"a": predicted(ONE), "b": predicted(ONE)}, None, tmp_path / "out", resamples=0
        )
        assert "All runs predict the same label in every row." in [
            getattr(block, "text", "") for block in found.page.sections[0].blocks
        ]


@pytest.mark.slow
class TestModels:
    def test_metrics_are_those_of_evaluate(self, title_run, trained, records, tmp_path):
        """Of a model and of another one's SavedModel."""
        config = CONFIG.model_copy(
            update={"inputs": {name: CONFIG.inputs[name] for name in ("price", "colour")}}
        )
        small = build_model(config, trained.schema)
        runs = {
            "small": of_model(small, config, trained.schema),
            "whole": title_run / "saved" / "1",
        }
        found = compare(runs, records, tmp_path / "out", resamples=20)
        for name, model, its in (("small", small, config), ("whole", trained.model, CONFIG)):
            evaluated = evaluate(model.predict, its, trained.schema, records, resamples=0)
            for head, compared in found.heads.items():
                for key, metric in evaluated.heads[head].metrics.items():
                    assert compared.metrics[key].metrics[name].value == (
                        None
                        if metric.value is None
                        else pytest.approx(metric.value, rel=1e-4, abs=1e-5)
                    )
        assert (tmp_path / "out" / "index.html").is_file()

    def test_rows_have_their_numbers_in_the_table(self, predictor, records):
        found = predict_split(predictor, records)
        label = found.heads["label"]
        words = title_table.frame()["label"][found.rows]
        seen = words.isin(label.classes).to_numpy()
        assert np.array_equal(label.known, seen)
        assert [label.classes[target] for target in label.targets[seen]] == list(words[seen])

    def test_the_command_line(self, title_run, records, tmp_path, monkeypatch, capsys):
        few = functools.partial(compare, resamples=20)
        monkeypatch.setattr("multimodal_tf.report.compare.compare", few)
        runs = title_run / "run", title_run / "saved" / "1"
        words = ["compare", *runs, records, "--out", tmp_path / "out"]
        monkeypatch.setattr("sys.argv", ["multimodal-tf", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
        assert "Report:" in capsys.readouterr().out
        document = json.loads((tmp_path / "out" / "report.json").read_text())
        assert document["made_with"]["resamples"].startswith("20 of rows")

    def test_without_the_table_of_groups_the_page_warns(self, predictor, records, tmp_path):
        grouped = copy.copy(predictor)
        grouped.config = CONFIG.model_copy(update={"split": Split(group="shop")})
        found = compare({"a": grouped, "b": grouped}, records, tmp_path / "out", resamples=0)
        assert "the table with the column shop was not given" in found.page.summary[-1]


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

    @pytest.mark.slow
    def test_models_without_records_or_of_other_records(self, predictor, records, tmp_path):
        self.refused(
            "records must be given where a run is a model, received none for 'a'",
            tmp_path,
            predictor,
            predictor,
        )
        other = copy.copy(predictor)
        priced = CONFIG.inputs | {"price": NumberInput(column="cost")}
        other.config = CONFIG.model_copy(update={"inputs": priced})
        self.refused(
            "run 'b': inputs.price: .* was ingested with",
            tmp_path,
            predictor,
            other,
            records=records,
        )
        self.refused(
            "no such folder",
            tmp_path,
            tmp_path / "none",
            predictor,
            records=records,
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
