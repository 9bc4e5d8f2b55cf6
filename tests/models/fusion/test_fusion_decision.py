"""Decision and model level: the combined predictions follow their formulas, for every head."""

import contract
import keras
import numpy as np
import pytest
import small_fusions
import tensorflow as tf
from scipy.special import expit, softmax

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    CountHead,
    DecisionFusion,
    EmbeddingHead,
    HybridFusion,
    MatchingHead,
    MultiLabelHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
)
from multimodal_tf.models import build_model, embeddings
from multimodal_tf.models.fusion.probabilities import MaximumOfPredictions, ProductOfPredictions

PROBABILITIES = {"kind": ClassificationHead(), "tags": MultiLabelHead(), "size": OrdinalHead()}
HEADS = PROBABILITIES | {
    "cost": RegressionHead(),
    "visits": CountHead(),
    "range": QuantileHead(),
}
# of the classes in `contract.schema_of`
SHARES = np.array([0.4, 0.3, 0.3])


@pytest.fixture(scope="module")
def predicted():
    """`predicted(fusion, heads)`: what `outputs_of` finds, once for each fusion and heads."""
    found = {}

    def of(fusion, heads):
        key = (repr(fusion), *heads)
        if key not in found:
            found[key] = outputs_of(fusion, heads)
        return found[key]

    return of


def outputs_of(fusion, heads):
    """`(model, outputs, members, flags)` on four rows with gaps.

    `members[head]` is `(rows, members, numbers)`.
    """
    config = small_fusions.configuration(fusion, heads=heads)
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    rows, flags = small_fusions.with_gaps(config)
    names = [*config.inputs, *(["fused"] if fusion.type == "hybrid" else [])]
    outputs = {
        head: [model.get_layer(f"{head}_from_{name}").output for name in names] for head in heads
    }
    found = keras.Model(model.input, outputs)(rows)
    members = {
        head: np.stack([np.asarray(output) for output in outputs], axis=1)
        for head, outputs in found.items()
    }
    flags = flags.astype(float)
    if fusion.type == "hybrid":
        flags = np.concatenate([flags, flags.max(axis=1, keepdims=True)], axis=1)
    return model, {head: output.numpy() for head, output in model(rows).items()}, members, flags


def mean(p, flags):
    return (p * flags[..., None]).sum(axis=1) / flags.sum(axis=1)[:, None]


def product(p, flags):
    return np.where(flags[..., None] > 0, p, 1).prod(axis=1)


def maximum(p, flags):
    return (p * flags[..., None]).max(axis=1)


@pytest.mark.parametrize("fusion", [DecisionFusion, HybridFusion])
def test_mean(predicted, fusion):
    _, outputs, members, flags = predicted(fusion(dropout=0), HEADS)
    for head, output in outputs.items():
        np.testing.assert_allclose(
            output[:3], mean(members[head][:3], flags[:3]), rtol=1e-4, err_msg=head
        )


@pytest.mark.parametrize("fusion", [DecisionFusion, HybridFusion])
def test_weights_are_a_softmax_over_the_present_members(predicted, fusion):
    model, outputs, members, flags = predicted(fusion(dropout=0, combine="weights"), HEADS)
    for head, output in outputs.items():
        shares = np.exp(model.get_layer(f"{head}_scores").scores.numpy()) * flags[:3]
        shares /= shares.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            output[:3], (members[head][:3] * shares[..., None]).sum(axis=1), rtol=1e-4, err_msg=head
        )


def test_product(predicted):
    _, outputs, members, flags = predicted(
        DecisionFusion(dropout=0, combine="product"), PROBABILITIES
    )
    for head in ("kind", "size"):
        found = product(members[head][:3], flags[:3])
        np.testing.assert_allclose(
            outputs[head][:3], found / found.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6
        )
    yes, no = product(members["tags"][:3], flags[:3]), product(1 - members["tags"][:3], flags[:3])
    np.testing.assert_allclose(outputs["tags"][:3], yes / (yes + no), rtol=1e-3, atol=1e-6)


