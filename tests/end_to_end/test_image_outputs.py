"""From a table with drawings to PNG files of one SavedModel: train, evaluate, export, serve."""

import base64
import types

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from media import image_bytes, pixels_of

import multimodal_tf as mm
from multimodal_tf.evaluation.predictor import of_model, of_saved_model
from multimodal_tf.report.model import model_report
from multimodal_tf.serving.predict_table import predict_table
from multimodal_tf.serving.skew import skew
from multimodal_tf.training.cross_validation import cross_validate

pytestmark = pytest.mark.slow

COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}
SIDES = {"left": slice(0, 6), "right": slice(6, 12)}
ROWS, BROKEN = 150, 5
CONFIG = mm.Config(
    inputs={"hue": mm.CategoryInput(), "side": mm.CategoryInput()},
    heads={"drawing": mm.ImageHead(height=12, width=12, filters=[16, 8], latent=2, kl_weight=5)},
    fusion=mm.ConcatenationFusion(dropout=0),
    training=mm.Training(epochs=30, batch_size=16, learning_rate=0.01),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table, its records, a run and what was exported of it."""
    folder = tmp_path_factory.mktemp("drawings")
    random = np.random.default_rng(0)
    hue, side = random.choice([*COLOURS], ROWS), random.choice([*SIDES], ROWS)
    files = []
    for one, other in zip(hue, side):
        pixels = random.integers(0, 20, (12, 12, 3), np.uint8)
        pixels[:, SIDES[other]] = COLOURS[one]
        files.append(image_bytes(pixels))
    table = pd.DataFrame({"hue": hue, "side": side, "drawing": files}, dtype=object)
    table.loc[::17, "drawing"] = None
    table.loc[::13, "hue"] = None
    table.loc[BROKEN, "drawing"] = files[BROKEN][:60]
    records = folder / "records"
    mm.ingest(mm.read_table(table), CONFIG, records, processes=1)
    schema = mm.Schema.load(records / "schema.json")
    run = mm.fit(CONFIG, schema, records, folder / "run", verbose=0)
    path = mm.export_model(run.model, CONFIG, schema, folder / "drawings" / "1")
    return types.SimpleNamespace(
        folder=folder, table=table, records=records, schema=schema, run=run, path=path
    )


def test_a_broken_target_is_listed(made):
    rejected = pd.read_csv(made.records / "rejected.csv").set_index("row")
    assert rejected.loc[BROKEN, "column"] == "drawing"
    assert "damaged" in rejected.loc[BROKEN, "reason"]


def test_the_client_draws_images(made):
    client = mm.Client(made.path)
    rows = [{"hue": "red", "side": "left"}, {}, {"hue": "blue", "side": "right"}]
    found = client.predict(rows)
    red, mean, blue = map(pixels_of, found["drawing"])
    assert red.shape == (12, 12, 3)
    # the coloured side is brighter, and mostly of its colour
    assert red[:, :6].mean() > 2 * red[:, 6:].mean()
    assert blue[:, 6:].mean() > 2 * blue[:, :6].mean()
    assert red[:, :6].mean(axis=(0, 1)).argmax() == 0
    assert blue[:, 6:].mean(axis=(0, 1)).argmax() == 2
    np.testing.assert_array_equal(mean, made.schema.heads["drawing"].array())
    assert found["valid"].tolist() == [True, False, True]
    alone = client.predict(rows[2:])
    assert np.abs(pixels_of(alone["drawing"][0]) - blue).max() <= 1
    nothing = client.predict([])
    assert len(nothing) == 0
    assert "drawing" in nothing


def test_the_client_draws_at_random(made):
    client = mm.Client(made.path)
    rows = [{"hue": "red", "side": "left"}] * 3 + [{}]
    found = client.sample(rows, [1, 2, 1, 1])
    first, second, third, nothing = map(pixels_of, found["drawing"])
    np.testing.assert_array_equal(first, third)
    assert np.abs(first - second).max() > 0
    np.testing.assert_array_equal(nothing, made.schema.heads["drawing"].array())
    assert found["valid"].tolist() == [True, True, True, False]
    assert len(client.sample([], [])) == 0
    with pytest.raises(ValueError, match="seeds must be 4, one a row, received 1"):
        client.sample(rows, [1])
    # of JSON, in base64 by the ending of the key
    strings = {"hue": tf.constant(["red"]), "side": tf.constant(["left"])}
    served = tf.saved_model.load(made.path).signatures["predict_json"](**strings)
    assert "drawing" not in served
    assert pixels_of(served["drawing_bytes"].numpy()[0]).shape == (12, 12, 3)


def test_the_served_images_are_those_of_the_model(made):
    found = skew(made.run.model, CONFIG, made.schema, made.records, made.path)
    assert found["drawing"] <= 1 / 255 + 1e-6


def test_predictions_of_a_table_are_images(made):
    client, table = mm.Client(made.path), mm.read_table(made.table.drop(columns="drawing"))
    for name in ("out.csv", "out.parquet"):
        predict_table(client, table, made.folder / name)
    of_csv = pd.read_csv(made.folder / "out.csv")["drawing"][1]
    of_parquet = pd.read_parquet(made.folder / "out.parquet")["drawing"][1]
    start = "data:image/png;base64,"
    assert of_csv.startswith(start)
    assert base64.b64decode(of_csv.removeprefix(start)) == of_parquet
    assert pixels_of(of_parquet).shape == (12, 12, 3)


def test_evaluation(made):
    loaded = mm.load_run(made.folder / "run")
    found = mm.evaluate(loaded.model, CONFIG, made.schema, made.records, resamples=50)
    head = found.heads["drawing"]
    values = {name: metric.value for name, metric in head.metrics.items()}
    assert values["mse"] < 0.5 * values["mean_image_mse"]
    assert values["psnr"] > 10
    assert 0 < values["ssim"] <= 1
    assert values["kl"] > 0
    assert all(metric.low is not None for metric in head.metrics.values())
    assert head.missing + head.n == found.rows
    # of a function nothing is drawn
    predict = loaded.model.predict_on_batch
    other = mm.evaluate(lambda x: predict(x), CONFIG, made.schema, made.records, resamples=0)
    assert "give the model" in other.heads["drawing"].metrics["psnr"].reason


def test_report_of_images_alone(made, tmp_path):
    written = model_report(made.run, made.records, tmp_path / "page", resamples=10)
    page = (tmp_path / "page" / "index.html").read_text()
    assert "psnr" in page
    [section] = [one for one in written.page.sections if one.title == "Images of drawing"]
    best, worst = section.blocks
    assert best.title == "Least squared error"
    errors = [float(one.facts["squared error"]) for one in (*best.examples, *worst.examples[::-1])]
    assert errors == sorted(errors)
    means = made.schema.heads["drawing"].array()
    for one in (*best.examples, *worst.examples):
        assert {"hue", "side"} < one.cells.keys()
        target = pixels_of(made.table.drawing[int(one.name.removeprefix("row "))])
        np.testing.assert_array_equal(pixels_of(one.cells["target image"].data), target)
        images = [pixels_of(one.cells[f"sample, seed {seed}"].data) for seed in range(3)]
        assert all((image != images[0]).any() for image in images[1:])
        assert (images[0] != means).any()
        drawn = pixels_of(one.cells["predicted image"].data)
        error = np.mean((drawn.astype(float) - target) ** 2) / 255**2
        assert one.facts["squared error"] == f"{error:.4f}"


def test_what_needs_another_head_says_so(made, tmp_path):
    with pytest.raises(ValueError, match="must have a head with a label"):
        model_report(made.path, made.records, tmp_path / "page")
    with pytest.raises(ValueError, match=r"no metrics of heads of texts, .* with \['drawing'\]"):
        mm.evaluate(made.path, records=made.records)
    with pytest.raises(ValueError, match="needs a head other than of texts or images"):
        cross_validate(CONFIG, mm.read_table(made.table), tmp_path / "folds")
    with pytest.raises(ValueError, match="images have no average, received the head 'drawing'"):
        mm.export_ensemble([made.run, made.run], made.folder / "both" / "1")
    words = pd.DataFrame({"hue": ["red"] * 9, "side": ["left"] * 9, "drawing": ["a cat"] * 9})
    with pytest.raises(ValueError, match="'drawing' must hold what a image learns from"):
        mm.ingest(mm.read_table(words), CONFIG, tmp_path / "records", processes=1)
    # their vectors are there
    for predictor in (of_model(made.run.model, CONFIG, made.schema), of_saved_model(made.path)):
        raw = {"hue": np.array([b"red"], object), "side": np.array([b"left"], object)}
        assert predictor.embed(raw)["hue"].shape[0] == 1
