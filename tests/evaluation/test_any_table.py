"""Any labelled table is evaluated without a second ingest, by the run's own schema."""

import json

import pandas as pd
import pytest
import small_model as small
import small_table
from typer.testing import CliRunner

from multimodal_tf.cli import app
from multimodal_tf.data.table import read_table
from multimodal_tf.data.trained import check_own_records
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.fit_guard import (
    calibrate_where_possible,
    fit_guard,
    fit_temperatures,
)
from multimodal_tf.report.model import model_report
from multimodal_tf.training.run_dir import load_run


@pytest.fixture(scope="module")
def run(small_run):
    return load_run(small_run)


@pytest.fixture(scope="module")
def test_rows():
    frame = small_table.frame()
    return frame[frame["split"] == "test"].drop(columns="split")


def metrics_of(evaluation):
    return {name: head.metrics for name, head in evaluation.heads.items()}


@pytest.fixture(scope="module")
def of_records(run, small_records):
    return evaluate(run, records=small_records, resamples=20)


@pytest.mark.parametrize("kind", ["frame", "table", "path"])
def test_rows_of_a_table_have_the_metrics_of_their_records(
    kind, run, test_rows, of_records, tmp_path
):
    test_rows.to_csv(tmp_path / "new.csv", index=False)
    source = {"frame": test_rows, "table": read_table(test_rows), "path": tmp_path / "new.csv"}
    found = evaluate(run, records=source[kind], resamples=20)
    assert metrics_of(found) == metrics_of(of_records)
    assert found.split.startswith("all rows of ")
    assert found.heads["label"].unseen == {"zebra": 1}


@pytest.mark.slow
def test_a_saved_model_is_evaluated_like_its_model(exported):
    labels = {"label": ["bird", "dog"], "tags": ["old | odd", None], "age": [3, 4.5]}
    rows = pd.DataFrame({"title": ["a red bird", ""], "price": [1, 2], **labels})
    model = evaluate(small.build(), small.CONFIG, small.SCHEMA, rows, resamples=0)
    found = evaluate(exported, records=rows, resamples=0)
    assert [head.n for head in found.heads.values()] == [2, 1, 2]
    for name, head in model.heads.items():
        for metric, value in head.metrics.items():
            served = found.heads[name].metrics[metric].value
            assert served == pytest.approx(value.value, abs=1e-5), metric


def test_one_row_of_one_class_is_no_error(run, test_rows):
    found = evaluate(run, records=test_rows[test_rows["label"].notna()][:1], resamples=20)
    assert found.rows == found.heads["label"].n == 1
    assert found.heads["label"].metrics["accuracy"].value in (0, 1)


def test_what_a_table_lacks_is_said(run, test_rows):
    some = test_rows.drop(columns=["price", "tags"])
    some = pd.concat([some, some[:1].assign(age="old"), some[:1].assign(label=None, age=None)])
    found = evaluate(run, records=some, resamples=0)
    assert found.heads["tags"].n == 0
    assert found.notes == [
        "the DataFrame has no column 'price': 'price' is missing in every row",
        "the DataFrame has no column 'tags': 'tags' is missing in every row",
        "3 of 21 rows of the DataFrame are left out; not read: no label (2), age: not a number:"
        " 'old' (1)",
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"title": ["x"]}, "has no column 'label': .*and the model needs one label at least"),
        ({"label": ["b"]}, "has no column 'title': .*and the model needs one input at least"),
        ({"label": [None], "title": ["x"]}, "no row of the DataFrame can be evaluated: no label"),
    ],
)
def test_a_table_that_tells_nothing_is_refused(run, columns, message):
    with pytest.raises(ValueError, match=message):
        evaluate(run, records=pd.DataFrame(columns))


def test_what_is_of_records_is_refused(run, test_rows):
    with pytest.raises(ValueError, match="split is of records: of a table all rows"):
        evaluate(run, records=test_rows, split="train")
    with pytest.raises(ValueError, match="table is of records"):
        evaluate(run, records=test_rows, table=read_table(test_rows))
    with pytest.raises(ValueError, match="must come with its config and its schema"):
        evaluate(run.model, records=test_rows)


def test_records_of_another_ingest_are_refused(run, tmp_path):
    table = small_table.frame()
    small_table.ingested(tmp_path / "records", table=table[::-1].reset_index(drop=True))
    message = "must be the records that the run was trained on.*give the table itself"
    with pytest.raises(ValueError, match=message):
        evaluate(run, records=tmp_path / "records")
    with pytest.raises(ValueError, match=message):
        model_report(run, tmp_path / "records", tmp_path / "report")
    for function in (fit_guard, fit_temperatures, calibrate_where_possible):
        with pytest.raises(ValueError, match="must be the records that the run was trained on"):
            function(run, tmp_path / "records")
    # a model alone does not know its records
    check_own_records(run.model, tmp_path / "records")


def test_the_command_takes_a_table(small_run, test_rows, tmp_path):
    test_rows.to_csv(tmp_path / "new.csv", index=False)
    paths = [small_run, tmp_path / "new.csv", "-o", tmp_path / "m.json"]
    arguments = ["evaluate", *map(str, paths)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "m.json").read_text())["rows"] == len(test_rows)


def test_the_report_of_a_table(run, test_rows, tmp_path):
    found = model_report(run, test_rows, tmp_path / "report", rows=None, corrupted=4, resamples=10)
    assert found.page.made_with["split"] == "all rows of the DataFrame"
    assert (tmp_path / "report" / "index.html").is_file()