def test_a_confidently_wrong_member_of_a_product_gets_the_gradient_of_the_product():
    """The product of softmaxes is the softmax of the summed logits.

    The gradient of its cross-entropy is `prediction - target` for each member.
    """
    logits = tf.Variable([[[0.0, 40.0], [0.0, 0.0]]])
    with tf.GradientTape() as tape:
        output = ProductOfPredictions()(keras.activations.softmax(logits))
        loss = keras.losses.sparse_categorical_crossentropy(np.array([0]), output)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[[-1, 1], [-1, 1]]], atol=1e-5)


def test_maximum(predicted):
    _, outputs, members, flags = predicted(
        HybridFusion(dropout=0, combine="maximum"), PROBABILITIES
    )
    for head in ("kind", "size"):
        found = maximum(members[head][:3], flags[:3])
        np.testing.assert_allclose(
            outputs[head][:3], found / found.sum(axis=1, keepdims=True), rtol=1e-4
        )
    np.testing.assert_allclose(
        outputs["tags"][:3], maximum(members["tags"][:3], flags[:3]), rtol=1e-4
    )


def test_stacking_reads_logits_numbers_in_standard_deviations_and_the_flags(predicted):
    heads = {"kind": ClassificationHead(), "tags": MultiLabelHead(), "cost": RegressionHead()}
    model, outputs, members, flags = predicted(DecisionFusion(dropout=0, combine="stacking"), heads)
    tags = members["tags"]
    read = {
        "kind": np.log(members["kind"]),
        "tags": np.log(tags / (1 - tags)),
        "cost": (members["cost"] - 100) / 10,
    }
    for head, numbers in read.items():
        x = np.concatenate([(numbers * flags[..., None]).reshape(4, -1), flags], axis=1)
        kernel, bias = (
            weight.numpy()
            for weight in model.get_layer("cost_normalised" if head == "cost" else head).weights
        )
        found = x @ kernel + bias
        expected = {"kind": softmax(found, axis=1), "tags": expit(found), "cost": found * 10 + 100}[
            head
        ]
        np.testing.assert_allclose(outputs[head][:3], expected[:3], rtol=1e-3, err_msg=head)


@pytest.mark.parametrize("combine", ["mean", "weights", "product", "maximum", "stacking"])
@pytest.mark.parametrize("fusion", [DecisionFusion, HybridFusion])
def test_without_any_input_the_prediction_is_the_prior(predicted, fusion, combine):
    heads = PROBABILITIES if combine in ("product", "maximum") else HEADS
    _, outputs, _, _ = predicted(fusion(dropout=0, combine=combine), heads)
    np.testing.assert_allclose(outputs["kind"][3], SHARES, rtol=1e-5)
    np.testing.assert_allclose(outputs["tags"][3], SHARES, rtol=1e-5)
    np.testing.assert_allclose(outputs["size"][3], SHARES, rtol=1e-5)
    if "cost" in heads:
        np.testing.assert_allclose(outputs["cost"][3], [100.0], rtol=1e-5)
        np.testing.assert_allclose(outputs["range"][3], [83.55, 100.0, 116.45], rtol=1e-3)


@pytest.mark.parametrize("combine", ["product", "maximum"])
def test_contract_of_the_other_combinations(combine, tmp_path):
    config = small_fusions.configuration(
        DecisionFusion(dropout=0, combine=combine),
        heads={"kind": ClassificationHead(), "tags": MultiLabelHead()},
    )
    for check in (
        contract.save_and_load,
        contract.every_weight_learns,
        contract.missing_has_no_influence,
        contract.all_missing_is_finite,
    ):
        check(config, tmp_path)


def test_quantiles_of_members_do_not_cross_when_combined(predicted):
    for combine in ("mean", "weights", "stacking"):
        _, outputs, _, _ = predicted(HybridFusion(dropout=0, combine=combine), HEADS)
        assert (np.diff(outputs["range"], axis=1) >= 0).all()


