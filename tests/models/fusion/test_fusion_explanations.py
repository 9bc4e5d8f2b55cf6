"""Explanations of a fusion: weights, attention and the prediction from each input alone."""

import contract
import keras
import numpy as np
import pytest
import small_fusions

from multimodal_tf.config import ClassificationHead, HybridFusion, RegressionHead
from multimodal_tf.models import build_model, embeddings, explanations

UNEXPLAINED = ["concatenation", "sum", "mean", "product", "bilinear", "low-rank tensor"]
WEIGHTS = ["weighted sum", "attention", "gated", "self-attention", "bottleneck"]


def explained(config):
    """`(model, explainer, explanations, flags)` on four rows with gaps."""
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    rows, flags = small_fusions.with_gaps(config)
    explainer = explanations(model)
    return (
        model,
        explainer,
        {name: output.numpy() for name, output in explainer(rows).items()},
        flags,
    )


@pytest.mark.parametrize("kind", UNEXPLAINED)
def test_fusions_without_explanations(kind):
    config = small_fusions.of(kind)
    assert explanations(build_model(config, contract.schema_of(config))) is None


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_are_of_the_present_inputs(kind):
    _, _, found, flags = explained(small_fusions.of(kind))
    assert found["weights"].shape == (4, 2)
    assert (found["weights"][flags] > 0).all()
    assert not found["weights"][~flags].any()
    if kind != "gated":
        np.testing.assert_allclose(found["weights"].sum(axis=1), [1, 1, 1, 0], atol=1e-5)


def test_the_weights_of_attention_make_the_fused_vector():
    config = small_fusions.configuration(
        small_fusions.FUSIONS["attention"].model_copy(update={"hidden": []})
    )
    model, _, found, _ = explained(config)
    rows, _ = small_fusions.with_gaps(config)
    x = keras.Model(model.input, model.get_layer("fused_present").output)(rows).numpy()
    np.testing.assert_allclose(
        embeddings(model)(rows)["fused"],
        np.einsum("bi,bid->bd", found["weights"], x),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_weights_of_gates_are_their_means():
    model, _, found, _ = explained(small_fusions.of("gated"))
    gates = keras.Model(model.input, model.get_layer("fused_gates").output)(
        small_fusions.with_gaps(small_fusions.of("gated"))[0]
    ).numpy()
    assert ((gates >= 0) & (gates < 1)).all()
    np.testing.assert_allclose(found["weights"], gates.mean(axis=2), rtol=1e-6)


def test_bottlenecks_explain_their_attention():
    config = small_fusions.of("bottleneck")
    rows, flags = contract.rows_of(config, 2), np.array([1, 1], "float32")
    # the last is padding
    rows = {
        name: np.where(np.arange(4) < 3, value, 0) if value.ndim == 2 else flags
        for name, value in rows.items()
    }
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    found = {name: output.numpy() for name, output in explanations(model)(rows).items()}
    assert set(found) == {"weights", "attention_title", "attention_note"}
    for name in ("title", "note"):
        assert found[f"attention_{name}"].shape == (2, 4)
        assert (found[f"attention_{name}"][:, :3] > 0).all()
        np.testing.assert_allclose(found[f"attention_{name}"][:, 3], 0, atol=1e-6)


def test_cross_modal_attention_is_explained_for_each_pair():
    _, _, found, flags = explained(small_fusions.of("cross-modal"))
    assert {name: x.shape for name, x in found.items()} == {
        "attention_title_from_note": (4, 4),
        "attention_note_from_title": (4, 4),
    }
    for x in found.values():
        assert x[0].all()
        assert x.sum(axis=1).max() <= 1 + 1e-5
        assert not x[1:].any(), "one of the two is missing"


def test_each_members_prediction_is_an_explanation():
    config = small_fusions.configuration(
        HybridFusion(dropout=0, combine="weights"),
        heads={"kind": ClassificationHead(), "cost": RegressionHead()},
    )
    model, _, found, flags = explained(config)
    members = {
        f"{head}_from_{name}" for head in ("kind", "cost") for name in ("price", "colour", "fused")
    }
    assert set(found) == members | {"kind_weights", "cost_weights"}
    rows, _ = small_fusions.with_gaps(config)
    parts = np.stack([found[f"kind_from_{name}"] for name in ("price", "colour", "fused")], axis=1)
    np.testing.assert_allclose(
        model(rows)["kind"][:3],
        np.einsum("bm,bmc->bc", found["kind_weights"], parts)[:3],
        rtol=1e-4,
    )
    np.testing.assert_allclose(parts.sum(axis=2), 1, rtol=1e-5)


def test_explanations_of_a_fusion_of_some_inputs_bear_its_name():
    heads = {"kind": ClassificationHead(), "zone": ClassificationHead(inputs=["price"])}
    _, _, found, _ = explained(
        small_fusions.configuration(small_fusions.FUSIONS["attention"], heads=heads)
    )
    assert {name: x.shape for name, x in found.items()} == {
        "weights": (4, 2),
        "fused_of_zone_weights": (4, 1),
    }


@pytest.mark.parametrize("kind", ["self-attention", "bottleneck", "cross-modal", "hybrid"])
def test_a_saved_model_explains_the_same(kind, tmp_path):
    config = small_fusions.of(kind)
    model, explainer, found, _ = explained(config)
    model.save(tmp_path / "model.keras")
    again = explanations(keras.saving.load_model(tmp_path / "model.keras"))(
        small_fusions.with_gaps(config)[0]
    )
    contract.same(found, {name: x.numpy() for name, x in again.items()}, rtol=1e-5, atol=1e-6)
    assert len(explainer.weights) <= len(model.weights)
