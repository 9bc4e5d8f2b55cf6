"""Every fusion keeps the contract, on several inputs, and agrees with its formula written in NumPy."""

import contract
import numpy as np
import pytest
from test_towers import audio, image, text

from multimodal_tf.config import CategoryInput, ClassificationHead, ConcatenationFusion, Config, DenseTower, NumberInput
from multimodal_tf.models import build_model, embeddings

SMALL = DenseTower(dim=4)
ALL = {
    "photo": image(),
    "title": text(),
    "clip": audio(),
    "price": NumberInput(tower=SMALL),
    "colour": CategoryInput(tower=SMALL, unknown=0),
}
TWO = {"price": ALL["price"], "colour": ALL["colour"]}
FUSIONS = {
    "concatenation": ConcatenationFusion(hidden=[8], dropout=0),
    "concatenation, deep": ConcatenationFusion(hidden=[8, 6], dropout=0),
    "concatenation, nothing hidden": ConcatenationFusion(hidden=[], dropout=0),
    "concatenation, plain": ConcatenationFusion(hidden=[8], dropout=0, presence=False),
}


def configuration(fusion, inputs=TWO):
    return Config(inputs=inputs, heads={"label": ClassificationHead()}, fusion=fusion)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_contract(fusion, check, tmp_path):
    check(configuration(FUSIONS[fusion]), tmp_path)


@pytest.mark.parametrize(
    "check", [contract.absent_has_no_influence, contract.absent_rows_do_not_touch_the_others, contract.all_absent_is_finite]
)
def test_all_kinds_of_input_together(check, tmp_path):
    check(configuration(FUSIONS["concatenation"], ALL), tmp_path)


def test_concatenation_is_vectors_then_flags():
    config = configuration(ConcatenationFusion(hidden=[], dropout=0))
    model = embeddings(build_model(config, contract.schema_of(config)))
    rows = contract.without(contract.rows_of(config, 3), "colour", np.array([False, True, False]))
    vectors = model(rows)
    flags = np.array([[1, 1], [1, 0], [1, 1]])
    assert not np.any(vectors["colour"][1])
    np.testing.assert_array_equal(vectors["fused"], np.concatenate([vectors["price"], vectors["colour"], flags], axis=1))


def test_dense_layers_after_it_are_their_formula():
    config = configuration(ConcatenationFusion(hidden=[8, 6], dropout=0))
    model = build_model(config, contract.schema_of(config))
    rows = contract.rows_of(config, 3)
    vectors = embeddings(model)(rows)
    x = np.concatenate([vectors["price"], vectors["colour"], np.ones((3, 2))], axis=1)
    for layer in ("fused_dense_1", "fused"):
        kernel, bias = model.get_layer(layer).get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    np.testing.assert_allclose(vectors["fused"], x, rtol=1e-5, atol=1e-6)


def test_dropout_is_in_training_only():
    config = configuration(ConcatenationFusion(hidden=[64], dropout=0.5))
    model = build_model(config, contract.schema_of(config))
    rows = contract.rows_of(config, 2)
    contract.same(model(rows), model(rows))
    assert not np.allclose(model(rows, training=True)["label"], model(rows, training=True)["label"])


@pytest.mark.parametrize("presence", [True, False])
@pytest.mark.parametrize("hidden", [[], [8]])
def test_one_input_alone(presence, hidden, tmp_path):
    config = configuration(ConcatenationFusion(presence=presence, hidden=hidden), {"price": ALL["price"]})
    model = build_model(config, contract.schema_of(config))
    assert {"price_embedding", "fused"} <= {layer.name for layer in model.layers}
    for check in (contract.shape_and_dtype, contract.save_and_load, contract.all_absent_is_finite):
        check(config, tmp_path)


def test_modality_dropout_hides_an_input_in_training_only():
    config = configuration(ConcatenationFusion(hidden=[], dropout=0, modality_dropout=0.25))
    model = embeddings(build_model(config, contract.schema_of(config)))
    rows = contract.without(contract.rows_of(config, 4000), "price", np.arange(4000) % 2 == 0)
    colour, price = (slice(4, 8), 9), (slice(0, 4), 8)  # where the vector and the flag of each stand in the fused vector
    assert model(rows)["fused"].numpy()[:, 9].all()
    fused = model(rows, training=True)["fused"].numpy()
    for vector, flag in (colour, price):
        hidden = fused[:, flag] == 0
        assert not fused[hidden][:, vector].any()
    np.testing.assert_allclose(fused[:, 9].mean(), 0.75, atol=0.04)
    np.testing.assert_allclose(fused[:, 8].mean(), 0.75 / 2, atol=0.04)


@pytest.mark.parametrize("check", [contract.config_round_trip, contract.save_and_load, contract.mixed_precision, contract.in_a_strategy])
def test_contract_with_modality_dropout(check, tmp_path):
    check(configuration(ConcatenationFusion(modality_dropout=0.5)), tmp_path)
