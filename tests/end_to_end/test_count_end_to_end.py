"""A count head by the commands, from a small table to the served prediction and the report."""

import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from multimodal_tf import cli
from multimodal_tf.config import Config, CountHead
from multimodal_tf.config.search_space import Choice, Space
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.evaluation.evaluate import Evaluation
from multimodal_tf.schema import Schema
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.skew import skew
from multimodal_tf.training.run_dir import load_run
from multimodal_tf.training.tune.model import SearchModel

TRAIN, TEST = slice(0, 30), slice(56, 76)


def frame():
    """76 rows with missing cells in every column, and two cells that are no counts."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "split": ["train"] * 30 + ["validation"] * 26 + ["test"] * 20,
            "price": random.normal(10, 3, 76).round(2),
            "colour": random.choice(["red", "blue"], 76),
        }
    )
    table["visits"] = random.poisson(np.where(table["colour"] == "red", 2.0, 20.0))
    for name, every in (("price", 7), ("colour", 9), ("visits", 8)):
        table[name] = table[name].astype(object)
        table.loc[table.index % every == every - 1, name] = None
    table.loc[0, "visits"], table.loc[1, "visits"] = -1, "2.5"
    return table


def kept_test_rows():
    """The test rows that ingest keeps: those with a label and an input."""
    kept = frame()[TEST].dropna(subset="visits").dropna(subset=["price", "colour"], how="all")
    return kept.reset_index(drop=True)


def run(patch, *words):
    patch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All files that the commands write, in their order."""
    folder = tmp_path_factory.mktemp("count")
    table, config = folder / "shop.csv", folder / "shop.yaml"
    frame().to_csv(table, index=False)
    with pytest.MonkeyPatch.context() as patch:
        types = ["--type", "visits=count", "--type", "price=number"]
        assert run(patch, "describe", table, "--out", config, *types) == 0
        records, trained = folder / "records", folder / "run"
        ingest = ["ingest", table, "--config", config, "--out", records, "--processes", "1"]
        assert run(patch, *ingest) == 0
        assert run(patch, "train", records, "--out", trained, "--epochs", "1") == 0
        assert run(patch, "evaluate", trained, records, "--out", folder / "metrics.json") == 0
        assert run(patch, "report", trained, records, "--out", folder / "report") == 0
        saved = folder / "saved" / "1"
        assert run(patch, "export", trained, saved, "--guard") == 0
        assert run(patch, "predict", saved, table, "--out", folder / "predictions.csv") == 0
    return folder


def test_the_configuration_has_the_given_head(folder):
    config = Config.load(folder / "shop.yaml")
    assert config.heads == {"visits": CountHead()}
    assert set(config.inputs) == {"price", "colour"}


def test_cells_that_are_no_counts_are_rejected(folder):
    rejected = pd.read_csv(folder / "records" / "rejected.csv")
    reasons = rejected["reason"][rejected["row"] < 2]
    assert list(reasons) == [
        f"a count must be a whole number from 0, received {one}" for one in ("-1.0", "2.5")
    ]
    known = frame()["visits"][TRAIN][2:].dropna().astype(float)
    moments = Schema.load(folder / "records" / "schema.json").heads["visits"]
    assert (moments.mean, moments.std) == pytest.approx((known.mean(), known.std(ddof=0)))


def test_evaluation_has_the_metrics_of_a_count(folder):
    found = Evaluation.model_validate_json((folder / "metrics.json").read_text()).heads["visits"]
    assert found.n == len(kept_test_rows())
    deviance = found.metrics["poisson_deviance"]
    assert 0 < deviance.low < deviance.value < deviance.high


def test_served_rates_are_those_of_the_model(folder):
    trained, client = load_run(folder / "run"), Client(folder / "saved" / "1")
    config, schema = trained.config, trained.schema
    assert (client.served["visits"].dtype, client.served["visits"].shape.rank) == (tf.float32, 1)
    served = client.predict(kept_test_rows())["visits"]
    inputs = next(iter(load_split(config, schema, folder / "records", "test", batch_size=20)))[0]
    np.testing.assert_allclose(served, trained.model(inputs)["visits"][:, 0], rtol=1e-4)
    assert (served > 0).all()
    nothing = client.predict([{}]).iloc[0]
    assert nothing["visits"] == pytest.approx(schema.heads["visits"].mean, rel=1e-6)
    found = skew(trained.model, config, schema, folder / "records", folder / "saved" / "1")
    assert found["visits"] < 1e-3


def test_a_table_of_predictions_has_a_column_of_rates(folder):
    found = pd.read_csv(folder / "predictions.csv")
    assert len(found) == 76
    assert (found["visits"] > 0).all()
    assert "visits_probability" not in found


def test_the_report_measures_the_absolute_error(folder):
    page = (folder / "report" / "index.html").read_text()
    assert "negative absolute error" in page
    for title in ("Modality contributions", "Robustness", "Errors", "Explanations"):
        assert title in page


def test_a_temperature_is_refused(folder, monkeypatch, capsys):
    code = run(monkeypatch, "export", folder / "run", folder / "saved" / "2", "--calibrate")
    assert code == 1
    assert "a temperature needs a head that chooses one class" in capsys.readouterr().err


def test_the_absolute_error_is_an_objective_of_a_search(folder):
    config = Config.load(folder / "shop.yaml")
    space = Space.from_config(config, {"training.learning_rate": Choice([0.01, 0.1])})
    objective = SearchModel(space, folder / "records").objective("val_visits_mae")
    assert (objective.name, objective.direction) == ("val_mae", "min")
