"""Losses of a teacher's predictions, by hand and against SciPy; their weights; metrics."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from small_table import CONFIG

from multimodal_tf.config import EmbeddingHead, OrdinalHead, Teacher
from multimodal_tf.losses import CosineDistance, DistillationLoss, TaughtLoss
from multimodal_tf.models import heads
from multimodal_tf.models.heads.taught import LabelMetric, compile_arguments
from multimodal_tf.schema import Classes, Moments, Schema


def probabilities(rows, classes, seed):
    logits = np.random.default_rng(seed).normal(0, 2, (rows, classes))
    return scipy.special.softmax(logits, axis=1).astype("float32")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_classes(temperature):
    teacher, own = probabilities(6, 4, 0), probabilities(6, 4, 1)
    p, q = (
        scipy.special.softmax(np.log(one.astype(float)) / temperature, axis=1)
        for one in (teacher, own)
    )
    wanted = temperature**2 * scipy.stats.entropy(p, q, axis=1)
    loss = DistillationLoss(temperature, reduction=None)
    np.testing.assert_allclose(loss(teacher, own), wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loss(own, own), 0, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_labels_that_are_independent(temperature):
    logits = np.random.default_rng(0).normal(size=(2, 5, 3))
    teacher, own = scipy.special.expit(logits)
    p, q = (scipy.special.expit(scipy.special.logit(one) / temperature) for one in (teacher, own))
    wanted = temperature**2 * (
        scipy.special.rel_entr(p, q) + scipy.special.rel_entr(1 - p, 1 - q)
    ).mean(axis=1)
    loss = DistillationLoss(temperature, independent=True, reduction=None)
    np.testing.assert_allclose(loss(teacher, own), wanted, rtol=1e-4)


@pytest.mark.parametrize("independent", [False, True])
def test_certain_predictions_have_finite_losses_and_gradients(independent):
    import tensorflow as tf

    loss = DistillationLoss(2.0, independent)
    logits = tf.Variable([[40.0, -40.0], [0.0, 100.0]])
    with tf.GradientTape() as tape:
        own = tf.sigmoid(logits) if independent else tf.nn.softmax(logits)
        value = loss([[0.0, 1.0], [1.0, 0.0]], own)
    assert 1 < value < np.inf
    assert np.isfinite(tape.gradient(value, logits)).all()


def test_vectors():
    loss = CosineDistance(reduction=None)
    found = loss([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [[2.0, 0.0], [-1.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(found, [0, 2, 0], atol=1e-6)


CLASSES = Classes(names=["a", "b", "c"], counts=[2, 2, 1], rows=5)
SCHEMA = Schema(
    rows=20,
    inputs={},
    heads={
        "label": CLASSES,
        "grade": CLASSES,
        "tags": Classes(names=["x", "y", "z"], counts=[2, 2, 1], rows=5),
        "age": Moments(mean=3.0, std=2.0, rows=10),
    },
)
ALL = CONFIG.model_copy(
    update={
        "heads": CONFIG.heads | {"grade": OrdinalHead(), "vector": EmbeddingHead()},
        "teacher": Teacher(model="runs/teacher", weight=3.0, temperature=2.0),
    }
)
OUTPUTS = {
    "label": probabilities(4, 3, 5),
    "grade": probabilities(4, 3, 6),
    "tags": probabilities(4, 3, 7),
    "age": np.array([[1.0], [2.0], [3.0], [4.0]], "float32"),
    "vector": np.eye(4, 5, dtype="float32"),
}
LABELS = {
    "label": np.array([[0.0], [1.0], [2.0], [0.0]]),
    "grade": np.array([[0.0], [1.0], [2.0], [0.0]]),
    "tags": np.array([[1.0, 0.0, 1.0]] * 4),
    "age": np.array([[3.0]] * 4),
    "vector": np.ones((4, 1)),
}
# the second row has no label, the third no teacher
BEARS, TEACHES = np.array([[1.0], [0.0], [2.0], [1.0]]), np.array([[1.0], [1.0], [0.0], [1.0]])


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_loss_of_a_head_is_that_of_its_label_and_of_the_teacher(name):
    arguments = compile_arguments(ALL, SCHEMA, [name])
    loss, stats = arguments["loss"][name], SCHEMA.heads.get(name)
    loss = keras.losses.deserialize(keras.losses.serialize(loss))
    loss.reduction = None
    own, teacher = OUTPUTS[name], OUTPUTS[name][::-1]
    bears = np.zeros((4, 1)) if name == "vector" else BEARS
    y_true = np.concatenate([LABELS[name], bears, TEACHES, teacher], axis=1).astype("float32")
    found = np.asarray(loss(y_true, own))
    assert found.shape == (4,)
    match name:
        case "age":
            taught = (own - teacher)[:, 0] ** 2 / 4
        case "vector":
            taught = np.ones(4)
        case _:
            taught = DistillationLoss(2.0, name == "tags", reduction=None)(teacher, own)
    wanted = 3 * TEACHES[:, 0] * np.asarray(taught)
    of_label = heads.loss(ALL.heads[name], stats)
    if of_label is not None:
        # a mean over the labelled rows
        share = SCHEMA.rows / stats.rows
        wanted += share * bears[:, 0] * np.asarray(of_label.call(LABELS[name], own))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert arguments["loss_weights"][name] == 1.0


def test_metrics_see_the_labels_alone():
    arguments = compile_arguments(ALL, SCHEMA, ["label"])
    [metric] = arguments["weighted_metrics"]["label"]
    metric = LabelMetric.from_config(metric.get_config())
    y_true = np.concatenate([LABELS["label"], BEARS, TEACHES, OUTPUTS["label"]], axis=1)
    metric.update_state(y_true, OUTPUTS["label"], sample_weight=np.ones(4))
    right = OUTPUTS["label"].argmax(1) == LABELS["label"][:, 0]
    assert float(metric.result()) == pytest.approx(right[[0, 2, 3]].mean())
    assert metric.name == "accuracy"
    metric.reset_state()
    assert float(metric.result()) == 0


def test_other_heads_keep_their_losses():
    arguments = compile_arguments(ALL, SCHEMA, ["label"])
    assert isinstance(arguments["loss"]["label"], TaughtLoss)
    assert not isinstance(arguments["loss"]["age"], TaughtLoss)
    assert arguments["loss_weights"]["age"] == 2.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_above_0(temperature):
    with pytest.raises(ValueError, match="above 0 and finite"):
        DistillationLoss(temperature)
