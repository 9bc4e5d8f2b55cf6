"""Optimizers of `fit`: Keras' own, with a schedule, and weight decay for matrices only."""

import keras
import numpy as np
import pytest

from multimodal_tf.config import Training
from multimodal_tf.training.optimizer import make_optimizer


def rates(**fields):
    """The learning rate at the steps of a training of 4 epochs of 5 steps."""
    setting = Training(**{"learning_rate": 0.8, "epochs": 4, **fields})
    schedule = make_optimizer(
        setting, keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), 5
    )._learning_rate
    return [float(schedule(step)) for step in range(21)]


def test_warm_up_then_cosine():
    steps = rates(warmup_epochs=2)
    assert steps[:10] == pytest.approx([0.08 + 0.072 * step for step in range(10)])
    assert steps[10:] == pytest.approx(
        [0.4 * (1 + np.cos(np.pi * step / 10)) for step in range(11)], abs=1e-6
    )


def test_constant_after_warm_up():
    assert rates(schedule="constant", warmup_epochs=1)[5:] == pytest.approx([0.8] * 16)


def test_no_warm_up_begins_with_the_full_rate():
    steps = rates(warmup_epochs=0)
    assert (steps[0], steps[10], steps[20]) == (
        pytest.approx(0.8),
        pytest.approx(0.4),
        pytest.approx(0, abs=1e-6),
    )


def test_warm_up_longer_than_the_training_rises_to_its_end():
    steps = rates(warmup_epochs=9)
    assert (steps[:20], steps[20]) == (sorted(steps[:20]), pytest.approx(0.8))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_is_for_matrices_only(name):
    """With gradients of 0, a step decays the kernel by weight_decay * learning rate.

    Biases and scales do not change.
    """
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, bias_initializer="ones"),
            keras.layers.BatchNormalization(),
        ]
    )
    before = {variable.path: variable.numpy() for variable in model.trainable_variables}
    setting = Training(optimizer=name, learning_rate=0.5, weight_decay=0.1, warmup_epochs=0)
    make_optimizer(setting, model, 10).apply(
        [keras.ops.zeros(variable.shape) for variable in model.trainable_variables],
        model.trainable_variables,
    )
    for variable in model.trainable_variables:
        factor = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), factor * before[variable.path], rtol=1e-6)


def test_optimizers_are_keras_own():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    assert type(make_optimizer(Training(), model, 1)) is keras.optimizers.AdamW
    sgd = make_optimizer(Training(optimizer="sgd", momentum=0.7), model, 1)
    assert (type(sgd), sgd.momentum) == (keras.optimizers.SGD, 0.7)
