"""Towers over several numbers, categories, booleans and dates."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    BooleanInput,
    CategoryInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DateInput,
    DenseTower,
    FeatureTransformerTower,
    MLPTower,
    NumberInput,
    TextInput,
)
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.tabular import UnknownDropout

COLUMNS = {
    "price": NumberInput(),
    "colour": CategoryInput(tower=DenseTower(dim=3), unknown=0),
    "sold": BooleanInput(),
    "day": DateInput(),
    "weight": NumberInput(),
}
SMALL = {"units": 8, "depth": 1, "heads": 2, "mlp_units": 8, "block_dropout": 0}


def configuration(tower, columns=tuple(COLUMNS), **fusion):
    return Config(
        inputs={name: COLUMNS[name] for name in columns},
        heads={"label": ClassificationHead()},
        tabular=tower,
        fusion=ConcatenationFusion(**{"hidden": [8], "dropout": 0} | fusion),
    )


MLP = MLPTower(hidden=[8, 6], dropout=0)
TRANSFORMER = FeatureTransformerTower(**SMALL)
TOWERS = {
    "mlp": configuration(MLP),
    "mlp, projected": configuration(MLPTower(hidden=[8], dim=5, dropout=0), ("colour", "day")),
    "mlp, one number without presence": configuration(MLP, ("price",), presence=False),
    "transformer": configuration(TRANSFORMER),
    "transformer, projected": configuration(FeatureTransformerTower(**SMALL, dim=5), ("day",)),
    "transformer, without presence": configuration(TRANSFORMER, presence=False),
}
BOTH = [TOWERS["mlp"], TOWERS["transformer"]]
both = pytest.mark.parametrize("config", BOTH, ids=["mlp", "transformer"])


def checks(tower):
    """The loss falls in a strategy or, where a tower differs in options alone, eagerly."""
    whole = tower in ("mlp", "transformer")
    one = contract.training_lowers_the_loss if whole else contract.in_a_strategy
    return [check for check in contract.CHECKS if check is not one]


@pytest.mark.parametrize(
    ("tower", "check"),
    [
        pytest.param(tower, check, id=f"{tower}-{check.__name__}")
        for tower in TOWERS
        for check in checks(tower)
    ],
)
def test_contract(tower, check, tmp_path):
    check(TOWERS[tower], tmp_path)


def built(config):
    return build_model(config, contract.schema_of(config))


def test_booleans_and_numbers_are_standardized():
    config = configuration(MLP)
    model = built(config)
    numbers = keras.Model(model.input, model.get_layer("tabular_numbers_zeroed").output)
    rows = contract.rows_of(config, 3) | {
        # mean 5, standard deviation 2
        "price": np.array([5.0, 9.0, 1.0], "float32"),
        "sold": np.array([0.0, 1.0, 1.0], "float32"),
        "weight": np.array([5.0, 7.0, np.nan], "float32"),
        "weight_present": np.array([1, 1, 0], "float32"),
    }
    np.testing.assert_allclose(numbers(rows), [[0, -1, 0], [2, 1, 1], [-2, 1, 0]], atol=1e-6)


@both
def test_every_column_counts_and_a_missing_one_does_not(config):
    model = embeddings(built(config))
    rows = contract.rows_of(config, 2)
    for name in config.inputs:
        other = rows | {name: contract.rows_of(config, 2, seed=1)[name]}
        other |= {"sold": 1 - rows["sold"]} if name == "sold" else {}
        other |= {"colour": (rows["colour"] + 1) % 4} if name == "colour" else {}
        assert (
            np.abs(model(rows)["tabular"] - model(other)["tabular"]).max(axis=1) > 1e-6
        ).all(), name
        gone = np.ones(2, bool)
        np.testing.assert_array_equal(
            model(contract.without(rows, name, gone))["tabular"],
            model(contract.without(other, name, gone, value=0))["tabular"],
        )


def test_the_weights_of_a_missing_number_have_no_gradient():
    for config, layer in zip(BOTH, ("tabular_dense_1", "tabular_number_tokens")):
        model = contract.compiled(config)
        rows = contract.without(contract.rows_of(config, 4), "weight", np.ones(4, bool))
        kernel = model.get_layer(layer).kernel
        (gradient,) = contract.gradients(model, config, rows, [kernel])
        # after price and sold
        assert not gradient[2].any()
        assert gradient[0].any()


@both
def test_the_group_is_present_if_any_column_is(config):
    model = built(config)
    flag = keras.Model(model.input, model.get_layer("tabular_any").output)
    rows = contract.rows_of(config, 3)
    for name in config.inputs:
        rows = contract.without(rows, name, np.array([False, name != "day", True]))
    assert flag(rows).numpy().tolist() == [1, 1, 0]
    vectors = embeddings(model)(rows)["tabular"].numpy()
    assert vectors[1].any()
    assert not vectors[2].any()


def test_tokens_and_their_mask():
    config = TOWERS["transformer"]
    rows = contract.without(contract.rows_of(config, 3), "colour", np.array([False, True, False]))
    tokens, mask, vector = build_towers(config, contract.schema_of(config))(rows)[
        "tabular"
    ].values()
    assert tokens.shape == (3, 6, 8)
    # class; price, sold, weight; colour, day
    assert mask.numpy()[1].tolist() == [True, True, True, True, False, True]
    np.testing.assert_array_equal(tokens[:, 0], vector)


@both
def test_other_inputs_keep_their_own_towers(config):
    config = Config.model_validate(
        config.model_dump()
        | {"inputs": config.model_dump()["inputs"] | {"title": TextInput(max_tokens=4)}}
    )
    assert config.vectors() == ["title", "tabular"]
    model = built(config)
    assert set(embeddings(model).output) == {"title", "tabular", "fused"}
    assert {tensor.split("_present")[0] for tensor in model.input} == set(config.inputs)
    flags = [layer.name for layer in model.layers if layer.name.endswith("_flag")]
    assert flags == ["title_flag", "tabular_flag"]


def test_modality_dropout_acts_on_each_column():
    config = configuration(MLP, modality_dropout=0.5)
    model = built(config)
    flags = keras.Model(model.input, model.get_layer("tabular_flags").output)
    rows = contract.rows_of(config, 64)
    assert flags(rows).numpy().all()
    found = flags(rows, training=True).numpy()
    assert len(np.unique(found, axis=0)) > 8
    assert 0.3 < found.mean() < 0.7


def test_training_replaces_some_values_by_unknown():
    layer = UnknownDropout(0.25, seed=1)
    x = tf.fill([4000], 3)
    np.testing.assert_array_equal(layer(x), x)
    shown = layer(x, training=True).numpy()
    assert set(shown) == {0, 3}
    assert 0.2 < (shown == 0).mean() < 0.3
    config = configuration(None, ("colour",))
    config.inputs["colour"] = CategoryInput(tower=DenseTower(dim=3), unknown=0.5)
    model, rows = (
        contract.compiled(config),
        {"colour": np.full(32, 2, "int32"), "colour_present": np.ones(32, "float32")},
    )
    (gradient,) = contract.gradients(
        model, config, rows, [model.get_layer("colour_values").embeddings]
    )
    assert np.flatnonzero(tf.convert_to_tensor(gradient).numpy().any(axis=1)).tolist() == [0, 2]


def test_l2_is_that_of_the_group():
    model = built(configuration(MLPTower(hidden=[8], l2=0.1, dropout=0)))
    assert [layer.name for layer in model.layers if getattr(layer, "kernel_regularizer", None)] == [
        "tabular_vector"
    ]
