"""Learned embeddings in place of missing inputs: contract, gradients, and where they appear."""

import contract
import numpy as np
import pytest
import small_fusions

from multimodal_tf.config import (
    AttentionFusion,
    BottleneckFusion,
    ConcatenationFusion,
    CrossModalFusion,
    DecisionFusion,
    HybridFusion,
    MeanFusion,
)
from multimodal_tf.models import build_model, embeddings

FUSIONS = {
    "concatenation": ConcatenationFusion(hidden=[8], dropout=0, missing="learned"),
    "mean": MeanFusion(**small_fusions.PLAIN, missing="learned"),
    "bottleneck": BottleneckFusion(**small_fusions.BLOCKS, depth=1, missing="learned"),
    "cross-modal": CrossModalFusion(**small_fusions.BLOCKS, missing="learned"),
    "hybrid": HybridFusion(
        dropout=0, over=AttentionFusion(**small_fusions.PLAIN, missing="learned")
    ),
    "decision": DecisionFusion(dropout=0, missing="learned"),
    "members of a hybrid": HybridFusion(
        dropout=0,
        combine="stacking",
        missing="learned",
        over=AttentionFusion(**small_fusions.PLAIN),
    ),
}


# one of vectors, one of tokens, one of predictions
SOME = ["concatenation", "bottleneck", "members of a hybrid"]
OF_SOME = [contract.all_missing_is_finite, contract.save_and_load, contract.mixed_precision]
CHECKS = [
    (kind, check)
    for kind in FUSIONS
    for check in [contract.missing_has_no_influence, *(OF_SOME if kind in SOME else [])]
]


@pytest.mark.parametrize(
    ("kind", "check"), CHECKS, ids=lambda value: getattr(value, "__name__", value)
)
def test_contract(kind, check, tmp_path):
    inputs = small_fusions.WORDS if kind in small_fusions.OF_TOKENS else small_fusions.TWO
    check(small_fusions.configuration(FUSIONS[kind], inputs), tmp_path)


def test_they_learn_in_rows_that_lack_the_input_only():
    config = small_fusions.configuration(FUSIONS["concatenation"])
    model, rows = contract.compiled(config), contract.rows_of(config, 4)
    weights = [model.get_layer(f"fused_{name}_missing_vector").vector for name in config.inputs]
    some = contract.without(rows, "price", np.array([True, False, False, False]))
    (price, colour), nothing = (
        contract.gradients(model, config, some, weights),
        contract.gradients(model, config, rows, weights),
    )
    assert price.any()
    assert not any(gradient.any() for gradient in (colour, *nothing))


def test_of_a_decision_they_predict_like_a_present_input():
    config = small_fusions.configuration(FUSIONS["decision"])
    model, (rows, flags) = (
        contract.perturbed(build_model(config, contract.schema_of(config))),
        small_fusions.with_gaps(config),
    )
    vectors, outputs = embeddings(model)(rows), []
    for name, present in zip(config.inputs, flags.T):
        vector = np.where(
            present[:, None], vectors[name], model.get_layer(f"label_{name}_missing_vector").vector
        )
        outputs.append(model.get_layer(f"label_from_{name}")(vector))
    found = model(rows)["label"].numpy()
    np.testing.assert_allclose(found[:3], np.mean(outputs, axis=0)[:3], rtol=1e-4)
    np.testing.assert_allclose(found[3], [0.4, 0.3, 0.3], rtol=1e-5)


def test_the_fused_vector_contains_them():
    config = small_fusions.configuration(ConcatenationFusion(dropout=0, missing="learned"))
    model = build_model(config, contract.schema_of(config))
    rows, flags = small_fusions.with_gaps(config)
    vectors = embeddings(model)(rows)
    sides = [
        np.where(
            present[:, None], vectors[name], model.get_layer(f"fused_{name}_missing_vector").vector
        )
        for name, present in zip(config.inputs, flags.T)
    ]
    np.testing.assert_array_equal(vectors["fused"], np.concatenate(sides, axis=1))
