"""From a table with captions to strings of one SavedModel: train, evaluate, export, serve."""

import types

import numpy as np
import pandas as pd
import pytest

import multimodal_tf as mm
from multimodal_tf.evaluation.predictor import of_model, of_saved_model
from multimodal_tf.report.model import model_report
from multimodal_tf.serving.skew import skew
from multimodal_tf.training.cross_validation import cross_validate
from multimodal_tf.training.run_dir import load_run

pytestmark = pytest.mark.slow

COLOURS, SIZES, ROWS = ["red", "green", "blue"], ["big", "small"], 150
CONFIG = mm.Config(
    inputs={"hue": mm.CategoryInput(), "size": mm.CategoryInput()},
    heads={
        "caption": mm.TextHead(
            dim=32, depth=1, heads=2, mlp_units=32, max_tokens=20, dropout=0, label_smoothing=0
        )
    },
    training=mm.Training(epochs=8, batch_size=16, learning_rate=0.01),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table, its records, a run and what was exported of it."""
    folder = tmp_path_factory.mktemp("captions")
    random = np.random.default_rng(0)
    hue, size = random.choice(COLOURS, ROWS), random.choice(SIZES, ROWS)
    captions = [f"A {one} {other} Café" for one, other in zip(size, hue)]
    table = pd.DataFrame({"hue": hue, "size": size, "caption": captions}, dtype=object)
    table.loc[::17, "caption"] = None
    table.loc[::13, "hue"] = None
    records = folder / "records"
    mm.ingest(mm.read_table(table), CONFIG, records, processes=1)
    schema = mm.Schema.load(records / "schema.json")
    run = mm.fit(CONFIG, schema, records, folder / "run", verbose=0)
    path = mm.export_model(run.model, CONFIG, schema, folder / "captions" / "1")
    return types.SimpleNamespace(
        folder=folder, table=table, records=records, schema=schema, run=run, path=path
    )


def test_the_client_writes_texts(made):
    client = mm.Client(made.path)
    rows = [{"hue": "red", "size": "big"}, {}, {"hue": "green", "size": "small"}]
    found = client.predict(rows)
    assert found["caption"].tolist() == [
        "A big red Café",
        made.schema.heads["caption"].commonest,
        "A small green Café",
    ]
    logs = found["caption_log_probability"]
    assert logs[1] == pytest.approx(np.log(made.schema.heads["caption"].share))
    assert (logs < 0).all()
    alone = client.predict(rows[2:])
    assert alone["caption"][0] == found["caption"][2]
    assert found["valid"].tolist() == [True, False, True]
    nothing = client.predict([])
    assert len(nothing) == 0
    assert {"caption", "caption_log_probability"} <= {*nothing}


def test_the_served_texts_are_those_of_the_model(made):
    found = skew(made.run.model, CONFIG, made.schema, made.records, made.path)
    assert found["caption"] == pytest.approx(0, abs=1e-4)


def test_evaluation(made):
    loaded = load_run(made.folder / "run")
    found = mm.evaluate(loaded.model, CONFIG, made.schema, made.records, resamples=50)
    head = found.heads["caption"]
    values = {name: metric.value for name, metric in head.metrics.items()}
    assert values["exact_match"] > 0.6
    assert values["token_accuracy"] > 0.9
    assert values["cer"] < 0.2
    assert values["wer"] < 0.4
    assert values["bleu"] > 50
    assert values["chrf"] > 50
    assert 0 < values["log_perplexity"] < 0.5
    assert all(metric.low is not None for metric in head.metrics.values())
    assert head.missing + head.n == found.rows
    # of a function nothing is written
    predict = loaded.model.predict_on_batch
    other = mm.evaluate(lambda x: predict(x), CONFIG, made.schema, made.records, resamples=0)
    assert other.heads["caption"].metrics["exact_match"].value is None
    assert "give the model" in other.heads["caption"].metrics["exact_match"].reason


def test_report_of_texts_alone(made, tmp_path):
    written = model_report(made.run, made.records, tmp_path / "page", resamples=10)
    page = (tmp_path / "page" / "index.html").read_text()
    assert written.page.sections
    assert "exact_match" in page or "exact match" in page


def test_what_needs_another_head_says_so(made, tmp_path):
    with pytest.raises(ValueError, match="must have a head with a label"):
        model_report(made.path, made.records, tmp_path / "page")
    with pytest.raises(ValueError, match="needs a head other than of texts or images"):
        cross_validate(CONFIG, mm.read_table(made.table), tmp_path / "folds")
    with pytest.raises(ValueError, match="texts have no average, received the head 'caption'"):
        mm.export_ensemble([made.run, made.run], made.folder / "both" / "1")
    # their vectors are there
    for predictor in (of_model(made.run.model, CONFIG, made.schema), of_saved_model(made.path)):
        raw = {"hue": np.array([b"red"], object), "size": np.array([b"big"], object)}
        assert predictor.embed(raw)["hue"].shape[0] == 1
