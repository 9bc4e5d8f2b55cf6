"""Rare classes: class weights in the validation loss, and the score that chooses the epoch."""

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight
from small_table import ingested, with_parts

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    Config,
    DenseTower,
    EmbeddingHead,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    Split,
    Training,
    ViewsHead,
)
from multimodal_tf.config.monitor import check_monitor, chosen_monitor, monitors
from multimodal_tf.config.search_space import Choice, Space
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.metrics.alignment import alignment
from multimodal_tf.models import heads
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.monitored import alignment_score
from multimodal_tf.training.fit import fit
from multimodal_tf.training.linear_start.regression import Rows, sigmoid_regression
from multimodal_tf.training.run_dir import load_run
from multimodal_tf.training.tune.model import SearchModel
from multimodal_tf.training.tune.trial import outcome_of

ROWS = 1600
TRAINING = Training(epochs=8, batch_size=100, learning_rate=0.05, patience=3)


def config(head=None, monitor="val_loss", **fields):
    return Config(
        inputs={name: NumberInput(tower=DenseTower(dim=4)) for name in ("a", "b")},
        heads={"label": head or ClassificationHead(class_weight="balanced")},
        fusion={"hidden": [4], "dropout": 0.0},
        split=Split(column="split"),
        training=TRAINING.model_copy(update={"monitor": monitor, **fields}),
    )


def frame():
    """One row in a hundred is positive; the classes overlap."""
    random, numbers = np.random.default_rng(0), np.arange(ROWS)
    positive = numbers % 100 == 7
    values = random.normal(size=(ROWS, 2)) + np.where(positive, 1.6, 0)[:, None]
    split = np.array(["train", "train", "validation", "test"])[numbers // 100 % 4]
    return pd.DataFrame(
        {
            "a": values[:, 0],
            "b": values[:, 1],
            "label": np.where(positive, "yes", "no"),
            "split": split,
        }
    )


@pytest.fixture(scope="module")
def folder(once):
    """Records, and runs by the name of their monitor."""

    def make(folder):
        ingested(folder / "records", config(), frame())
        for monitor in ("val_loss", "val_label_average_precision"):
            one = config(monitor=monitor)
            fit(one, schema_in(folder), folder / "records", folder / monitor, verbose=0)

    return once("monitor", make)


def schema_in(folder):
    return Schema.load(folder / "records" / "schema.json")


def predicted(run, folder, split):
    """Truth and probabilities of the rows of a split."""
    inputs, targets, _ = next(
        load_split(
            run.config, run.schema, folder / "records", split, batch_size=ROWS
        ).as_numpy_iterator()
    )
    return targets["label"], run.model.predict_on_batch(inputs)["label"]


def test_one_positive_in_a_hundred_is_found(folder):
    run = load_run(folder / "val_loss")
    truth, chances = predicted(run, folder, "test")
    assert truth.sum() == 4
    assert sk.recall_score(truth, chances.argmax(axis=1)) >= 0.75
    assert sk.balanced_accuracy_score(truth, chances.argmax(axis=1)) > 0.75


def test_the_validation_loss_has_the_weights_of_training(folder):
    run = load_run(folder / "val_loss")
    truth, chances = predicted(run, folder, "validation")
    counts = np.array(run.schema.heads["label"].counts)
    weights = counts.sum() / (2 * counts)
    smoothed = np.eye(2)[truth] * 0.9 + 0.05
    losses = -(smoothed * np.log(chances)).sum(axis=1)
    assert run.metrics["val_loss"] == pytest.approx((weights[truth] * losses).mean(), rel=1e-4)
    assert run.record.best_epoch == np.argmin(run.history["val_loss"]) + 1
    # but a share of rows is one of rows
    assert run.metrics["val_accuracy"] == pytest.approx((chances.argmax(axis=1) == truth).mean())


def test_a_score_of_a_head_chooses_the_epoch(folder):
    name = "val_label_average_precision"
    run = load_run(folder / name)
    history = run.history[name]
    assert run.record.best_epoch == np.argmax(history) + 1
    # it stops `patience` epochs later
    assert len(history) == min(run.record.best_epoch + 3, 8)
    truth, chances = predicted(run, folder, "validation")
    expected = np.mean([sk.average_precision_score(truth == c, chances[:, c]) for c in (0, 1)])
    assert run.metrics[name] == max(history) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_an_interrupted_training_resumes_with_its_monitor(folder, tmp_path):
    steps = iter(range(20))

    def stop(batch, logs):
        if next(steps, None) == 19:
            raise KeyboardInterrupt

    name = "val_label_average_precision"
    one = config(monitor=name, checkpoint_steps=5)
    arguments = (one, schema_in(folder), folder / "records", tmp_path / "run")
    callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=stop)]
    with pytest.raises(KeyboardInterrupt):
        fit(*arguments, callbacks=callbacks, verbose=0)
    run = fit(*arguments, callbacks=callbacks, verbose=0)
    assert run.record.resumed == 1
    before = load_run(folder / name)
    assert run.history[name] == pytest.approx(before.history[name], rel=1e-6)
    assert run.record.best_epoch == before.record.best_epoch


