"""Focal, ordinal, quantile, matching and embedding heads: contract, formulas, training, prior."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from multimodal_tf.config import (
    PRESENT,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DenseTower,
    EmbeddingHead,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
)
from multimodal_tf.losses import CumulativeLinkLoss
from multimodal_tf.metrics.matching import matching
from multimodal_tf.metrics.regression import quantile
from multimodal_tf.models import build_model, compile_arguments, heads
from multimodal_tf.models.heads.ordinal import OrderedClasses
from multimodal_tf.models.heads.quantile import RisingQuantiles
from multimodal_tf.schema import Classes, Moments

NUMBER = NumberInput(tower=DenseTower(dim=4))
INPUTS = {"price": NUMBER, "weight": NUMBER}
# in an order that is not the alphabet's, which is Keras' own
HEADS = {
    "size": OrdinalHead(),
    "label": ClassificationHead(loss="focal"),
    "vector": EmbeddingHead(),
    "cost": QuantileHead(),
    "age": RegressionHead(),
    "pair": MatchingHead(inputs=["weight", "price"], dim=3),
    "tags": MultiLabelHead(),
}
CONFIG = Config(inputs=INPUTS, heads=HEADS, fusion=ConcatenationFusion(dropout=0, hidden=[6]))
PLAIN = CONFIG.model_copy(
    update={"fusion": ConcatenationFusion(dropout=0, hidden=[6], presence=False)}
)
CLASSES = Classes(names=["a", "b", "c"], counts=[5, 3, 2])
MOMENTS = Moments(mean=100.0, std=10.0)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract_of_all_heads_at_once(check, tmp_path):
    check(CONFIG, tmp_path)


@pytest.mark.parametrize(
    "check", [contract.shape_and_dtype, contract.save_and_load, contract.training_lowers_the_loss]
)
def test_contract_without_presence(check, tmp_path):
    check(PLAIN, tmp_path)


@pytest.mark.parametrize("head", HEADS)
def test_each_head_learns_alone(head):
    if head != "vector":
        config = CONFIG.model_copy(update={"heads": {head: HEADS[head]}})
        contract.training_lowers_the_loss(config, None)


# --- per-head metrics


def predictions_and_targets(rows=11):
    random = np.random.default_rng(0)
    config = CONFIG
    predictions = {
        "size": random.dirichlet([1, 1, 1], rows),
        "label": random.dirichlet([1, 1, 1], rows),
        "vector": random.normal(size=(rows, 4)),
        "cost": np.sort(random.normal(100, 10, (rows, 3)), axis=1),
        "age": random.normal(100, 10, (rows, 1)),
        "pair": random.normal(size=(rows, 2, 4)),
        "tags": random.random((rows, 3)),
    }
    known = {name: (random.random(rows) < 0.6).astype("float32") for name in predictions} | {
        "pair": np.ones(rows, "float32")
    }
    known["vector"] = np.zeros(rows, "float32")
    return (
        {name: prediction.astype("float32") for name, prediction in predictions.items()},
        contract.targets_of(config, rows),
        known,
    )


def metrics_by_hand(predictions, targets, known):
    def mean(values, name):
        return (values * known[name]).sum() / known[name].sum()

    cost = targets["cost"]
    return {
        "size_accuracy": mean(predictions["size"].argmax(axis=1) == targets["size"], "size"),
        "label_accuracy": mean(predictions["label"].argmax(axis=1) == targets["label"], "label"),
        "cost_mae": mean(np.abs(predictions["cost"][:, 1] - cost[:, 0]), "cost"),
        "cost_coverage": mean(
            (predictions["cost"][:, :1] <= cost)[:, 0] & (cost <= predictions["cost"][:, 2:])[:, 0],
            "cost",
        ),
        "age_mae": mean(np.abs(predictions["age"] - targets["age"])[:, 0], "age"),
        "tags_accuracy": mean(
            ((predictions["tags"] > 0.5) == targets["tags"]).mean(axis=1), "tags"
        ),
    }


@pytest.mark.parametrize("batch_size", [11, 4, 1])
def test_metrics_are_of_their_own_head_on_ragged_tails_too(batch_size):
    """11 rows in batches of 4; keras#22625 and #21675 gave a dict's metrics to other heads."""
    predictions, targets, known = predictions_and_targets()
    inputs = {
        name: keras.Input(prediction.shape[1:], name=f"{name}_in")
        for name, prediction in predictions.items()
    }
    model = keras.Model(
        {f"{name}_in": x for name, x in inputs.items()},
        {n: keras.layers.Identity(name=n)(x) for n, x in inputs.items()},
    )
    model.compile("sgd", **compile_arguments(CONFIG, contract.schema_of(CONFIG)))
    rows = {f"{name}_in": prediction for name, prediction in predictions.items()}
    found = model.evaluate(
        rows, targets, sample_weight=known, batch_size=batch_size, verbose=0, return_dict=True
    )
    expected = metrics_by_hand(predictions, targets, known)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert not any(name.startswith("vector") for name in found)


