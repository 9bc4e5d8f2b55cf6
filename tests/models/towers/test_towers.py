"""Every tower keeps the contract; details of some are checked by hand."""

from typing import get_args

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from one_input import vector
from small_towers import ALIKE, PRETRAINED, TOWERS, image

from multimodal_tf.config import (
    Input,
    NumberInput,
)
from multimodal_tf.models import build_model
from multimodal_tf.models.presence import PresentBatchNormalization, ZeroWhereMissing


@pytest.fixture
def input_config(tower, pretrained):
    return TOWERS[tower] if tower in TOWERS else PRETRAINED[tower](pretrained)


def test_every_tower_of_the_configuration_passes_the_contract(pretrained):
    made = [make(pretrained) for make in PRETRAINED.values()]
    tested = {type(one.tower) for one in [*TOWERS.values(), *made]}
    for kind in get_args(get_args(Input)[0]):
        towers = kind.model_fields["tower"].annotation
        assert tested >= ({*get_args(towers)} or {towers})


def checks(tower):
    """`test_saved_towers` loads them in a new process."""
    left_out = [contract.save_and_load, *([contract.in_a_strategy] if tower in ALIKE else [])]
    return [check for check in contract.CHECKS if check not in left_out]


def case(tower, check):
    rare = [contract.in_a_strategy]
    if tower in ALIKE:
        rare += [contract.exported, contract.mixed_precision]
    marks = [pytest.mark.slow] if check in rare else []
    return pytest.param(tower, check, id=f"{tower}-{check.__name__}", marks=marks)


# raised in eager mode if an input is missing in all rows
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(
    ("tower", "check"),
    [case(tower, check) for tower in (*TOWERS, *PRETRAINED) for check in checks(tower)],
)
def test_contract(input_config, check, tmp_path):
    check(contract.with_input(input_config), tmp_path)


@pytest.mark.parametrize(
    ("tower", "size"),
    [
        ({"filters": [4, 4, 4], "padding": "valid"}, 16),
        ({"filters": [4], "kernel_size": 5, "padding": "valid"}, 4),
    ],
)
def test_an_image_too_small_for_its_blocks_is_refused_by_field(tower, size):
    with pytest.raises(
        ValueError,
        match=rf"^inputs\.probe\.tower\.filters: .* {size} x {size} in block \d, received \[",
    ) as error:
        build_model(
            contract.with_input(image(size, **tower)),
            contract.schema_of(contract.with_input(image())),
        )
    assert "\n" not in str(error.value)


def test_with_padding_same_no_image_is_too_small():
    config = contract.with_input(image(1, filters=[4] * 5))
    assert np.isfinite(
        build_model(config, contract.schema_of(config))(contract.rows_of(config, 2))["label"]
    ).all()


def test_the_unknown_value_and_each_known_one_have_their_own_vector():
    config = contract.with_input(TOWERS["category"])
    rows = contract.rows_of(config, 4) | {"probe": np.arange(4, dtype="int32")}
    assert len(np.unique(vector(TOWERS["category"], rows), axis=0)) == 4


def test_a_number_is_standardized_by_the_schema():
    config = contract.with_input(NumberInput())
    model = build_model(config, contract.schema_of(config))
    normalised = keras.Model(model.input, model.get_layer("probe_normalization").output)
    # mean 5, standard deviation 2
    rows = contract.rows_of(config, 2) | {"probe": np.array([5.0, 9.0], "float32")}
    np.testing.assert_allclose(normalised(rows), [[0.0], [2.0]], atol=1e-6)


def test_zero_where_absent_stops_nan_in_values_and_gradients():
    weight = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        x = weight * tf.constant([[1.0], [np.nan]])
        loss = tf.reduce_sum(ZeroWhereMissing()(x, tf.constant([1.0, 0.0])))
    assert loss == 2.0
    inner = tf.constant([[1.0], [np.nan]])
    with tf.GradientTape() as tape:
        tape.watch(inner)
        loss = tf.reduce_sum(ZeroWhereMissing()(inner, tf.constant([1.0, 0.0])) ** 2)
    np.testing.assert_array_equal(tape.gradient(loss, inner), [[2.0], [0.0]])


class TestPresentBatchNormalization:
    def test_with_all_rows_present_it_equals_that_of_keras(self):
        x = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 2)).astype("float32")
        ours, reference = PresentBatchNormalization(), keras.layers.BatchNormalization()
        for training in (True, False):
            np.testing.assert_allclose(
                ours(x, np.ones(5, "float32"), training=training),
                reference(x, training=training),
                atol=1e-5,
            )
        for one, other in zip(ours.get_weights(), reference.get_weights()):
            np.testing.assert_allclose(one, other, rtol=1e-5)

    def test_with_no_row_present_its_statistics_stay(self):
        layer = PresentBatchNormalization()
        layer(np.ones((2, 3, 1), "float32"), np.ones(2, "float32"), training=True)
        before = layer.get_weights()
        assert np.isfinite(
            layer(np.ones((2, 3, 1), "float32"), np.zeros(2, "float32"), training=True)
        ).all()
        for one, other in zip(before, layer.get_weights()):
            np.testing.assert_allclose(one, other, rtol=1e-6)
