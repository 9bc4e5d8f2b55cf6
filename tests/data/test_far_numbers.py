"""Numbers far from 0, such as Unix seconds, are float64 until they are centred."""

import pathlib

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import multimodal_tf as mm
from multimodal_tf.config import Config, CountHead, NumberInput, QuantileHead, RegressionHead
from multimodal_tf.data import record_files
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.table import read_table
from multimodal_tf.data.targets import Targets
from multimodal_tf.evaluation.comparison import predict_split
from multimodal_tf.evaluation.predictor import of_model
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Moments, Schema

EPOCH, ROWS = 1_700_000_000, 200
SECONDS = EPOCH + np.random.default_rng(0).uniform(0, 60, ROWS).round(3)
TABLE = pd.DataFrame(
    {
        "at": [f"{one:.3f}" for one in SECONDS],
        "size": np.arange(ROWS) % 7 + 2.0**24,
        "due": SECONDS * 2 - EPOCH,
        "visits": np.arange(ROWS) % 5,
    }
)
CONFIG = Config(
    inputs={"at": NumberInput(), "size": NumberInput()},
    heads={
        "due": RegressionHead(),
        "range": QuantileHead(column="due"),
        "visits": CountHead(),
    },
)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Schema]:
    records = tmp_path_factory.mktemp("far")
    ingest(read_table(TABLE), CONFIG, records, processes=1, progress=False)
    return records, fit_schema(CONFIG, records)


def test_records_hold_every_digit() -> None:
    numbers = [EPOCH + 0.125, 2.0**53, -1e-300, 0.1, float("inf")]
    for number in numbers:
        data = record_files.encode(0, {"at": number}, {"due": number})
        _, inputs, labels = record_files.parse(CONFIG, [data])
        assert inputs["at"].dtype == labels["due"].dtype == tf.float64
        assert inputs["at"].numpy().tolist() == labels["due"].numpy().tolist() == [number]
        assert np.isnan(inputs["size"].numpy()).all()
        assert np.isnan(labels["visits"].numpy()).all()


def test_the_schema_knows_their_spread(learned: tuple[pathlib.Path, Schema]) -> None:
    _, schema = learned
    for stats, std in ((schema.inputs["at"], 17.3), (schema.heads["due"], 34.6)):
        assert isinstance(stats, Moments)
        assert stats.std == pytest.approx(std, rel=0.1)
        assert stats.centre == stats.mean
    # near 0, as most are
    assert schema.heads["visits"].centre == 0.0  # type: ignore[union-attr]


def test_the_model_reads_and_predicts_differences(learned: tuple[pathlib.Path, Schema]) -> None:
    _, schema = learned
    stats = schema.inputs["at"]
    assert isinstance(stats, Moments)
    cells = tf.constant([EPOCH + 0.5, EPOCH + 59.25, np.nan], tf.float64)
    tensor, present, _ = kind_of(CONFIG.inputs["at"]).reader(stats).read(cells)
    assert tensor.dtype == tf.float32
    assert present.numpy().tolist() == [True, True, False]
    wanted = [EPOCH + 0.5 - stats.mean, EPOCH + 59.25 - stats.mean, 0.0]
    assert tensor.numpy().tolist() == pytest.approx(wanted, abs=1e-5)
    labels = {name: tf.constant([EPOCH + 7.5], tf.float64) for name in CONFIG.heads}
    centred, _ = Targets(CONFIG, schema)(labels)
    whole, _ = Targets(CONFIG, schema, is_centred=False)(labels)
    head = schema.heads["due"]
    assert isinstance(head, Moments)
    assert centred["due"].numpy().item() == pytest.approx(EPOCH + 7.5 - head.mean, abs=1e-5)
    assert whole["due"].numpy().tolist() == [[EPOCH + 7.5]]


def test_evaluation_is_that_of_the_table(learned: tuple[pathlib.Path, Schema]) -> None:
    records, schema = learned
    model = build_model(CONFIG, schema)
    found = predict_split(of_model(model, CONFIG, schema), records, "test")
    evaluated = mm.evaluate(model, CONFIG, schema, records, resamples=10)
    due = found.heads["due"]
    truth = TABLE["due"].to_numpy()[found.rows]
    assert np.asarray(due.targets).ravel().tolist() == truth.tolist()
    mae = np.abs(truth - np.asarray(due.predictions).ravel()).mean()
    assert mae > 10
    assert evaluated.heads["due"].metrics["mae"].value == pytest.approx(mae, rel=1e-4)
    assert evaluated.heads["range"].metrics["mae"].value > 10


@pytest.mark.slow
def test_served_numbers_are_float64(
    learned: tuple[pathlib.Path, Schema], tmp_path: pathlib.Path
) -> None:
    records, schema = learned
    model = build_model(CONFIG, schema)
    mm.export_model(model, CONFIG, schema, tmp_path / "far" / "1")
    client = mm.Client(tmp_path / "far" / "1")
    served = client.predict(TABLE)
    assert served["valid"].all()
    assert served["due"].dtype == np.float64
    assert (served["range_low"] < served["range_high"]).all()
    found = predict_split(of_model(model, CONFIG, schema), records, "test")
    wanted = np.asarray(found.heads["due"].predictions).ravel()
    assert served["due"].to_numpy()[found.rows] == pytest.approx(wanted, abs=1e-4)
    # a whole number that float32 does not hold
    signature = tf.saved_model.load(str(tmp_path / "far" / "1")).signatures["serving_default"]
    assert signature.structured_input_signature[1]["size"].dtype == tf.float64
