"""Thresholds of multi-label heads, from `fit` to the served labels, and calibrated exports."""

import dataclasses
import sys
import types

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from small_table import ingested

from multimodal_tf import cli
from multimodal_tf.config import (
    Config,
    DenseTower,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    Split,
    Training,
)
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import by_head
from multimodal_tf.evaluation.comparison import compare_runs
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.fit_guard import calibrate_where_possible
from multimodal_tf.evaluation.predictor import of_saved_model
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.thresholds import fit_thresholds
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.cross_validation import cross_validate
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

ROWS = 400


def config(threshold="fitted", **head):
    return Config(
        inputs={name: NumberInput(tower=DenseTower(dim=4)) for name in ("a", "b")},
        heads={"tags": MultiLabelHead(threshold=threshold, **head)},
        fusion={"hidden": [6], "dropout": 0.0},
        split=Split(column="split"),
        training=Training(epochs=4, batch_size=32, learning_rate=0.02),
    )


def frame():
    """Two labels, of which one is rare; some rows have none, and some are not known."""
    random = np.random.default_rng(0)
    values = random.normal(size=(ROWS, 2))
    flags = values + random.normal(size=(ROWS, 2)) > [0.0, 1.6]
    tags = [";".join(np.array(["common", "rare"])[row]) or "none" for row in flags]
    table = pd.DataFrame({"a": values[:, 0], "b": values[:, 1], "tags": tags})
    table["split"] = np.array(["train", "train", "validation", "test"])[np.arange(ROWS) % 4]
    table.loc[random.random(ROWS) < 0.05, "tags"] = None
    table.loc[random.random(ROWS) < 0.1, "a"] = None
    return table


@pytest.fixture(scope="module")
def folder(once):
    def make(folder):
        table = frame()
        table.to_parquet(folder / "table.parquet")
        schema = ingested(folder / "records", config(), table)
        fit(config(), schema, folder / "records", folder / "run", verbose=0)

    return once("thresholds", make)


@pytest.fixture(scope="module")
def trained(folder):
    return load_run(folder / "run")


def known_rows(run, folder, split):
    """Truth and probabilities of the rows of a split whose labels are known."""
    batches = load_split(run.config, run.schema, folder / "records", split, batch_size=ROWS)
    inputs, targets, weights = next(batches.as_numpy_iterator())
    known = weights["tags"] > 0
    return targets["tags"][known] > 0, run.model.predict_on_batch(inputs)["tags"][known]


def test_a_run_has_the_thresholds_of_its_validation_rows(folder, trained):
    found = trained.schema.heads["tags"].thresholds
    expected = fit_thresholds(*known_rows(trained, folder, "validation"))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # those of the ingested table stay as they were
    assert Schema.load(folder / "records" / "schema.json").heads["tags"].thresholds is None


def test_the_evaluation_predicts_by_them(folder, trained):
    truth, chances = known_rows(trained, folder, "test")
    labels = chances >= np.array(trained.schema.heads["tags"].thresholds)
    head = evaluate(
        trained.model, trained.config, trained.schema, folder / "records", resamples=20
    ).heads["tags"]
    expected = sk.f1_score(truth, labels, average="macro", zero_division=0)
    assert head.metrics["f1_macro"].value == pytest.approx(expected)
    assert head.metrics["f1_macro"].low <= expected <= head.metrics["f1_macro"].high
    compared = compare_runs(
        {"one": trained, "other": trained}, folder / "records", resamples=20
    ).heads["tags"]
    assert compared.metrics["f1_macro"].metrics["one"].value == pytest.approx(expected)


def test_the_schema_of_the_records_is_refused(folder, trained, tmp_path):
    bare = Schema.load(folder / "records" / "schema.json")
    with pytest.raises(ValueError, match=r"heads\.tags\.threshold is fitted, but .* of the run"):
        evaluate(trained.model, trained.config, bare, folder / "records")
    with pytest.raises(ValueError, match=r"heads\.tags\.threshold is fitted"):
        export_model(trained.model, trained.config, bare, tmp_path / "saved" / "1")
    assert not (tmp_path / "saved").exists()


@pytest.mark.slow
def test_folds_have_thresholds_of_their_own(folder, tmp_path):
    one = config()
    one.split = Split(validation=0.3)
    one.training = Training(epochs=1, batch_size=200)
    found = cross_validate(one, read_table(folder / "table.parquet"), tmp_path / "cv", folds=2)
    [predicted] = found.heads["tags"]
    thresholds = [
        load_run(tmp_path / "cv" / "runs" / f"0-{fold}").schema.heads["tags"].thresholds
        for fold in (0, 1)
    ]
    np.testing.assert_allclose(predicted.thresholds, np.array(thresholds)[found.fold[0]])
    assert by_head.metrics_of(predicted.only(predicted.known)).metrics["f1_macro"].value > 0


