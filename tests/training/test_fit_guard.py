"""The guard and the temperatures of a run, from Python and from the command line."""

import json
import os
import sys
import types

import numpy as np
import pandas as pd
import pytest
from small_table import ingested

from multimodal_tf import cli
from multimodal_tf.config import (
    BagTower,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DecisionFusion,
    DenseTower,
    MatchingHead,
    NumberInput,
    RegressionHead,
    Split,
    TextInput,
    Training,
)
from multimodal_tf.evaluation import alignment, ood
from multimodal_tf.evaluation.fit_guard import fit_guard, fit_labelled, fit_temperatures
from multimodal_tf.metrics.calibration import Temperature
from multimodal_tf.models.build import build_model, embeddings
from multimodal_tf.schema import Schema
from multimodal_tf.serving.client import Client
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

WORDS = np.array(["red", "blue", "green"])
CONFIG = Config(
    inputs={
        "title": TextInput(max_tokens=3, tower=BagTower(embedding_dim=4)),
        "price": NumberInput(tower=DenseTower(dim=4)),
    },
    heads={"label": ClassificationHead(), "match": MatchingHead(inputs=["title", "price"], dim=3)},
    fusion=ConcatenationFusion(hidden=[6]),
    split=Split(column="split"),
    training=Training(epochs=1, optimizer="sgd"),
)


@pytest.fixture(scope="module")
def folder(once):
    """Records of 300 rows, a run of one epoch, and the table.

    A tenth of the cells and ten labels are missing, and one row has no input.
    """

    def make(folder):
        frame = table()
        frame.to_parquet(folder / "table.parquet")
        schema = ingested(folder / "records", CONFIG, frame)
        fit(CONFIG, schema, folder / "records", folder / "run", verbose=0)

    return once("fit_guard", make)


def table():
    random = np.random.default_rng(0)
    classes = random.integers(3, size=300)
    frame = pd.DataFrame(
        {
            "title": WORDS[classes],
            "price": classes + random.normal(0, 0.3, 300),
            "label": WORDS[classes],
        }
    )
    frame["split"] = np.array(["train", "validation", "test"])[np.arange(300) % 3]
    frame.loc[random.random(300) < 0.1, "title"] = None
    frame.loc[random.random(300) < 0.1, "price"] = np.nan
    frame.loc[:9, "label"] = None
    # of the validation split
    frame.loc[31, ["title", "price"]] = None
    return frame


@pytest.fixture(scope="module")
def trained(folder):
    return load_run(folder / "run")


def run_of(model, config, schema):
    """A trained model that is not a run."""
    return types.SimpleNamespace(model=model, config=config, schema=schema)


def split_of(folder, name):
    """`(frame, labels as indices or -1)` of a split of the table, without rows of no input."""
    frame = (
        pd.read_parquet(folder / "table.parquet")
        .query(f"split == '{name}'")
        .dropna(subset=["title", "price"], how="all")
    )
    words = {
        word: index
        for index, word in enumerate(
            Schema.load(folder / "records" / "schema.json").heads["label"].names
        )
    }
    return frame, frame["label"].map(words).fillna(-1).astype(int).to_numpy()


def test_thresholds_are_those_of_validation_rows(folder, trained):
    fitted, temperature = fit_guard(trained, folder / "records")
    vectors, outputs, present = {}, {}, {}
    for name in ("train", "validation"):
        frame, _ = split_of(folder, name)
        present[name] = frame[["title", "price"]].notna().to_numpy()
        inputs = preprocessed(frame, trained)
        vectors[name], outputs[name] = (
            embeddings(trained.model).predict_on_batch(inputs),
            trained.model.predict_on_batch(inputs),
        )
    score = fit_labelled(vectors["train"]["fused"], split_of(folder, "train")[1])
    assert fitted.embedding == "fused"
    assert fitted.threshold == pytest.approx(
        ood.threshold(score(vectors["validation"]["fused"])), rel=1e-3
    )
    agreement = alignment.agreement(outputs["validation"]["match"][:, :, :-1])[
        present["validation"].all(axis=1)
    ]
    assert fitted.agreement_threshold == pytest.approx(alignment.threshold(agreement), abs=1e-4)


