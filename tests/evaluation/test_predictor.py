"""A model as functions of raw cells, and the rows of a split that it predicts."""

import numpy as np
import pytest
import small_table
import tensorflow as tf

from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.eval_split import load_eval_split
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.run_dir import load_run


@pytest.fixture(scope="module")
def run(small_run):
    return load_run(small_run)


@pytest.fixture(scope="module")
def predictor(run):
    return predictor_of(run)


@pytest.fixture(scope="module")
def split_rows(predictor, small_records):
    """`(eval_split, features)` of the test split."""
    table = read_table(small_table.frame())
    return load_eval_split(predictor, small_records, "test", "label", table)


def test_rows_have_the_predictions_and_labels_of_the_pipeline(split_rows, small_schema):
    eval_split, _ = split_rows
    assert eval_split.table is not None
    names = np.array([*small_schema.heads["label"].names, None], object)
    known = eval_split.known
    assert known.any()
    np.testing.assert_array_equal(
        names[eval_split.labels[known]], eval_split.table["label"].to_numpy()[known]
    )
    assert (eval_split.labels[~known] == -1).all()
    np.testing.assert_array_equal(eval_split.present[:, 0], eval_split.table["title"].notna())


def test_the_row_limit_is_a_reproducible_sample(predictor, small_records):
    one, other = (
        load_eval_split(predictor, small_records, "train", "label", max_rows=10, seed=3)[0]
        for _ in range(2)
    )
    assert len(one.rows) == 10
    np.testing.assert_array_equal(one.rows, other.rows)


def test_an_input_left_out_equals_an_empty_cell(predictor, split_rows):
    """Subsets use decoded rows; emptied cells must give the same predictions."""
    eval_split, features = split_rows
    emptied = {
        "title": np.full(len(eval_split.rows), b"", object),
        "price": np.full(len(eval_split.rows), np.nan, np.float32),
    }
    for names in (("title",), ("price",), ("title", "price")):
        raw = eval_split.raw | {name: emptied[name] for name in names}
        for head, expected in predictor.predict(raw).items():
            np.testing.assert_allclose(
                predictor.predict_features(features, names)[head], expected, atol=1e-6
            )


def test_changed_cells_have_the_predictions_of_whole_rows_with_these_cells(predictor, split_rows):
    """Only changed cells are decoded anew."""
    eval_split, features = split_rows
    changed = {"title": np.roll(eval_split.raw["title"], 1), "price": eval_split.raw["price"] + 1}
    for names in (["title"], ["price"], ["title", "price"]):
        cells = {name: changed[name] for name in names}
        for head, expected in predictor.predict(eval_split.raw | cells).items():
            np.testing.assert_allclose(
                predictor.predict_changed(features, cells)[head], expected, atol=1e-6
            )


def test_a_served_temperature_is_applied(run, split_rows, tmp_path):
    """Against the predictions of the SavedModel itself, also for rows without any input."""
    path = tmp_path / "1"
    export_model(run.model, run.config, run.schema, path, temperature={"label": 2.0})
    raw = {name: cells.copy() for name, cells in split_rows[0].raw.items()}
    for name, cells in raw.items():
        cells[3] = np.nan if name == "price" else b""
    served = tf.saved_model.load(str(path)).signatures["predict"]
    expected = served(**{name: tf.constant(cells) for name, cells in raw.items()})
    found = predictor_of(path).predict(raw)["label"]
    np.testing.assert_allclose(found, expected["label_probabilities"], atol=1e-6)
    # without the temperature they are others
    assert np.abs(found - split_rows[0].predictions["label"]).max() > 0.01