def test_a_hybrid_trains_every_head_at_once():
    config = small_fusions.configuration(small_fusions.LEVELS["hybrid"], heads=HEADS)
    model = contract.compiled(config)
    members = [
        layer for layer in model.layers if "_from_" in layer.name and layer.trainable_weights
    ]
    assert {"kind_from_price", "kind_from_colour", "kind_from_fused"} <= {
        layer.name for layer in members
    }
    weights = [weight for layer in members for weight in layer.trainable_weights]
    found = contract.gradients(model, config, contract.rows_of(config, 8), weights)
    assert [weight.path for weight, gradient in zip(weights, found) if not gradient.any()] == []


def test_one_output_per_head_at_any_level():
    for fusion in small_fusions.LEVELS.values():
        config = small_fusions.configuration(fusion, heads=HEADS)
        assert set(build_model(config, contract.schema_of(config)).output) == set(HEADS)


def test_a_decision_has_no_fused_vector_and_a_hybrid_has():
    decision, hybrid = (small_fusions.of(kind) for kind in ("decision, mean", "hybrid"))
    assert "fused" not in embeddings(build_model(decision, contract.schema_of(decision))).output
    assert "fused" in embeddings(build_model(hybrid, contract.schema_of(hybrid))).output


def test_heads_without_predictions_read_vectors():
    heads = {
        "kind": ClassificationHead(),
        "alike": EmbeddingHead(),
        "pair": MatchingHead(inputs=["price", "colour"], dim=3),
    }
    config = small_fusions.configuration(small_fusions.LEVELS["hybrid"], heads=heads)
    model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
    outputs, vectors = model(rows), embeddings(model)(rows)
    fused = vectors["fused"] / np.linalg.norm(vectors["fused"], axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["alike"], fused, rtol=1e-4, atol=1e-6)
    assert outputs["pair"].shape == (3, 2, 4)
    assert not [
        layer.name for layer in model.layers if layer.name.startswith(("alike_from", "pair_from"))
    ]


@pytest.mark.parametrize(
    ("fusion", "head", "message"),
    [
        (
            {"type": "decision", "combine": "product"},
            {"type": "regression"},
            "combine must be mean, weights or stacking, since heads.y is a regression and gives "
            "no probabilities, received 'product'",
        ),
        (
            {"type": "hybrid", "combine": "maximum"},
            {"type": "quantile"},
            "since heads.y is a quantile and gives no probabilities, received",
        ),
        (
            {"type": "decision", "combine": "vote"},
            {"type": "classification"},
            "combine: Input should be 'mean', .* received 'vote'",
        ),
        (
            {"type": "decision"},
            {"type": "embedding"},
            "fusion.type must give a fused vector for the embedding heads.y, such as 'hybrid', "
            "received 'decision'",
        ),
    ],
)
def test_a_combination_that_a_head_cannot_have_is_refused_in_one_sentence(fusion, head, message):
    fields = {
        "inputs": {"a": {"type": "number"}},
        "heads": {"y": head, "z": {"type": "classification"}},
        "fusion": fusion,
    }
    with pytest.raises(ValueError, match=message) as error:
        Config.from_yaml(str(fields))
    assert "\n" not in str(error.value)


def test_layers_ignore_missing_members_whatever_they_hold():
    p = np.array([[[0.5, 0.5], [0.2, 0.8], [np.nan, np.nan]]], "float32")
    present = np.array([[1, 1, 0]], "float32")
    np.testing.assert_allclose(ProductOfPredictions()(p, present), [[0.2, 0.8]], rtol=1e-5)
    np.testing.assert_allclose(
        ProductOfPredictions(independent=True)(p, present), [[0.2, 0.8]], rtol=1e-5
    )
    np.testing.assert_allclose(
        MaximumOfPredictions()(p, present), [[0.5 / 1.3, 0.8 / 1.3]], rtol=1e-5
    )
    np.testing.assert_allclose(
        MaximumOfPredictions(independent=True)(p, present), [[0.5, 0.8]], rtol=1e-5
    )


def test_certain_members_stay_finite():
    p = np.array([[[1.0, 0.0], [0.0, 1.0]]], "float32")
    for layer in (ProductOfPredictions(), ProductOfPredictions(independent=True)):
        np.testing.assert_allclose(layer(p), [[0.5, 0.5]], rtol=1e-5)