@pytest.mark.parametrize("wrong", [0, 1, -0.1, 1.5, "best", True, None, [0.5], float("nan")])
def test_a_threshold_is_fitted_or_between_0_and_1(wrong):
    with pytest.raises(ValueError, match="threshold: must be fitted, or a number between 0 and 1"):
        MultiLabelHead(threshold=wrong)


def test_other_heads_have_no_threshold():
    text = "inputs: {a: {type: number}}\nheads: {y: {type: %s, threshold: 0.3}}"
    for kind in ("classification", "regression", "ordinal", "count", "quantile", "embedding"):
        with pytest.raises(ValueError, match="the configuration is wrong: heads.y: ") as error:
            Config.from_yaml(text % kind)
        assert str(error.value).endswith(
            f": threshold is a setting of heads of several labels, received one with type {kind}"
        )


# The exported model


def run_command(patch, *words):
    patch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


def served_labels(client, table):
    served = client.predict(table)
    return served["tags"].tolist(), np.stack(served["tags_probabilities"])


@pytest.mark.slow
def test_an_export_is_calibrated_and_serves_the_labels_of_the_thresholds(
    folder, trained, tmp_path, monkeypatch, capsys
):
    plain, calibrated = tmp_path / "plain" / "1", tmp_path / "calibrated" / "1"
    assert run_command(monkeypatch, "export", folder / "run", plain, "--no-calibrate") == 0
    assert "Temperature" not in capsys.readouterr().out
    assert run_command(monkeypatch, "export", folder / "run", calibrated) == 0
    assert "Temperature: tags" in capsys.readouterr().out
    table = pd.read_parquet(folder / "table.parquet").query("split == 'test'")
    labels, chances = served_labels(Client(plain), table)
    least = np.array(trained.schema.heads["tags"].thresholds)
    names = np.array(trained.schema.heads["tags"].names)
    assert labels == [";".join(names[row]) for row in chances >= least.astype("float32")]
    same, scaled = served_labels(Client(calibrated), table)
    assert same == labels
    assert np.abs(scaled - chances).max() > 1e-3
    # what is served, and what is evaluated of the SavedModel, go by one schema
    predictor = of_saved_model(calibrated)
    least = np.array(predictor.schema.heads["tags"].thresholds, "float32")
    assert labels == [";".join(names[row]) for row in scaled >= least]


def test_a_number_is_compared_with_what_is_served(folder, trained, tmp_path):
    one = config(threshold=0.3)
    saved = export_model(
        trained.model, one, trained.schema, tmp_path / "saved" / "1", temperature={"tags": 3.0}
    )
    table = pd.read_parquet(folder / "table.parquet").head(20)
    labels, chances = served_labels(Client(saved), table)
    names = np.array(trained.schema.heads["tags"].names)
    assert labels == [";".join(names[row]) for row in chances >= np.float32(0.3)]


def test_where_rows_do_not_allow_it_an_export_is_not_calibrated_and_says_so(
    folder, trained, tmp_path, monkeypatch, capsys
):
    run = folder / "run"
    words = ("export", run, tmp_path / "saved" / "1", "--records", tmp_path / "nowhere")
    assert run_command(monkeypatch, *words) == 0
    assert "Not calibrated: " in capsys.readouterr().out.replace("\n", " ")
    assert run_command(monkeypatch, *words[:2], tmp_path / "other" / "1", *words[3:], "--calibrate")
    few = ingested(tmp_path / "few", config(), frame().query("split != 'validation' or a > 1.5"))
    assert few.heads["tags"].names
    with pytest.raises(ValueError, match="must be the records that the run was trained on"):
        calibrate_where_possible(trained, tmp_path / "few")
    bare = types.SimpleNamespace(model=trained.model, config=trained.config, schema=trained.schema)
    temperature, reasons = calibrate_where_possible(bare, tmp_path / "few")
    assert temperature == {}
    assert "labelled validation rows, fewer than 20" in reasons["tags"]
    no_class = trained.config.model_copy(update={"heads": {"price": RegressionHead()}})
    number = dataclasses.replace(trained, config=no_class)
    assert calibrate_where_possible(number, folder / "records") == ({}, {})


def test_without_validation_rows_thresholds_are_a_half(tmp_path):
    one = config()
    one.training.epochs = 1
    schema = ingested(tmp_path / "records", one, frame().query("split != 'validation'"))
    with pytest.warns(UserWarning, match="the thresholds of tags are 0.5"):
        run = fit(one, schema, tmp_path / "records", tmp_path / "run", verbose=0)
    assert load_run(tmp_path / "run").schema.heads["tags"].thresholds == [0.5] * len(
        run.schema.heads["tags"].names
    )
