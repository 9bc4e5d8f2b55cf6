"""Heads that read some of the inputs have a fusion of their own, which they may share."""

import contract
import numpy as np
import pytest
import small_fusions

from multimodal_tf.config import ClassificationHead
from multimodal_tf.models import build_model, embeddings, explanations

HEADS = {
    "kind": ClassificationHead(inputs=["price"]),
    "zone": ClassificationHead(inputs=["colour", "price"]),
    "area": ClassificationHead(),
}


def test_an_input_that_a_head_does_not_read_has_no_influence_on_it():
    config = small_fusions.configuration(small_fusions.FUSIONS["attention"], heads=HEADS)
    model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
    found, without = model(rows), model(contract.without(rows, "colour", np.ones(3, bool)))
    np.testing.assert_array_equal(found["kind"], without["kind"])
    assert np.abs(found["zone"] - without["zone"]).max() > 0


def test_heads_that_read_the_same_share_a_fusion():
    config = small_fusions.configuration(small_fusions.FUSIONS["attention"], heads=HEADS)
    names = {layer.name for layer in build_model(config, contract.schema_of(config)).layers}
    assert {"fused", "fused_of_kind"} <= names
    assert not [name for name in names if name.startswith(("fused_of_zone", "fused_of_area"))]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("gated", "gates"), ("mean", "token"), ("attention", "weights"), ("hybrid", "any")],
)
def test_a_head_may_have_the_name_of_a_layer_of_the_fusion(kind, name):
    plain, other = (
        {"area": ClassificationHead(), head: ClassificationHead(inputs=["price"])}
        for head in ("kind", name)
    )
    explained = []
    for heads in (plain, other):
        config = small_fusions.configuration(
            (small_fusions.FUSIONS | small_fusions.LEVELS)[kind], heads=heads
        )
        model = build_model(config, contract.schema_of(config))
        explained.append(explanations(model))
    assert {*embeddings(model).output} == {"price", "colour", "fused", f"fused_of_{name}"}
    shapes = [
        {} if one is None else {key: output.shape for key, output in one.output.items()}
        for one in explained
    ]
    assert {key.replace("kind", name): shape for key, shape in shapes[0].items()} == shapes[1]


def test_a_single_fusion_is_called_fused_whatever_it_reads():
    config = small_fusions.configuration(
        small_fusions.FUSIONS["mean"], heads={"kind": ClassificationHead(inputs=["price"])}
    )
    model = build_model(config, contract.schema_of(config))
    assert "fused" in {layer.name for layer in model.layers}


def test_its_inputs_all_missing_is_the_prior_whatever_else_is_present():
    for fusion in (small_fusions.FUSIONS["mean"], small_fusions.LEVELS["decision, mean"]):
        config = small_fusions.configuration(fusion, heads=HEADS)
        model = build_model(config, contract.schema_of(config))
        outputs = model(contract.without(contract.rows_of(config, 2), "price", np.ones(2, bool)))
        np.testing.assert_allclose(outputs["kind"], [[0.4, 0.3, 0.3]] * 2, rtol=1e-5)
        assert np.abs(outputs["area"] - np.array([0.4, 0.3, 0.3])).max() > 1e-3