def test_the_accuracy_of_matching_by_hand():
    # own 3, -2, -; mismatched -1, -2
    vectors = np.array([[[1, 0], [3, -1]], [[0, 2], [-1, -1]], [[0, 0], [0, 0]]], "float32")
    metric = heads.metrics(HEADS["pair"])[0]
    metric.update_state(np.ones((3, 1)), vectors, np.ones(3))
    np.testing.assert_allclose(metric.result(), (1 + 0.5) / 2)
    # alone: its own pair only
    metric.update_state(np.ones((1, 1)), vectors[:1], np.ones(1))
    np.testing.assert_allclose(metric.result(), (1 + 0.5 + 1) / 3)


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


# --- the prior


EXPECTED = {
    "size": [0.5, 0.3, 0.2],
    "label": [0.5, 0.3, 0.2],
    "cost": [100 - 16.44854, 100, 100 + 16.44854],
    "age": [100],
    "tags": [0.5, 0.3, 0.2],
    "vector": [0] * 6,
    "pair": [[0] * 4] * 2,
}


def with_stats():
    schema = contract.schema_of(CONFIG)
    for name in ("size", "label", "tags"):
        schema.heads[name] = CLASSES
    return build_model(CONFIG, schema), schema


def test_a_row_without_inputs_gets_the_prior():
    model, _ = with_stats()
    for weight in model.trainable_weights:
        weight.assign_add(np.random.default_rng(0).normal(size=weight.shape))
    rows = contract.rows_of(CONFIG, 3)
    some = model(contract.without(rows, "price", np.array([False, True, True])))
    for name in INPUTS:
        rows = contract.without(rows, name, np.array([False, True, False]))
    predictions = {name: prediction.numpy() for name, prediction in model(rows).items()}
    for name, expected in EXPECTED.items():
        np.testing.assert_allclose(predictions[name][1], expected, rtol=1e-5, err_msg=name)
        # which needs both
        if name != "pair":
            assert not np.allclose(some[name][1], expected), "one input is enough"
        assert np.isfinite(predictions[name]).all()


def test_rows_without_inputs_have_no_gradient():
    model, schema = with_stats()
    model.compile("sgd", **compile_arguments(CONFIG, schema))
    rows = contract.rows_of(CONFIG, 3)
    for name in INPUTS:
        rows = contract.without(rows, name, np.ones(3, bool))
    found = contract.gradients(model, CONFIG, rows, model.trainable_weights)
    assert not any(gradient.any() for gradient in found)


def test_a_combined_prediction_gets_its_prior():
    stats = {
        "size": CLASSES,
        "label": CLASSES,
        "tags": CLASSES,
        "cost": MOMENTS,
        "age": MOMENTS,
        "vector": None,
    }
    for name, one in stats.items():
        prediction = keras.Input((len(EXPECTED[name]),), name="prediction")
        any_present = keras.Input((), name="any_present")
        model = keras.Model(
            [prediction, any_present],
            heads.with_prior(HEADS[name], one, prediction, any_present, name),
        )
        found = model([np.full((2, len(EXPECTED[name])), 7.0), np.array([1.0, 0.0])])
        np.testing.assert_allclose(found, [[7.0] * len(EXPECTED[name]), EXPECTED[name]], rtol=1e-5)


def test_a_class_without_rows_still_has_a_finite_prior():
    prediction = heads.prior(MultiLabelHead(), Classes(names=["x", "y"], counts=[0, 4], rows=4))
    assert prediction == [0.125, 0.875]
    assert heads.prior(
        ClassificationHead(), Classes(names=["x", "y"], counts=[0, 4])
    ) == pytest.approx([1 / 9, 8 / 9])


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


def test_a_head_reads_its_own_inputs_only():
    config = Config(
        inputs=INPUTS,
        heads={"age": RegressionHead(inputs=["price"]), "label": ClassificationHead()},
    )
    model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 2)
    other = model(rows | {"weight": rows["weight"] + 1})
    np.testing.assert_array_equal(model(rows)["age"], other["age"])
    assert not np.allclose(model(rows)["label"], other["label"])
    absent = contract.without(rows, "price", np.ones(2, bool))
    np.testing.assert_allclose(model(absent)["age"], [[100.0]] * 2)


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