def test_a_score_that_the_rows_do_not_define_gives_way_to_the_loss(tmp_path):
    table = frame()
    table.loc[table["split"] == "validation", "label"] = "no"
    one = config(monitor="val_label_auroc", epochs=1)
    schema = ingested(tmp_path / "records", one, table)
    with pytest.warns(UserWarning, match="val_label_auroc is not defined on the validation rows"):
        run = fit(one, schema, tmp_path / "records", tmp_path / "run", verbose=0)
    assert "the validation loss chooses the epoch" in run.record.note
    assert run.record.best_epoch == 1


def test_a_search_may_go_by_it(folder):
    name = "val_label_average_precision"
    space = Space.from_config(config(monitor=name), {"training.momentum": Choice([0.8, 0.9])})
    objective = SearchModel(space, folder / "records").objective(name)
    assert (objective.name, objective.direction) == (name, "max")
    # of a trial it is what its run kept
    run = load_run(folder / name)
    assert outcome_of([run.record], folded=False).metrics[name] == max(run.history[name])


def test_a_monitor_that_no_head_has_is_one_sentence():
    for wrong in ("val_label_mae", "val_loss_of_label", "f1", "loss", ""):
        with pytest.raises(ValueError, match=r"monitor must be one of val_loss, .* which no head"):
            Config.model_validate(config().model_dump() | {"training": {"monitor": wrong}})
    names = list(monitors({"price": RegressionHead(), "tags": MultiLabelHead()}))
    assert names[0] == "val_price_mae"
    assert "val_tags_average_precision_micro" in names
    with pytest.raises(ValueError, match="training.monitor"):
        with_parts(heads=("age",), training=Training(monitor="val_age_f1"))


def test_the_weights_of_a_multi_label_head_are_in_its_loss(small_schema):
    weighed = MultiLabelHead(class_weight="balanced")
    stats = small_schema.heads["tags"]
    loss = heads.loss(weighed, stats)
    truth = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    chances = np.array([[0.7, 0.2, 0.4], [0.1, 0.6, 0.3]])
    expected = np.zeros(truth.shape)
    rows = stats.rows
    for column, count in enumerate(stats.counts):
        marks = np.arange(rows) < count
        negative, positive = compute_class_weight("balanced", classes=np.array([0, 1]), y=marks)
        right = np.where(truth[:, column] > 0, chances[:, column], 1 - chances[:, column])
        weight = np.where(truth[:, column] > 0, positive, negative)
        expected[:, column] = -weight * np.log(right)
    assert float(loss(truth, chances)) == pytest.approx(expected.mean(), rel=1e-4)
    by_name = heads.loss(MultiLabelHead(class_weight={stats.names[0]: 3.0}), stats)
    plain = -np.log(np.where(truth > 0, chances, 1 - chances))
    plain[0, 0] *= 3
    assert float(by_name(truth, chances)) == pytest.approx(plain.mean(), rel=1e-4)


def test_weights_of_a_label_that_training_does_not_have(small_schema, small_records, tmp_path):
    one = with_parts(heads=("tags",)).model_copy(deep=True)
    one.heads["tags"].class_weight = {"zebra": 2.0}
    with pytest.raises(ValueError, match=r"heads\.tags\.class_weight must name .* 'zebra'"):
        fit(one, small_schema, small_records, tmp_path / "run", verbose=0)
    assert build_model(one, small_schema) is not None


