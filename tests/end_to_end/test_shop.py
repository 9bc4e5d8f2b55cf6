"""All kinds of inputs without media and all kinds of heads: described, trained and evaluated."""

import dataclasses
import json

import pandas as pd
import pytest
from shop import BAD_CELLS, BAD_COUNTS, DIM, HEADS, SIZES, TEST, TRAIN, TYPES, frame

from multimodal_tf.config import ClassificationHead, Config, CountHead, DenseTower, VectorInput
from multimodal_tf.config.search_space import Choice, Space
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.evaluate import Evaluation
from multimodal_tf.evaluation.fit_guard import fit_temperatures
from multimodal_tf.schema import Schema
from multimodal_tf.training.tune.model import SearchModel

HEADS_WITH_A_LABEL = {
    "label": "classification",
    "visits": "count",
    "size": "ordinal",
    "cost": "quantile",
    "pair": "matching",
}


@pytest.fixture(scope="module")
def config(shop):
    return Config.load(shop / "config.yaml")


@pytest.fixture(scope="module")
def schema(shop):
    return Schema.load(shop / "records" / "schema.json")


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """The same table in a Parquet file, its vectors as lists."""
    path = tmp_path_factory.mktemp("parquet") / "table.parquet"
    table = frame()
    table.to_parquet(path)
    return read_table(path)


# The description


def test_the_description_has_the_type_of_every_column(shop):
    described = Config.load(shop / "described.yaml")
    assert {name: one.type for name, one in described.inputs.items()} == {
        "title": "text",
        "price": "number",
        "colour": "category",
        "sold": "boolean",
        "day": "date",
        "v": "vector",
    }
    assert described.inputs["v"] == VectorInput(dim=DIM, tower=DenseTower(wide=True))
    label = ClassificationHead(label_smoothing=0)
    assert described.heads == {"label": label, "visits": CountHead()}
    assert described.split.column == "split"


def test_csv_and_parquet_have_the_same_description(shop, parquet):
    found = describe(parquet, types=TYPES)
    assert found.config() == Config.load(shop / "described.yaml")
    bad = {column.name: column.rejected for column in found.columns if column.rejected}
    assert bad == {"price": 1, "day": 2, "v": 1, "visits": 2}


def test_describe_gives_reasons_in_one_line_a_column(shop, command, capsys):
    assert command("describe", shop / "table.csv", "--type", "title=text") == 0
    lines = capsys.readouterr().out.split("\n")
    price = lines.index("price: 99% numbers")
    assert lines[price + 1].startswith("  row 4: not a number")
    assert lines[price + 2].startswith("colour: ")


# The records


def test_every_bad_cell_is_rejected_and_no_other(shop):
    found = pd.read_csv(shop / "records" / "rejected.csv")
    expected = {
        row: ("visits", f"a count must be a whole number from 0, received {cell}")
        for row, cell in BAD_COUNTS.items()
    } | {row: (column, reason) for row, (column, _, reason) in BAD_CELLS.items()}
    assert found["row"].tolist() == list(expected)
    assert found["column"].tolist() == [column for column, _ in expected.values()]
    for reason, (_, start) in zip(found["reason"], expected.values()):
        assert reason.startswith(start)


def test_csv_and_parquet_teach_the_same(config, schema, parquet, tmp_path):
    ingest(parquet, config, tmp_path, processes=1)
    assert Schema.load(tmp_path / "schema.json") == schema


def test_statistics_of_the_inputs_and_labels(schema):
    # a row with a bad label is left out, one without any label is kept
    assert schema.rows == TRAIN - len(BAD_COUNTS)
    assert set(schema.inputs) == {"title", "price", "colour", "day", "v"}
    assert abs(schema.inputs["day"].mean - (pd.Timestamp("2023-12-17") - pd.Timestamp(0)).days) < 60
    assert set(schema.heads) == {"label", "visits", "size", "cost"}
    assert schema.heads["size"].names == SIZES
    assert schema.heads["cost"].type == "moments"
    known = frame()["visits"][len(BAD_COUNTS) : TRAIN].dropna().astype(float)
    visits = schema.heads["visits"]
    assert (visits.mean, visits.std) == pytest.approx((known.mean(), known.std(ddof=0)))


def test_targets_of_every_head(shop, config, schema):
    _, targets, weights = next(
        iter(load_split(config, schema, shop / "records", "test", batch_size=TEST))
    )
    assert {name: target.shape.as_list() for name, target in targets.items()} == {
        "label": [TEST],
        "visits": [TEST, 1],
        "size": [TEST],
        "cost": [TEST, 1],
        "pair": [TEST, 1],
        "vector": [TEST, 1],
    }
    assert weights["pair"].numpy().all()
    assert not weights["vector"].numpy().any()


def test_shards_serve_a_head_without_a_column_that_came_later(shop, config, schema):
    """A head that reads no column needs nothing that ingest would have had to write."""
    heads = {"label": HEADS["label"], "again": HEADS["pair"]}
    later = Config.model_validate(config.model_dump() | {"heads": heads})
    _, targets, _ = next(iter(load_split(later, schema, shop / "records", "test")))
    assert set(targets) == {"label", "again"}


# The training


def test_history_has_the_metrics_of_every_head(shop_run):
    names = {
        "val_label_accuracy",
        "val_visits_mae",
        "val_size_accuracy",
        "val_cost_mae",
        "val_cost_coverage",
        "val_pair_accuracy",
        "val_loss",
    }
    assert names <= set(shop_run.history)
    assert not any("vector" in name for name in shop_run.history)


def test_train_writes_its_record(shop):
    record = json.loads((shop / "run" / "run.json").read_text())
    assert record["config"]["training"]["epochs"] == record["epochs"] == 6


def only_visits(config):
    return config.model_copy(update={"heads": {"visits": CountHead()}})


def test_the_absolute_error_of_a_count_is_an_objective_of_a_search(shop, config):
    space = Space.from_config(only_visits(config), {"training.learning_rate": Choice([0.01, 0.1])})
    objective = SearchModel(space, shop / "records").objective("val_visits_mae")
    assert (objective.name, objective.direction) == ("val_mae", "min")


def test_a_temperature_of_a_count_is_refused(shop, shop_run):
    run = dataclasses.replace(shop_run, config=only_visits(shop_run.config))
    with pytest.raises(ValueError, match="a temperature needs a head that chooses one class"):
        fit_temperatures(run, shop / "records")


# The evaluation and the report


def test_metrics_of_every_head(shop):
    found = Evaluation.model_validate_json((shop / "metrics.json").read_text())
    assert {name: head.type for name, head in found.heads.items()} == HEADS_WITH_A_LABEL
    assert found.rows == TEST
    for head in found.heads.values():
        assert all(
            metric.value is not None and metric.low <= metric.value <= metric.high
            for metric in head.metrics.values()
        )
    visits = found.heads["visits"]
    assert visits.n == frame()["visits"][-TEST:].notna().sum()
    deviance = visits.metrics["poisson_deviance"]
    assert 0 < deviance.low < deviance.value < deviance.high
    assert found.heads["cost"].missing > 0
    found.render()


def test_the_report_of_a_count_and_of_vectors(shop):
    page = (shop / "report" / "index.html").read_text()
    assert "negative absolute error" in page
    for title in ("Modality contributions", "Robustness", "Errors", "Explanations"):
        assert title in page
    assert "dropped components" in page
    assert "(8 numbers)" in page
