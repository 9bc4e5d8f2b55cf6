"""Focal, ordinal, quantile and matching heads: formulas, training, refused settings."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from all_heads import INPUTS
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from multimodal_tf.config import (
    PRESENT,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DenseTower,
    MatchingHead,
    NumberInput,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
)
from multimodal_tf.losses import CumulativeLinkLoss
from multimodal_tf.metrics.matching import matching
from multimodal_tf.metrics.regression import quantile
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.models.heads.ordinal import OrderedClasses
from multimodal_tf.models.heads.quantile import RisingQuantiles
from multimodal_tf.schema import Moments

# --- focal


def test_a_focal_head_keeps_the_gradient_of_a_confidently_wrong_prediction():
    config = Config(
        inputs=INPUTS, heads={"label": ClassificationHead(loss="focal", label_smoothing=0)}
    )
    schema = contract.schema_of(config)
    model = build_model(config, schema)
    model.compile(keras.optimizers.SGD(1.0), **compile_arguments(config, schema))
    bias = model.get_layer("label").bias
    bias.assign([50.0, 0.0, 0.0])
    model.train_on_batch(contract.rows_of(config, 2), {"label": np.array([1, 1], "int32")})
    np.testing.assert_allclose(bias, [49.0, 1.0, 0.0], atol=1e-2)


# --- ordinal


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.floats(-30, 30))
def test_thresholds_rise_and_the_output_is_the_formula(weights, score):
    layer = OrderedClasses([0.4, 0.1, 0.3, 0.15, 0.05])
    layer.build((None, 1))
    layer.set_weights([np.array(weights[:1]), np.array(weights[1:])])
    thresholds = weights[0] + np.cumsum([0, *np.logaddexp(0, weights[1:])])
    above = np.concatenate([[1], 1 / (1 + np.exp(thresholds - score)), [0]])
    prediction = layer(np.array([[score]], "float32")).numpy()[0]
    np.testing.assert_allclose(prediction, above[:-1] - above[1:], atol=1e-6)
    np.testing.assert_allclose(prediction.sum(), 1, rtol=1e-5)
    assert (prediction >= 0).all()


def test_an_ordinal_head_begins_with_the_shares():
    np.testing.assert_allclose(
        OrderedClasses([0.5, 0.3, 0.2])(np.zeros((2, 1))), [[0.5, 0.3, 0.2]] * 2, rtol=1e-5
    )
    np.testing.assert_allclose(
        OrderedClasses([0.3, 0.7])(np.zeros((1, 1))), [[0.3, 0.7]], rtol=1e-5
    )


@pytest.mark.parametrize("score", [-40.0, 40.0])
def test_a_confidently_wrong_ordinal_prediction_keeps_its_gradient(score):
    layer, x = OrderedClasses([0.3, 0.4, 0.3]), keras.Variable([[score]])
    with tf.GradientTape() as tape:
        loss = ops.sum(CumulativeLinkLoss().call(np.array([0 if score > 0 else 2]), layer(x)))
    assert np.abs(tape.gradient(loss, x.value)) > 0.9


# --- quantile


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=3, max_size=3))
def test_quantiles_never_cross(x):
    prediction = RisingQuantiles([0.1, 0.5, 0.6], 3.0, 2.0)(np.array([x], "float32")).numpy()[0]
    assert prediction[0] <= prediction[1] <= prediction[2]


@pytest.mark.slow
def test_intervals_cover():
    """A fitted interval covers its share of unseen rows at both ends, and follows the spread."""
    random = np.random.default_rng(0)
    price = random.uniform(-2, 2, 6000)
    cost = 50 + 10 * price + random.normal(size=6000) * np.exp(price)
    inputs = {"price": NumberInput(tower=DenseTower(dim=16))}
    fusion = ConcatenationFusion(hidden=[32], dropout=0)
    config = Config(
        inputs=inputs, heads={"cost": QuantileHead(quantiles=[0.1, 0.5, 0.9])}, fusion=fusion
    )
    schema = contract.schema_of(config)
    schema.inputs["price"] = Moments(mean=0, std=1)
    schema.heads["cost"] = Moments(mean=cost.mean(), std=cost.std())
    model = build_model(config, schema)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 600)),
        **compile_arguments(config, schema),
    )
    rows = {"price": price.astype("float32"), "price" + PRESENT: np.ones(6000, "float32")}
    train, test = (
        {name: value[rows_of] for name, value in rows.items()}
        for rows_of in (slice(3000), slice(3000, None))
    )
    model.fit(train, {"cost": cost[:3000, None]}, batch_size=50, epochs=10, verbose=0)
    predicted, truth, price = model.predict(test, verbose=0)["cost"], cost[3000:], price[3000:]
    found = quantile(truth, predicted, [0.1, 0.5, 0.9], 1, resamples=0).metrics
    assert found["coverage"].value == pytest.approx(0.8, abs=0.04)
    for some in (price < 0, price >= 0):
        assert np.mean(
            (truth >= predicted[:, 0]) & (truth <= predicted[:, 2]), where=some
        ) == pytest.approx(0.8, abs=0.06)
    width = predicted[:, 2] - predicted[:, 0]
    assert width[price > 1].mean() > 3 * width[price < -1].mean()


# --- matching


@pytest.mark.slow
def test_matching_tells_its_own_pair_from_anothers():
    random = np.random.default_rng(0)
    price = random.normal(5, 2, 1500)
    rows = {"price": price, "weight": price + random.normal(0, 0.2, 1500)}
    rows = {name: value.astype("float32") for name, value in rows.items()} | {
        n + PRESENT: np.ones(1500, "float32") for n in rows
    }
    tower = NumberInput(tower=DenseTower(dim=24))
    head = MatchingHead(inputs=["price", "weight"], dim=8)
    config = Config(inputs={"price": tower, "weight": tower}, heads={"pair": head})
    schema = contract.schema_of(config)
    model = build_model(config, schema)
    model.compile(keras.optimizers.Adam(0.02), **compile_arguments(config, schema))
    train, test = (
        {name: value[rows_of] for name, value in rows.items()}
        for rows_of in (slice(1000), slice(1000, None))
    )
    before = matching(model.predict(test, verbose=0)["pair"], resamples=0).metrics
    model.fit(train, {"pair": np.ones((1000, 1), "float32")}, batch_size=50, epochs=12, verbose=0)
    after = matching(model.predict(test, verbose=0)["pair"], resamples=0).metrics
    assert after["auroc"].value > 0.85 > before["auroc"].value
    assert after["log_loss"].value < np.log(2)


# --- bad input


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            {"type": "classification", "inputs": ["colour"]},
            r"heads\.h\.inputs: must name inputs that have a tower .* received 'colour'",
        ),
        (
            {"type": "classification", "inputs": ["price", "price"]},
            r"heads\.h\.inputs: must name each input once",
        ),
        (
            {"type": "classification", "gamma": 2},
            r"heads\.h: gamma needs the loss focal, received 2\.0 with the loss crossentropy",
        ),
        ({"type": "matching", "inputs": ["price"]}, r"heads\.h\.inputs: .* at least 2 items"),
        (
            {"type": "matching", "inputs": ["price", "price"]},
            r"heads\.h\.inputs: must name each input once",
        ),
        (
            {"type": "matching", "inputs": ["price", "weight"], "column": "x"},
            r"heads\.h\.column: Extra inputs are not permitted",
        ),
        (
            {"type": "quantile", "quantiles": [0.5, 0.1]},
            r"heads\.h\.quantiles: quantiles must rise, received \[0\.5, 0\.1\]",
        ),
        ({"type": "quantile", "quantiles": [0.5, 1.0]}, r"heads\.h\.quantiles\.1: .* less than 1"),
        (
            {"type": "ordinal", "classes": ["a", "a"]},
            r"heads\.h\.classes: classes must name each class once, received 'a' twice",
        ),
        ({"type": "classification", "inputs": []}, r"heads\.h\.inputs: .* at least 1 item"),
    ],
)
def test_a_wrong_head_is_refused_by_name(head, message):
    text = yaml.safe_dump(
        {
            "inputs": {"price": {"type": "number"}, "weight": {"type": "number"}},
            "heads": {"h": head},
        }
    )
    with pytest.raises(ValueError, match=f"^the configuration is wrong: .*{message}"):
        Config.from_yaml(text)


def test_served_keys_do_not_collide():
    with pytest.raises(ValueError, match="two head keys would be called 'cost_low'"):
        Config(inputs=INPUTS, heads={"cost": QuantileHead(), "cost_low": RegressionHead()})


def test_an_order_that_the_schema_does_not_have():
    config = Config(inputs=INPUTS, heads={"size": OrdinalHead(classes=["c", "b", "a"])})
    with pytest.raises(
        ValueError,
        match=r"^heads\.size\.classes: must be those of the schema, "
        r"\['a', 'b', 'c'\], received \['c', 'b', 'a'\]",
    ):
        build_model(config, contract.schema_of(config))
