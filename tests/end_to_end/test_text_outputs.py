"""From a table with captions to strings of one SavedModel: train, evaluate, export, serve."""

import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import multimodal_tf as mm
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.tokenizers.target_texts import TargetTokens
from multimodal_tf.evaluation.predictor import of_model, of_saved_model
from multimodal_tf.report.model import model_report
from multimodal_tf.serving.predict_table import predict_table
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
    long = client.predict([{"hue": "x" * 1_000_000, "size": "big"}])
    assert long["caption"][0].startswith("A big")
    nothing = client.predict([])
    assert len(nothing) == 0
    assert {"caption", "caption_log_probability"} <= {*nothing}


def test_the_client_draws_texts(made):
    client = mm.Client(made.path)
    rows = [{"hue": "red", "size": "big"}] * 40 + [{}]
    seeds = [*range(39), 0, 1]
    found = client.sample(rows, seeds)
    assert found["caption"][0] == found["caption"][39]
    assert found["caption"].nunique() > 1
    assert found["caption"][40] == made.schema.heads["caption"].commonest
    # what is drawn is as probable as the same text that is given
    given = client.score(rows, {"caption": found["caption"].tolist()})
    # others may have spaces that a given text has not
    known = given["valid"] & found["caption"].isin(made.table["caption"])
    both = (one["caption_log_probability"][known] for one in (found, given))
    np.testing.assert_allclose(*both, rtol=1e-3, atol=1e-4)
    assert known.sum() > 5
    alone = client.sample(rows[7:9], seeds[7:9])
    assert alone["caption"].tolist() == found["caption"][7:9].tolist()
    assert len(client.sample([], [])) == 0


def test_the_client_scores_texts(made):
    client = mm.Client(made.path)
    rows = [{"hue": "red", "size": "big"}, {"hue": "green", "size": "small"}, {"hue": "red"}] * 30
    written = client.predict(rows)
    found = client.score(rows, {"caption": [f" {one}\n" for one in written["caption"]]})
    both = found["caption_log_probability"], written["caption_log_probability"]
    np.testing.assert_allclose(*both, rtol=1e-3, atol=1e-5)
    other = client.score(rows, {"caption": ["A big blue Café", *written["caption"][1:]]})
    assert other["caption_log_probability"][0] < found["caption_log_probability"][0] - 1
    assert other["valid"].all()
    assert len(client.score([], {"caption": []})) == 0
    # the model's own, for any text that has an end
    texts = ["", "A", "x" * 20, "x" * 21, "A big red Café"]
    rows = [{"hue": "red", "size": "big"}] * 4 + [{}]
    found = client.score(rows, {"caption": texts})
    stats = made.schema.heads["caption"]
    ids = TargetTokens(stats)(tf.constant(texts), 20).numpy()
    ids[0, 0] = stats.end
    prepared = Preprocessor(CONFIG, made.schema)
    features, _ = prepared.request_features(
        {"hue": tf.constant(["red"] * 5), "size": tf.constant(["big"] * 5)}
    )
    scores = made.run.model(prepared.model_inputs(features) | {"caption_target": tf.constant(ids)})
    np.testing.assert_allclose(
        found["caption_log_probability"][:4], scores["caption"][:4, 1], rtol=1e-3
    )
    assert found["caption_log_probability"][4] == 0
    assert found["valid"].tolist() == [True, True, True, False, False]
    assert found["error"][3] == "caption: the text has more than 20 tokens"
    assert found["error"][4] == "no input is present"
    # a request of a megabyte
    long = "x" * 1_000_000
    found = client.score([{"hue": long, "size": "big"}], {"caption": [long]})
    assert found["error"][0] == "caption: the text has more than 20 tokens"
    assert np.isfinite(found["caption_log_probability"][0])
    for texts, message in (
        ({"caption": ["a"]}, "must be 5, one a row, received 1"),
        ({"title": ["a"] * 5}, r"lists by head, of \['caption'\], received \['title'\]"),
        ({"caption": "aaaaa"}, "must be a list of str, received 'aaaaa'"),
        (["a"] * 5, "received list"),
    ):
        with pytest.raises(ValueError, match=message):
            client.score(rows, texts)


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


