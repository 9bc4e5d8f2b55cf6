"""Every fusion passes the contract; a missing input has no influence; without any: the prior."""

from typing import get_args

import contract
import numpy as np
import pytest
import small_fusions

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    Fusion,
)
from multimodal_tf.models import build_model, embeddings

OTHERS = {
    "deep": ConcatenationFusion(hidden=[8, 6], dropout=0),
    "nothing hidden": ConcatenationFusion(hidden=[], dropout=0),
    "without presence": ConcatenationFusion(hidden=[8], dropout=0, presence=False),
}
KINDS = [*small_fusions.FUSIONS, *small_fusions.LEVELS]
# checks of towers; and one that runs below, for two fusions that contain all kinds of layers
ELSEWHERE = (contract.tokens_masks_and_vectors, contract.in_a_strategy)
CHECKS = [check for check in contract.CHECKS if check not in ELSEWHERE]
# of what dense layers and flags change
OF_CONCATENATION = [
    contract.shape_and_dtype,
    contract.save_and_load,
    contract.exported,
    contract.every_weight_learns,
    contract.mixed_precision,
]


def of_every_kind(kind):
    """Three kinds of input, with one, many and masked tokens, and the fusion `kind`."""
    fusion = (small_fusions.FUSIONS | small_fusions.LEVELS)[kind]
    return small_fusions.configuration(fusion, small_fusions.MIXED)


def test_every_fusion_of_the_configuration_passes_the_contract():
    tested = {type(fusion) for fusion in (small_fusions.FUSIONS | small_fusions.LEVELS).values()}
    assert tested == {*get_args(get_args(Fusion)[0])}


def named(value):
    return getattr(value, "__name__", value)


@pytest.mark.parametrize("check", CHECKS, ids=named)
@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind, check, tmp_path):
    check(small_fusions.of(kind), tmp_path)


@pytest.mark.parametrize("kind", ["self-attention", "hybrid"])
def test_contract_in_a_strategy(kind, tmp_path):
    contract.in_a_strategy(small_fusions.of(kind), tmp_path)


@pytest.mark.parametrize("check", OF_CONCATENATION, ids=named)
@pytest.mark.parametrize("kind", OTHERS)
def test_contract_of_concatenation(kind, check, tmp_path):
    check(small_fusions.configuration(OTHERS[kind]), tmp_path)


@pytest.mark.parametrize(
    "check",
    [
        contract.missing_has_no_influence,
        contract.missing_rows_do_not_change_the_others,
        contract.all_missing_is_finite,
    ],
    ids=named,
)
def test_all_kinds_of_input_together(check, tmp_path):
    check(
        small_fusions.configuration(small_fusions.FUSIONS["concatenation"], small_fusions.ALL),
        tmp_path,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_all_inputs_missing_is_the_prior_and_two_of_three_are_not(kind):
    config = of_every_kind(kind)
    model, rows = (
        contract.perturbed(build_model(config, contract.schema_of(config))),
        contract.rows_of(config, 3),
    )
    for name, missing in zip(
        config.inputs, ([True, False, False], [True, False, True], [True, True, True])
    ):
        rows = contract.without(rows, name, np.array(missing))
    outputs = model(rows)["label"].numpy()
    np.testing.assert_allclose(outputs[0], [0.4, 0.3, 0.3], rtol=1e-5)
    assert np.isfinite(outputs).all()
    assert np.abs(outputs[1:] - outputs[0]).max(axis=1).min() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_without_presence_all_inputs_count(kind):
    known = small_fusions.of(kind)
    fusion = known.fusion.model_copy(update={"presence": False})
    unknown = known.model_copy(update={"fusion": fusion})
    models = [contract.model_of(known), build_model(unknown, contract.schema_of(unknown))]
    assert set(models[1].input) == set(known.inputs)
    with_flags = kind in ("concatenation", "decision, stacking")
    assert (models[0].count_params() > models[1].count_params()) == with_flags
    assert np.isfinite(models[1](contract.rows_of(unknown, 3))["label"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_input_alone(kind):
    fusion = (small_fusions.FUSIONS | small_fusions.LEVELS)[kind]
    config = small_fusions.configuration(fusion, {"title": small_fusions.WORDS["title"]})
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    rows = contract.without(contract.rows_of(config, 3), "title", np.array([False, True, False]))
    found = model(rows)["label"].numpy()
    np.testing.assert_allclose(found[1], [0.4, 0.3, 0.3], rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert np.abs(found[[0, 2]] - found[1]).max(axis=1).min() > 1e-3


def test_one_model_can_have_several_fusions_of_one_kind():
    heads = {
        "kind": ClassificationHead(),
        "zone": ClassificationHead(inputs=["photo", "title"]),
        "area": ClassificationHead(inputs=["title"]),
    }
    for fusion in (
        small_fusions.FUSIONS["concatenation"],
        small_fusions.FUSIONS["cross-modal"],
        small_fusions.LEVELS["hybrid"],
    ):
        config = small_fusions.configuration(fusion, small_fusions.MIXED, heads)
        model = build_model(config, contract.schema_of(config))
        assert {"fused", "fused_of_zone", "fused_of_area"} <= set(embeddings(model).output)


def test_dropout_is_in_training_only():
    config = small_fusions.configuration(ConcatenationFusion(hidden=[64], dropout=0.5))
    model = build_model(config, contract.schema_of(config))
    rows = contract.rows_of(config, 2)
    contract.same(model(rows), model(rows))
    assert not np.allclose(model(rows, training=True)["label"], model(rows, training=True)["label"])


REFUSED = [
    (
        {"type": "mean", "presence": False, "modality_dropout": 0.1},
        "fusion.modality_dropout needs fusion.presence, received 0.1",
    ),
    (
        {"type": "mean", "presence": False, "missing": "learned"},
        "fusion.missing 'learned' needs fusion.presence, received presence false",
    ),
    (
        {"type": "self_attention", "dim": 10, "heads": 4},
        r"fusion.heads must divide fusion.dim \(10\), received 4",
    ),
    ({"type": "sum", "rank": 3}, "fusion.rank: Extra inputs are not permitted, received 3"),
    ({"type": "mixture"}, "fusion: Input tag 'mixture' .* expected tags: 'concatenation', 'sum'"),
    ({"type": "hybrid", "over": {"type": "decision"}}, "fusion.over: Input tag 'decision'"),
    (
        {"type": "hybrid", "over": {"modality_dropout": 0.2}},
        "fusion.over.modality_dropout must be given as fusion.modality_dropout, received 0.2",
    ),
    (
        {"type": "hybrid", "over": {"presence": False}},
        "fusion.over.presence must be given as fusion.presence",
    ),
    (
        {"type": "hybrid", "presence": False, "over": {"missing": "learned"}},
        "fusion.over.missing 'learned' needs fusion.presence",
    ),
]


@pytest.mark.parametrize(("fusion", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_contradiction_is_refused_in_one_sentence(fusion, message):
    fields = small_fusions.configuration(small_fusions.FUSIONS["sum"]).model_dump(mode="json") | {
        "fusion": fusion
    }
    with pytest.raises(ValueError, match=message) as error:
        Config.from_yaml(str(fields).replace("None", "null"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_survives_yaml(kind):
    config = small_fusions.of(kind)
    assert Config.from_yaml(config.to_yaml()) == config


def test_a_concatenation_needs_no_type():
    assert Config.model_validate(
        small_fusions.of("sum").model_dump() | {"fusion": {"hidden": [3]}}
    ).fusion == ConcatenationFusion(hidden=[3])