def preprocessed(frame, trained):
    """The model's inputs of a table's rows."""
    import tensorflow as tf

    from multimodal_tf.data.preprocessor import Preprocessor

    preprocessor = Preprocessor(trained.config, trained.schema)
    raw = {
        "title": tf.constant(frame["title"].fillna("").tolist()),
        "price": tf.constant(frame["price"], tf.float32),
    }
    return preprocessor.model_inputs(preprocessor.features(raw)[0])


def test_a_temperature_is_that_of_validation_rows_that_have_a_label(folder, trained):
    frame, labels = split_of(folder, "validation")
    assert (labels < 0).any()
    output = trained.model.predict_on_batch(preprocessed(frame, trained))["label"][labels >= 0]
    found = fit_temperatures(trained, folder / "records")
    assert list(found) == ["label"]
    assert found["label"].value.value == pytest.approx(
        Temperature.fit(labels[labels >= 0], output).value.value, rel=1e-3
    )


def test_rows_without_a_class_do_not_shape_it_where_others_do():
    vectors = np.random.default_rng(0).normal(size=(40, 2)) + 50 * np.eye(2)[np.arange(40) % 2]
    classes = np.arange(40) % 2
    known = ood.fit_mahalanobis(vectors[4:], classes[4:])
    assert fit_labelled(vectors, np.where(np.arange(40) < 4, -1, classes))(
        vectors
    ) == pytest.approx(known(vectors))
    alone = ood.fit_mahalanobis(vectors)
    assert fit_labelled(vectors, None)(vectors) == pytest.approx(alone(vectors))
    # every class of one row
    assert fit_labelled(vectors, np.arange(40))(vectors) == pytest.approx(alone(vectors))


# What is refused


def test_too_few_rows_for_the_rate(folder, trained):
    with pytest.raises(
        ValueError,
        match="validation rows of .*records give no threshold: .* needs 999 rows or more",
    ):
        fit_guard(trained, folder / "records", fpr=0.001)


def test_a_model_without_a_fused_embedding(folder, trained):
    config = CONFIG.model_copy(update={"fusion": DecisionFusion()})
    run = run_of(build_model(config, trained.schema), config, trained.schema)
    with pytest.raises(ValueError, match="a fused embedding, which a decision fusion has not"):
        fit_guard(run, folder / "records")


def test_records_of_other_settings_and_heads_of_no_class(folder, trained):
    other = CONFIG.model_copy(update={"inputs": CONFIG.inputs | {"size": NumberInput()}})
    with pytest.raises(ValueError, match="inputs.size: .* was ingested without it"):
        fit_temperatures(run_of(trained.model, other, trained.schema), folder / "records")
    config = CONFIG.model_copy(update={"heads": {"price_next": RegressionHead()}})
    run = run_of(trained.model, config, trained.schema)
    with pytest.raises(
        ValueError, match=r"a head that chooses one class, received \['price_next'\]"
    ):
        fit_temperatures(run, folder / "records")


# The command line


def run(patch, *words):
    patch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_export_with_a_guard_and_a_temperature(folder, tmp_path, monkeypatch, capsys):
    saved = tmp_path / "saved" / "1"
    assert run(monkeypatch, "export", folder / "run", saved, "--guard", "--calibrate") == 0
    output = capsys.readouterr().out
    assert "Without review: ood_score up to" in output
    assert "Temperature: label" in output
    assert sorted(os.listdir(saved / "assets.extra"))[:2] == [
        "config.yaml",
        "guard.json",
    ]
    limits = json.loads((saved / "assets.extra" / "guard.json").read_text())
    rows = pd.read_parquet(folder / "table.parquet")
    client = Client(saved)
    held = client.predict(rows.query("split == 'validation'"))
    assert (held["ood_score"] > limits["threshold"])[held["valid"]].mean() <= 0.05
    assert (held["agreement"] < limits["agreement_threshold"]).mean() <= 0.05
    assert held["review"][~held["valid"]].all()
    assert client.predict([{"title": "red", "price": 1e6}])["review"][0]


def test_export_refuses_in_one_sentence_and_writes_nothing(folder, tmp_path, monkeypatch, capsys):
    for words, output in (
        (("--guard", "--fpr", "0.001"), "needs 999 rows or more"),
        (("--calibrate", "--records", tmp_path / "nowhere"), "nowhere"),
    ):
        assert run(monkeypatch, "export", folder / "run", tmp_path / "other" / "1", *words) == 1
        errors = capsys.readouterr().err.strip().splitlines()
        assert output in errors[-1]
        assert not (tmp_path / "other").exists()
