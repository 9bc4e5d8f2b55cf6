"""Heads that are linear over fixed features begin as scikit-learn's regressions."""

import keras
import numpy as np
import pytest
from keras import layers
from same_run import assert_same_run
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression, Ridge
from small_table import ingested, with_parts

from multimodal_tf.config import BagTower, SumFusion, TextInput, Training
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models.build import build_model
from multimodal_tf.models.presence import ZeroWhereMissing
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit
from multimodal_tf.training.linear_start import regression, start_linear_heads
from multimodal_tf.training.linear_start.fixed_columns import fixed_columns
from multimodal_tf.training.linear_start.regression import Rows
from multimodal_tf.training.run_dir import CHECKPOINT, load_run

WIDE = TextInput(max_tokens=4, tower=BagTower(embedding_dim=4, wide=True))


def config(heads=("label", "tags", "age"), **training):
    """A learning rate that makes every epoch worse than the start."""
    chosen = {"epochs": 3, "batch_size": 8, "learning_rate": 3.0, "checkpoint_steps": 1}
    one = with_parts(["title", "price"], heads, training=Training(**chosen | training))
    return one.model_copy(update={"inputs": one.inputs | {"title": WIDE}})


CONFIG = config()


@pytest.fixture(scope="module")
def folder(once):
    return once("linear_start", lambda folder: ingested(folder / "records", CONFIG))


@pytest.fixture(scope="module")
def schema(folder):
    return Schema.load(folder / "records" / "schema.json")


@pytest.fixture
def records(folder):
    return folder / "records"


def rows(seed=0, classes=3, width=5, count=60):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, width))
    y = (x @ random.normal(size=(width, classes)) + random.gumbel(size=(count, classes))).argmax(1)
    return Rows(x, y, random.uniform(0.5, 2, count))


# --- what is fixed


def test_fixed_columns_are_found_behind_zeros_of_missing_inputs_dropout_and_concatenations():
    words, photo, flag = keras.Input((3,)), keras.Input((4,)), keras.Input(())
    frozen = layers.Dense(5, trainable=False)(words)
    tower = layers.Concatenate()([layers.Dense(2)(photo), photo])
    both = [ZeroWhereMissing()(tower, flag), frozen, layers.Reshape((1,))(flag)]
    fused = layers.Dropout(0.5)(layers.Concatenate()(both))
    assert fixed_columns(fused) == [(2, 4), (6, 5), (11, 1)]


def test_inputs_are_told_apart_where_all_is_fixed():
    words, photo, flag = keras.Input((3,)), keras.Input((4,)), keras.Input(())
    both = layers.Concatenate()([ZeroWhereMissing()(words, flag), layers.Dropout(0.1)(photo)])
    assert fixed_columns(both) == [(0, 3), (3, 4)]


def test_nothing_is_fixed_behind_a_layer_that_mixes_columns():
    words = keras.Input((3,))
    assert fixed_columns(layers.Dense(2)(words)) == []
    joined = layers.Concatenate()([words, layers.Dense(2)(words)])
    assert fixed_columns(layers.LayerNormalization()(joined)) == []


# --- the regressions


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_fitted_as_by_scikit_learn(classes, monkeypatch):
    train, one = rows(0, classes), 0.1
    monkeypatch.setattr(regression, "STRENGTHS", (one,))
    found = regression.softmax_regression(train, rows(1, classes), [0.0] * classes)
    logits = train.x @ found.kernel + found.bias
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = LogisticRegression(C=one).fit(train.x, train.y, train.weight)
    np.testing.assert_allclose(ours, expected.predict_proba(train.x), atol=2e-4)


def test_more_columns_than_rows_are_fitted_as_by_scikit_learn(monkeypatch):
    monkeypatch.setattr(regression, "STRENGTHS", (0.1,))
    train = rows(width=100, count=30)
    found = regression.softmax_regression(train, train, [0.0] * 3)
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(train.x, train.y, train.weight)
    np.testing.assert_allclose(
        found.kernel - found.kernel.mean(axis=1, keepdims=True), expected.coef_.T, atol=1e-3
    )
    many = train._replace(y=np.stack([train.y > 0, train.y > 1], axis=1))
    found = regression.sigmoid_regression(many, many, [0.0, 0.0])
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(train.x, train.y > 1, train.weight)
    np.testing.assert_allclose(found.kernel[:, 1], expected.coef_[0], atol=1e-3)


def test_labels_and_numbers_are_fitted_as_by_scikit_learn(monkeypatch):
    monkeypatch.setattr(regression, "STRENGTHS", (0.1,))
    train = rows()
    many = train._replace(y=np.stack([train.y > 0, train.y > 5], axis=1))
    found = regression.sigmoid_regression(many, many, [0.0, -3.0])
    expected = LogisticRegression(C=0.1).fit(train.x, train.y > 0, train.weight)
    np.testing.assert_allclose(found.kernel[:, 0], expected.coef_[0], atol=1e-3)
    # a label that no row has keeps its prior
    assert (found.kernel[:, 1] == 0).all()
    assert found.bias[1] == -3
    number = train._replace(y=train.y.astype(float))
    found = regression.ridge_regression(number, None)
    expected = Ridge(alpha=100).fit(train.x, number.y, train.weight)
    np.testing.assert_allclose(found.kernel[:, 0], expected.coef_)


