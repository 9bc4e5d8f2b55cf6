"""Intervals draw the groups of the split, in `evaluate` as in the model report."""

import shutil
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from media import image_bytes
from small_table import ingested

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    Config,
    CountHead,
    GRUTower,
    ImageHead,
    MaskedHead,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrderHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    Split,
    TextHead,
    TextInput,
    TokenMatchingHead,
    ViewsHead,
)
from multimodal_tf.config.heads import LossHead
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.contributions import modality_contributions
from multimodal_tf.evaluation.eval_records import EvalRecords
from multimodal_tf.evaluation.evaluate import Evaluation, evaluate
from multimodal_tf.evaluation.predictor import of_model
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema

CONFIG = Config(
    inputs={
        "a": NumberInput(),
        "b": NumberInput(),
        "title": TextInput(max_tokens=4, tower=GRUTower(embedding_dim=4, units=4)),
        "again": TextInput(column="title", max_tokens=4, tower=GRUTower(embedding_dim=4, units=4)),
    },
    heads={
        "label": ClassificationHead(),
        "step": OrdinalHead(),
        "tags": MultiLabelHead(),
        "price": RegressionHead(),
        "visits": CountHead(),
        "range": QuantileHead(),
        "match": MatchingHead(inputs=["a", "b"], dim=2),
        "space": AlignmentHead(inputs=["a", "b"], dim=2),
        "tokens": TokenMatchingHead(inputs=["title", "again"], dim=4, heads=2),
        "order": OrderHead(inputs=["title"]),
        "hidden": MaskedHead(inputs=["title"], share=0.5, dim=4),
        "views": ViewsHead(inputs=["title"], dim=2),
        "caption": TextHead(
            column="title", decoder="gru", dim=4, heads=1, depth=1, max_tokens=20, dropout=0
        ),
        "picture": ImageHead(height=2, width=2, channels=1, filters=[2], latent=0),
    },
    fusion={"hidden": [4]},
    split=Split(group="family", test=0.5),
)


@pytest.fixture(scope="module")
def folder(once):
    """Records of 120 rows of 12 families, whose rows have equal labels; some have no family."""

    def make(folder):
        random, family = np.random.default_rng(0), np.repeat(np.arange(12), 10)
        of_family = random.normal(size=(12, 2))
        values = of_family[family] + random.normal(0, 0.1, (120, 2))
        frame = pd.DataFrame(
            {
                "a": values[:, 0],
                "b": values[:, 1],
                "title": [f"one word{number} of row{row}" for row, number in enumerate(family)],
                "family": [f"f{number}" for number in family],
                "label": np.where(of_family[family, 0] > 0, "x", "y"),
                "step": (family % 3).astype(str),
                "tags": np.where(of_family[family, 1] > 0, "s;t", "s"),
                "price": family * 1.0,
                "visits": family % 4,
                "range": family * 2.0,
                "picture": [f"{number}.png" for number in family],
            }
        )
        frame.loc[::7, "family"] = None
        frame.loc[::11, "label"] = None
        for number in range(12):
            grey = np.full((2, 2), 20 * number, np.uint8)
            (folder / f"{number}.png").write_bytes(image_bytes(grey))
        frame.to_csv(folder / "table.csv", index=False)
        ingested(folder / "records", CONFIG, folder / "table.csv")

    return once("groups", make)


@pytest.fixture(scope="module")
def model(folder):
    return build_model(CONFIG, Schema.load(folder / "records" / "schema.json"))


def evaluated(folder, model, **arguments):
    schema = Schema.load(folder / "records" / "schema.json")
    return evaluate(model, CONFIG, schema, folder / "records", resamples=100, **arguments)


@pytest.mark.slow
def test_the_same_rows_have_the_same_interval_in_both(folder, model):
    schema = Schema.load(folder / "records" / "schema.json")
    predictor = of_model(model, CONFIG, schema)
    records = EvalRecords.open(predictor, folder / "records")
    rows, features = records.read(predictor, "test", "label", None, 0)
    of_report = modality_contributions(predictor, rows, features, 100, 0).all
    found = evaluated(folder, model)
    mine = found.heads["label"].metrics["accuracy"]
    assert (mine.low, mine.high) == pytest.approx((of_report.low, of_report.high))
    assert mine.value == pytest.approx(of_report.value)
    assert (found.group, found.note) == ("family", "")


def test_every_head_draws_groups(folder, model):
    grouped = evaluated(folder, model)
    assert Evaluation.model_validate_json(grouped.model_dump_json()) == grouped
    ungrouped = CONFIG.model_copy(update={"split": Split(test=0.5)})
    assert {type(head) for head in CONFIG.heads.values()} == {*get_args(LossHead)}
    schema = Schema.load(folder / "records" / "schema.json")
    alone = evaluate(model, ungrouped, schema, folder / "records", resamples=100)
    assert alone.group is None
    for name, head in grouped.heads.items():
        other = alone.heads[name].metrics
        assert {key: one.value for key, one in head.metrics.items()} == {
            key: one.value for key, one in other.items()
        }
        assert any(one != other[key] for key, one in head.metrics.items()), name


def test_a_table_that_is_gone_is_named(folder, model, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(folder / "records", moved)
    manifest = moved / "manifest.json"
    text = manifest.read_text().replace(str(folder / "table.csv"), "/nowhere/table.csv")
    manifest.write_text(text)
    schema = Schema.load(moved / "schema.json")
    found = evaluate(model, CONFIG, schema, moved, resamples=20)
    assert found.group is None
    assert "/nowhere/table.csv with the groups of 'family' cannot be read" in found.note
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1")
    manifest.write_text(text.replace("/nowhere/table.csv", str(damaged)))
    found = evaluate(model, CONFIG, schema, moved, resamples=20)
    assert "damaged.parquet with the groups of 'family' cannot be read" in found.note
    given = read_table(folder / "table.csv")
    again = evaluate(model, CONFIG, schema, moved, resamples=20, table=given)
    assert (again.group, again.note) == ("family", "")
    other = read_table(pd.DataFrame({"family": ["a", "b"]}))
    with pytest.raises(ValueError, match="table: must be the one that was ingested, of 120 rows"):
        evaluate(model, CONFIG, schema, moved, resamples=20, table=other)


def test_metrics_without_resamples_need_no_table(folder, model):
    schema = Schema.load(folder / "records" / "schema.json")
    found = evaluate(model, CONFIG, schema, folder / "records", resamples=0)
    assert (found.group, found.note) == (None, "")
    assert isinstance(found.heads["label"].metrics["accuracy"], Metric)
