"""Learned weights of losses, where a teacher teaches the heads."""

import contract
import keras
import numpy as np
import pytest
from weighted_losses import KINDS, configuration

from multimodal_tf.config import Teacher
from multimodal_tf.models import build_model
from multimodal_tf.models.heads.taught import compile_arguments

ROWS = 8
TAUGHT = ["zone", "cost"]


def ready(kind, weight):
    """`(model, rows, targets)`, compiled with a teacher's loss of this weight."""
    teacher = Teacher(model="runs/teacher", weight=weight)
    config = configuration(KINDS[kind]).model_copy(update={"teacher": teacher})
    schema = contract.schema_of(config)
    keras.utils.set_random_seed(3)
    model = build_model(config, schema)
    model.compile("adam", **compile_arguments(config, schema, TAUGHT))
    random, labels = np.random.default_rng(0), contract.targets_of(config, ROWS)
    predictions = {
        "zone": random.dirichlet(np.ones(model.output["zone"].shape[-1]), ROWS),
        "cost": random.normal(size=(ROWS, 1)),
    }
    # the teacher does not see the first row, and the last has no label
    seen, known = np.ones((ROWS, 1)), np.ones((ROWS, 1))
    seen[0] = known[-1] = 0
    targets = dict(labels)
    for name, predicted in predictions.items():
        label = np.reshape(labels[name], (ROWS, -1))
        targets[name] = np.concatenate([label, known, seen, predicted], axis=1).astype("float32")
    return model, contract.rows_of(config, ROWS), targets


@pytest.mark.parametrize("kind", KINDS)
def test_the_teachers_loss_is_a_part_of_its_heads(kind):
    """The learned weights weigh labels and teacher together, and `val_loss` has the fixed ones."""
    fixed = {}
    for weight in (1.0, 3.0):
        model, rows, targets = ready(kind, weight)
        fixed[weight] = model.evaluate(rows, targets, verbose=0, return_dict=True)
        first = model.train_on_batch(rows, targets, return_dict=True)
        assert np.isfinite(first["loss"])
        losses = {name: fixed[weight][f"{name}_loss"] for name in TAUGHT}
        weighed = losses["zone"] + 0.5 * losses["cost"]
        assert fixed[weight]["loss"] == pytest.approx(weighed, rel=1e-5)
        if kind == "uncertainty":
            # variances of 1, and half of a squared error
            assert first["loss"] == pytest.approx(losses["zone"] + 0.25 * losses["cost"], rel=1e-4)
            assert all(abs(float(one)) > 0 for one in model.log_variances.values())
        else:
            weights = np.asarray(model.task_weights)
            assert weights.mean() == pytest.approx(1, rel=1e-5)
            assert not np.allclose(weights, 1)
    # a heavier teacher
    assert fixed[3.0]["loss"] > fixed[1.0]["loss"]
