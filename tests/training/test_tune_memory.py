"""The memory that a search takes a training to need."""

import contract
import keras
import numpy as np
import one_input
import pytest
from tune_space import CONFIG

from multimodal_tf.config import (
    Config,
    DenseTower,
    KerasTower,
    NumberInput,
    PresetTower,
    RegressionHead,
)
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.training.tune import memory, model


def test_memory_is_weights_gradients_optimizer_and_outputs():
    tower = DenseTower(dim=4)
    config = Config(
        inputs={"price": NumberInput(tower=tower)},
        heads={"age": RegressionHead()},
        fusion={"presence": False, "dropout": 0},
    )
    schema = Schema.model_validate(
        {
            "rows": 9,
            "inputs": {"price": {"type": "moments", "mean": 0, "std": 1}},
            "heads": {"age": {"type": "moments", "mean": 0, "std": 1}},
        }
    )
    small, large = (
        memory.training_bytes(with_batch(config, batch), schema) for batch in (100, 200)
    )
    built = model.build_model(config, schema)
    weights = sum(int(np.prod(one.shape)) for one in built.trainable_variables)
    fixed = built.count_params() - weights
    # what does not grow with the batch: value, gradient and Adam's two of each
    assert 2 * small - large == 4 * (4 * weights + fixed)
    config.training.optimizer = "sgd"
    assert memory.training_bytes(with_batch(config, 100), schema) == small - 4 * weights


def with_batch(config, size):
    config.training.batch_size = size
    return config


def test_the_memory_of_a_large_model_is_estimated_without_making_it(tune_records):
    config = CONFIG.model_copy(deep=True)
    config.training.optimizer = "adamw"
    config.fusion.hidden = [16_384] * 100
    # weights, gradients and two moments, of four bytes
    expected = 4 * 4 * 99 * 16_384**2
    assert memory.training_bytes(config, schema_for(config, tune_records)) > expected
    # at its end Keras initialises variables that have no values
    with keras.StatelessScope():
        pass


@pytest.mark.parametrize(
    "part",
    [
        lambda pretrained: one_input.image(KerasTower(path=pretrained.keras_model())),
        lambda pretrained: one_input.image(
            PresetTower(preset=pretrained.image_preset()), size=32, channels=3
        ),
    ],
    ids=["keras", "preset"],
)
def test_estimating_a_pretrained_tower_does_not_change_its_weights(part, pretrained):
    config = contract.with_input(part(pretrained))
    schema = contract.schema_of(config)
    before = build_model(config, schema).get_weights()
    assert memory.training_bytes(config, schema) > 4 * sum(map(np.size, before))
    for one, other in zip(before, build_model(config, schema).get_weights()):
        np.testing.assert_array_equal(one, other)