def test_validation_rows_select_the_strength_and_an_unseen_class_keeps_its_prior():
    train = rows(count=30)
    noise = train._replace(y=np.random.default_rng(3).integers(3, size=30))
    strong = regression.softmax_regression(noise, rows(1), [0.0, 0.0, 0.0, -5.0])
    weak = regression.softmax_regression(train, train, [0.0, 0.0, 0.0, -5.0])
    assert np.abs(strong.kernel).max() < 0.1 < 1 < np.abs(weak.kernel).max()
    assert (weak.kernel[:, 3] == 0).all()
    assert weak.bias[3] == -5


def test_a_weak_group_of_columns_counts_less():
    random = np.random.default_rng(0)

    def with_noise(seed):
        one = rows(seed, count=60)
        return one._replace(x=np.hstack([one.x, 3 * random.normal(size=(60, 40))]))

    def solve(train, validation):
        return regression.softmax_regression(train, validation, [0.0] * 3)

    train, validation, groups = with_noise(0), with_noise(0), [slice(0, 5), slice(5, 45)]
    found = regression.weighed(solve, train, validation, groups)
    plain = solve(train, validation)
    assert found.loss < plain.loss
    shares = [
        np.abs(one.kernel[5:]).mean() / np.abs(one.kernel[:5]).mean() for one in (found, plain)
    ]
    assert shares[0] < 0.5 * shares[1]
    sparse_rows = [one._replace(x=csr_array(one.x)) for one in (train, validation)]
    same = regression.weighed(solve, *sparse_rows, groups)
    np.testing.assert_allclose(same.kernel, found.kernel, atol=0.02)


# --- in a training


def test_a_wide_model_starts_as_logistic_regression(schema, records):
    model = build_model(CONFIG, schema)
    found = start_linear_heads(model, CONFIG, schema, records)
    assert set(found) == {"label", "tags", "age_normalised"}
    for name, weights in found.items():
        model.get_layer(name).set_weights(weights)
    right = known = 0
    for inputs, targets, weights in load_split(CONFIG, schema, records, "validation"):
        bears = ((weights["label"] > 0) & (inputs["title_present"] > 0)).numpy()
        output = np.asarray(model(inputs)["label"]).argmax(axis=1)
        right += int((output == targets["label"].numpy())[bears].sum())
        known += int(bears.sum())
    # the title determines the class
    assert right == known > 5


def test_heads_over_trained_vectors_start_as_drawn(schema, records):
    def fixed(**changed):
        one = CONFIG.model_copy(update=changed)
        return start_linear_heads(build_model(one, schema), one, schema, records)

    # fixed features reach heads beside any fused vector
    assert fixed(fusion=SumFusion(dim=3))
    bag = WIDE.model_copy(update={"tower": BagTower(embedding_dim=4)})
    # presence flags alone are no features
    assert not fixed(inputs=CONFIG.inputs | {"title": bag})


def test_the_start_is_kept_where_training_makes_it_worse(schema, records, tmp_path):
    one = config(heads=("label",))
    run = fit(one, schema, records, tmp_path / "run", verbose=0)
    assert run.record.best_epoch == 0
    validation = load_split(one, schema, records, "validation")
    now = run.model.evaluate(validation, verbose=0, return_dict=True)
    assert run.metrics["val_loss"] == pytest.approx(now["loss"])
    assert now["loss"] < min(run.history["val_loss"])
    assert now["accuracy"] > 0.6
    assert (tmp_path / "run" / "model.keras").exists()
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    again = load_run(tmp_path / "run").model.evaluate(validation, verbose=0, return_dict=True)
    assert again["loss"] == pytest.approx(now["loss"])


@pytest.mark.slow
def test_a_resumed_training_keeps_the_start(schema, records, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise KeyboardInterrupt

    class Nothing(keras.callbacks.Callback):
        pass

    Nothing.__name__ = "Stop"
    one = config(heads=("label",), epochs=2)
    whole = fit(one, schema, records, tmp_path / "whole", verbose=0, callbacks=[Nothing()])
    with pytest.raises(KeyboardInterrupt):
        fit(one, schema, records, tmp_path / "stopped", verbose=0, callbacks=[Stop()])
    resumed = fit(one, schema, records, tmp_path / "stopped", verbose=0, callbacks=[Nothing()])
    assert resumed.record.resumed == 1
    assert resumed.record.best_epoch == whole.record.best_epoch == 0
    assert_same_run(resumed, whole)


def test_linear_start_may_be_switched_off(schema, records, tmp_path):
    one = config(heads=("label",), epochs=1, linear_start=False, learning_rate=1e-3)
    run = fit(one, schema, records, tmp_path / "run", verbose=0)
    assert run.record.best_epoch == 1