def with_settings(made, **settings):
    """The trained weights in a head with other settings, and its schema."""
    head = mm.TextHead.model_validate({**CONFIG.heads["caption"].model_dump(), **settings})
    config = CONFIG.model_copy(update={"heads": {"caption": head}})
    schema = fit_schema(config, made.records)
    model = mm.build_model(config, schema)
    model.set_weights(made.run.model.get_weights())
    return model, config, schema


def test_choices(made):
    """Of the training split, in the SavedModel, a table of predictions and the evaluation."""
    model, config, schema = with_settings(made, choices="training")
    path = mm.export_model(model, config, schema, made.folder / "chosen" / "1")
    client, choices = mm.Client(path), schema.heads["caption"].choices
    assert len(choices) == 6
    assert {"caption", "caption_probability", "caption_probabilities"} <= {*client.predict([])}
    rows = [{"hue": "red", "size": "big"}, {}, {"size": "small"}]
    found = client.predict(rows)
    assert set(found["caption"]) <= set(choices)
    probabilities = np.stack(found["caption_probabilities"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found["caption_probability"], probabilities.max(axis=1))
    assert found["caption"].tolist() == [choices[one] for one in probabilities.argmax(axis=1)]
    counts = np.array(schema.heads["caption"].choice_counts)
    np.testing.assert_allclose(probabilities[1], counts / counts.sum(), rtol=1e-5)
    # of each choice what `score` gives
    logs = client.score(rows[:1] * 6, {"caption": choices})["caption_log_probability"]
    assert found["caption_log_probability"][0] == pytest.approx(logs.max(), rel=1e-3, abs=1e-4)
    assert found["caption"][0] == choices[logs.argmax()]
    np.testing.assert_allclose(np.exp(logs) / np.exp(logs).sum(), probabilities[0], atol=1e-4)
    with pytest.raises(ValueError, match="must have a head that samples"):
        client.sample(rows, [1, 2, 3])
    predict_table(client, mm.read_table(made.table), made.folder / "chosen.parquet")
    table = pd.read_parquet(made.folder / "chosen.parquet")
    assert [f"caption={one}" for one in choices] == [one for one in table if "=" in one]
    evaluation = mm.evaluate(model, config, schema, made.records, resamples=20)
    metrics = evaluation.heads["caption"].metrics
    # by chance 1/6
    assert metrics["accuracy"].value > 0.4
    assert "exact_match" not in metrics
    assert skew(model, config, schema, made.records, path)["caption"] < 1e-4


def test_a_beam_is_served_and_evaluated(made):
    model, config, schema = with_settings(made, search="beam", beam=3, length_penalty=0)
    path = mm.export_model(model, config, schema, made.folder / "beam" / "1")
    rows = [{"hue": "red", "size": "big"}, {}, {"size": "small"}]
    found, greedy = (mm.Client(one).predict(rows) for one in (path, made.path))
    assert found["caption"][1] == greedy["caption"][1]
    best, least = (one["caption_log_probability"] for one in (found, greedy))
    assert (best >= least - 1e-4).all()
    evaluation = mm.evaluate(model, config, schema, made.records, resamples=0)
    assert evaluation.heads["caption"].metrics["exact_match"].value > 0.4


def test_report_of_texts_alone(made, tmp_path):
    written = model_report(made.run, made.records, tmp_path / "page", resamples=10)
    page = (tmp_path / "page" / "index.html").read_text()
    assert written.page.sections
    assert "exact_match" in page or "exact match" in page
    # examples beside their inputs, and where they are right less often
    assert "Texts: caption" in page
    section = next(one for one in written.page.sections if one.title == "Texts: caption")
    worst, best, slices = section.blocks
    shares = [
        [float(row.facts["share of characters to be edited"]) for row in one.examples]
        for one in (worst, best)
    ]
    assert min(shares[0]) >= max(shares[1])
    assert shares[1][0] == 0
    assert best.examples[0].truth == best.examples[0].predicted
    assert best.examples[0].cells["size"] in SIZES
    assert "presence of hue" in {str(row[0]) for row in slices.rows}


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
