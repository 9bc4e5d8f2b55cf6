"""Runs whose heads all learn without labels: report, cross-validation, search, comparison."""

import types

import keras
import numpy as np
import pandas as pd
import pytest

from multimodal_tf.config import Config, OrderHead
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import cv_metrics
from multimodal_tf.evaluation.comparison import compare_runs
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.models import build_model
from multimodal_tf.report.model import model_report
from multimodal_tf.training.cross_validation import cross_validate
from multimodal_tf.training.tune import Choice, Space, tune

pytestmark = pytest.mark.slow

ROWS = 60
SPACE = {"type": "alignment", "inputs": ["title", "price"], "dim": 4}
ORDER = {"type": "order", "inputs": ["title"]}


def config_of(**heads):
    return Config(
        inputs={
            "title": {
                "type": "text",
                "max_tokens": 6,
                "tower": {
                    "type": "transformer",
                    "units": 4,
                    "heads": 1,
                    "depth": 1,
                    "mlp_units": 4,
                },
            },
            "price": {"type": "number"},
        },
        heads=heads,
        split={"column": "split"},
        training={"epochs": 1, "batch_size": 16, "optimizer": "sgd"},
    )


BOTH = config_of(order=ORDER, space=SPACE)


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    titles = [" ".join(random.choice([*"abcdefgh"], 5)) for _ in range(ROWS)]
    titles[::9] = [""] * len(titles[::9])
    prices = random.normal(size=ROWS).round(3)
    split = (["train"] * 3 + ["validation", "test"]) * (ROWS // 5)
    return read_table(pd.DataFrame({"title": titles, "price": prices, "split": split}))


@pytest.fixture(scope="module")
def records(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    ingest(table, BOTH, folder)
    return folder


@pytest.fixture(scope="module")
def run(records):
    """Not trained."""
    keras.utils.set_random_seed(0)
    schema = schema_for(BOTH, records)
    return types.SimpleNamespace(model=build_model(BOTH, schema), config=BOTH, schema=schema)


def test_the_report_has_metrics_retrieval_and_mismatched_rows(run, records, table, tmp_path):
    found = model_report(run, records, tmp_path / "report", table=table, resamples=9, rows=20)
    assert found.contributions is found.robustness is None
    titles = [section.title for section in found.page.sections]
    assert titles == ["order", "space", "Cross-modal retrieval", "Cross-modal alignment"]
    assert all("it needs no labels" in one.description for one in found.page.sections[:2])
    expected = evaluate(run.model, BOTH, run.schema, records, resamples=0).heads
    blocks = [section.blocks[0] for section in found.page.sections]
    for name, block in zip(expected, blocks):
        shown = [row[1].value for row in block.rows]
        assert shown == [metric.value for metric in expected[name].metrics.values()]
    assert "chance" in expected["order"].metrics
    # the recall of both pages is one figure
    by_title = {tuple(row[:2]): row for row in blocks[2].rows}["title", "price"]
    assert by_title[3].value == pytest.approx(
        expected["space"].metrics["title_to_price_recall_at_5"].value
    )
    for name in ("head", "baseline", "unimodal"):
        with pytest.raises(ValueError, match=rf"{name} needs a model that has a head with a label"):
            model_report(run, records, tmp_path / "other", **{name: "order"})
    assert not (tmp_path / "other").exists()


def test_a_comparison_on_one_page_says_what_to_do_instead(run, records):
    with pytest.raises(ValueError, match="cross-validate --against, or evaluate each run"):
        compare_runs({"one": run, "other": run}, records)


def test_cross_validation_gives_each_fold_and_compares(table, tmp_path):
    ours = cross_validate(BOTH, table, tmp_path, folds=2, progress=False)
    assert not ours.heads
    assert ours.objectives.keys() == {"order", "space"}
    metrics = cv_metrics.cross_validation_metrics(ours).heads
    order, space = metrics["order"], metrics["space"]
    assert order.type == "order"
    assert {"accuracy", "loss", "chance"} == order.metrics.keys()
    assert np.shape(order.metrics["loss"].scores) == (1, 2)
    assert order.metrics["chance"].mean.value == 0.5
    # without the test rows and those without a title
    tested = np.arange(ROWS) % 5 == 4
    assert space.n == (~tested & (np.arange(ROWS) % 9 > 0)).sum()
    recall = space.metrics["title_to_price_recall_at_1"]
    assert recall.mean.low <= recall.mean.value <= recall.mean.high
    # resumed from the files
    again = cross_validate(BOTH, table, tmp_path, folds=2, progress=False)
    assert cv_metrics.cross_validation_metrics(again).heads == metrics
    differences = cv_metrics.compare(ours, again)
    assert {one.head for one in differences} == {"order", "space"}
    assert {one.test.difference.value for one in differences} == {0.0}
    (loss,) = (one for one in differences if (one.head, one.metric) == ("order", "loss"))
    assert loss.first == order.metrics["loss"].mean.value
    lines = pd.read_csv(tmp_path / "predictions.csv")
    assert list(lines.columns) == ["repeat", "fold", "row"]


def test_a_search(records, tmp_path):
    space = Space.from_config(
        config_of(order=OrderHead(inputs=["title"])),
        {"training.learning_rate": Choice([0.01, 1.0])},
    )
    found = tune(space, records, tmp_path, trials=1, progress=False)
    trials = pd.read_csv(tmp_path / "trials.csv")
    assert (trials["status"] == "completed").all()
    assert found.best.training.learning_rate in (0.01, 1.0)