def test_every_head_has_its_scores(small_schema, small_records, tmp_path):
    """One epoch with each kind of head: the scores are those of the evaluation."""
    for head, score in (("tags", "f1"), ("age", "mae")):
        monitor = f"val_{head}_{score}"
        one = with_parts(heads=(head,), training=Training(epochs=1, monitor=monitor))
        run = fit(one, small_schema, small_records, tmp_path / monitor, verbose=0)
        found = evaluate(run.model, one, run.schema, small_records, "validation", resamples=0)
        expected = found.heads[head].metrics["f1_macro" if score == "f1" else score].value
        assert run.metrics[monitor] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_head_that_aligns_inputs_is_chosen_by_its_retrieval(folder, tmp_path):
    """By the mean over both directions, among all validation rows and not those of a batch."""
    one = config(AlignmentHead(inputs=["a", "b"], dim=3), None, epochs=3)
    run = fit(one, schema_in(folder), folder / "records", tmp_path / "run", verbose=0)
    history = run.history["val_label_mean_average_precision"]
    assert run.record.best_epoch == np.argmax(history) + 1
    found = evaluate(run.model, one, run.schema, folder / "records", "validation", resamples=0)
    metrics = found.heads["label"].metrics
    both = [metrics[f"{pair}_mean_average_precision"].value for pair in ("a_to_b", "b_to_a")]
    best = run.metrics["val_label_mean_average_precision"]
    # the batches differ, and rounding ranks vectors that are nearly equal
    assert max(history) == best == pytest.approx(np.mean(both), rel=0.02)


def test_the_default_is_the_loss_unless_an_alignment_is_all_that_is_learned():
    space, label = AlignmentHead(inputs=["a", "b"]), ClassificationHead()
    views = {"same": ViewsHead(inputs=["a"])}
    assert chosen_monitor(None, views) == "val_loss"
    check_monitor("val_same_recall_at_5", views)
    assert chosen_monitor(None, {"space": space}) == "val_space_mean_average_precision"
    assert chosen_monitor("val_loss", {"space": space}) == "val_loss"
    vector = EmbeddingHead()
    assert chosen_monitor(None, {"vector": vector, "space": space}).startswith("val_space_")
    for learned in ({"label": label}, {"space": space, "label": label}, {"vector": vector}):
        assert chosen_monitor(None, learned) == "val_loss"


def test_retrieval_that_chooses_is_that_of_the_metrics():
    """With missing inputs and equal cells, over three inputs; nothing without two inputs."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(40, 3, 4)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[random.random((40, 3)) < 0.2] = 0
    cells = random.integers(30, size=(40, 3))
    padded = np.concatenate([vectors, np.zeros((40, 3, 2))], axis=2)
    expected = alignment(cells, padded, ["a", "b", "c"], resamples=0).metrics
    for name in AlignmentHead.monitors:
        mean = np.mean([one.value for key, one in expected.items() if key.endswith(f"_{name}")])
        assert alignment_score(name, cells, vectors) == pytest.approx(mean, abs=1e-6)
    assert np.isnan(alignment_score("recall_at_1", cells, vectors * [[[1], [0], [0]]]))


def test_a_head_that_begins_as_logistic_regression_weighs_its_labels():
    """A row of weight 3 is a row three times."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 2))
    y = x + random.normal(size=(60, 2)) > [0.5, 0.0]
    weighed = sigmoid_regression(Rows(x, y, np.ones(60)), None, [0.0, 0.0], [3.0, 1.0])
    times = np.where(y[:, 0], 3, 1)
    again = Rows(np.repeat(x, times, axis=0), np.repeat(y, times, axis=0), np.ones(times.sum()))
    repeated = sigmoid_regression(again, None, [0.0, 0.0])
    np.testing.assert_allclose(weighed.kernel[:, 0], repeated.kernel[:, 0], atol=1e-3)
    plain = sigmoid_regression(Rows(x, y, np.ones(60)), None, [0.0, 0.0])
    np.testing.assert_allclose(weighed.kernel[:, 1], plain.kernel[:, 1], atol=1e-6)
    assert weighed.bias[0] > plain.bias[0]
