"""Every fusion passes the contract; a missing input has no influence; without any: the prior."""

from typing import get_args

import contract
import fusion_case as case
import numpy as np
import pytest

from multimodal_tf.config import (
    AttentionFusion,
    BottleneckFusion,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    CrossModalFusion,
    DecisionFusion,
    Fusion,
    HybridFusion,
    MeanFusion,
)
from multimodal_tf.models import build_model, embeddings, explanations

OTHERS = {
    "concatenation, deep": ConcatenationFusion(hidden=[8, 6], dropout=0),
    "concatenation, nothing hidden": ConcatenationFusion(hidden=[], dropout=0),
    "concatenation, plain": ConcatenationFusion(hidden=[8], dropout=0, presence=False),
}
# checks of towers; and one that runs below, once for each kind of fusion
ELSEWHERE = (contract.tokens_masks_and_vectors, contract.in_a_strategy)
CHECKS = [check for check in contract.CHECKS if check not in ELSEWHERE]
KINDS = [*case.FUSIONS, *case.LEVELS]


def of_every_kind(kind, presence=True):
    """Three kinds of input, with one, many and masked tokens, and the fusion `kind`."""
    fusion = (case.FUSIONS | case.LEVELS)[kind]
    return case.configuration(fusion.model_copy(update={"presence": presence}), case.MIXED)


def test_every_fusion_of_the_configuration_passes_the_contract():
    tested = {type(fusion) for fusion in (case.FUSIONS | case.LEVELS).values()}
    assert tested == {*get_args(get_args(Fusion)[0])}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind, check, tmp_path):
    check(case.of(kind), tmp_path)


@pytest.mark.parametrize("kind", ["attention", "bottleneck", "hybrid"])
def test_contract_in_a_strategy(kind, tmp_path):
    contract.in_a_strategy(case.of(kind), tmp_path)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", OTHERS)
def test_contract_of_concatenation(kind, check, tmp_path):
    check(case.configuration(OTHERS[kind]), tmp_path)


@pytest.mark.parametrize(
    "check",
    [
        contract.missing_has_no_influence,
        contract.missing_rows_do_not_change_the_others,
        contract.all_missing_is_finite,
    ],
)
def test_all_kinds_of_input_together(check, tmp_path):
    check(case.configuration(case.FUSIONS["concatenation"], case.ALL), tmp_path)


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
    known, unknown = of_every_kind(kind), of_every_kind(kind, presence=False)
    models = [build_model(config, contract.schema_of(config)) for config in (known, unknown)]
    assert set(models[1].input) == set(case.MIXED)
    with_flags = kind in ("concatenation", "decision, stacking")
    assert (models[0].count_params() > models[1].count_params()) == with_flags
    assert np.isfinite(models[1](contract.rows_of(unknown, 3))["label"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_input_alone(kind, tmp_path):
    fusion = (case.FUSIONS | case.LEVELS)[kind]
    config = case.configuration(fusion, {"title": case.WORDS["title"]})
    for check in (contract.shape_and_dtype, contract.all_missing_is_finite):
        check(config, tmp_path)


def test_one_model_can_have_several_fusions_of_one_kind():
    heads = {
        "kind": ClassificationHead(),
        "zone": ClassificationHead(inputs=["photo", "title"]),
        "area": ClassificationHead(inputs=["title"]),
    }
    for fusion in (
        case.FUSIONS["concatenation"],
        case.FUSIONS["cross-modal"],
        case.LEVELS["hybrid"],
    ):
        config = case.configuration(fusion, case.MIXED, heads)
        model = build_model(config, contract.schema_of(config))
        assert {"fused", "fused_of_zone", "fused_of_area"} <= set(embeddings(model).output)


class TestHeadsOnSomeInputs:
    HEADS = {
        "kind": ClassificationHead(inputs=["price"]),
        "zone": ClassificationHead(inputs=["colour", "price"]),
        "area": ClassificationHead(),
    }

    def test_an_input_that_a_head_does_not_read_has_no_influence_on_it(self):
        config = case.configuration(case.FUSIONS["attention"], heads=self.HEADS)
        model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
        found, without = model(rows), model(contract.without(rows, "colour", np.ones(3, bool)))
        np.testing.assert_array_equal(found["kind"], without["kind"])
        assert np.abs(found["zone"] - without["zone"]).max() > 0

    def test_heads_that_read_the_same_share_a_fusion(self):
        config = case.configuration(case.FUSIONS["attention"], heads=self.HEADS)
        names = {layer.name for layer in build_model(config, contract.schema_of(config)).layers}
        assert {"fused", "fused_of_kind"} <= names
        assert not [name for name in names if name.startswith(("fused_of_zone", "fused_of_area"))]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("gated", "gates"), ("mean", "token"), ("attention", "weights"), ("hybrid", "any")],
    )
    def test_a_head_may_have_the_name_of_a_layer_of_the_fusion(self, kind, name):
        plain, other = (
            {"area": ClassificationHead(), head: ClassificationHead(inputs=["price"])}
            for head in ("kind", name)
        )
        explained = []
        for heads in (plain, other):
            config = case.configuration((case.FUSIONS | case.LEVELS)[kind], heads=heads)
            model = build_model(config, contract.schema_of(config))
            explained.append(explanations(model))
        assert {*embeddings(model).output} == {"price", "colour", "fused", f"fused_of_{name}"}
        shapes = [
            {} if one is None else {key: output.shape for key, output in one.output.items()}
            for one in explained
        ]
        assert {key.replace("kind", name): shape for key, shape in shapes[0].items()} == shapes[1]

    def test_a_single_fusion_is_called_fused_whatever_it_reads(self):
        config = case.configuration(
            case.FUSIONS["mean"], heads={"kind": ClassificationHead(inputs=["price"])}
        )
        model = build_model(config, contract.schema_of(config))
        assert "fused" in {layer.name for layer in model.layers}

    def test_its_inputs_all_missing_is_the_prior_whatever_else_is_present(self):
        for fusion in (case.FUSIONS["mean"], case.LEVELS["decision, mean"]):
            config = case.configuration(fusion, heads=self.HEADS)
            model = build_model(config, contract.schema_of(config))
            outputs = model(
                contract.without(contract.rows_of(config, 2), "price", np.ones(2, bool))
            )
            np.testing.assert_allclose(outputs["kind"], [[0.4, 0.3, 0.3]] * 2, rtol=1e-5)
            assert np.abs(outputs["area"] - np.array([0.4, 0.3, 0.3])).max() > 1e-3


class TestLearnedMissingEmbeddings:
    FUSIONS = {
        "concatenation": ConcatenationFusion(hidden=[8], dropout=0, missing="learned"),
        "mean": MeanFusion(**case.PLAIN, missing="learned"),
        "bottleneck": BottleneckFusion(**case.BLOCKS, depth=1, missing="learned"),
        "cross-modal": CrossModalFusion(**case.BLOCKS, missing="learned"),
        "hybrid": HybridFusion(dropout=0, over=AttentionFusion(**case.PLAIN, missing="learned")),
        "decision": DecisionFusion(dropout=0, missing="learned"),
        "members of a hybrid": HybridFusion(
            dropout=0, combine="stacking", missing="learned", over=AttentionFusion(**case.PLAIN)
        ),
    }

    @pytest.mark.parametrize(
        "check",
        [
            contract.missing_has_no_influence,
            contract.all_missing_is_finite,
            contract.save_and_load,
            contract.mixed_precision,
        ],
        ids=lambda check: check.__name__,
    )
    @pytest.mark.parametrize("kind", FUSIONS)
    def test_contract(self, kind, check, tmp_path):
        check(
            case.configuration(
                self.FUSIONS[kind], case.WORDS if kind in case.OF_TOKENS else case.TWO
            ),
            tmp_path,
        )

    def test_they_learn_in_rows_that_lack_the_input_only(self):
        config = case.configuration(self.FUSIONS["concatenation"])
        model, rows = contract.compiled(config), contract.rows_of(config, 4)
        weights = [model.get_layer(f"fused_{name}_stand_in").vector for name in config.inputs]
        some = contract.without(rows, "price", np.array([True, False, False, False]))
        (price, colour), nothing = (
            contract.gradients(model, config, some, weights),
            contract.gradients(model, config, rows, weights),
        )
        assert price.any()
        assert not any(gradient.any() for gradient in (colour, *nothing))

    def test_of_a_decision_they_predict_like_a_present_input(self):
        config = case.configuration(self.FUSIONS["decision"])
        model, (rows, flags) = (
            contract.perturbed(build_model(config, contract.schema_of(config))),
            case.with_gaps(config),
        )
        vectors, outputs = embeddings(model)(rows), []
        for name, present in zip(config.inputs, flags.T):
            vector = np.where(
                present[:, None], vectors[name], model.get_layer(f"label_{name}_stand_in").vector
            )
            outputs.append(model.get_layer(f"label_from_{name}")(vector))
        found = model(rows)["label"].numpy()
        np.testing.assert_allclose(found[:3], np.mean(outputs, axis=0)[:3], rtol=1e-4)
        np.testing.assert_allclose(found[3], [0.4, 0.3, 0.3], rtol=1e-5)

    def test_the_fused_vector_contains_them(self):
        config = case.configuration(ConcatenationFusion(dropout=0, missing="learned"))
        model = build_model(config, contract.schema_of(config))
        rows, flags = case.with_gaps(config)
        vectors = embeddings(model)(rows)
        sides = [
            np.where(
                present[:, None], vectors[name], model.get_layer(f"fused_{name}_stand_in").vector
            )
            for name, present in zip(config.inputs, flags.T)
        ]
        np.testing.assert_array_equal(vectors["fused"], np.concatenate(sides, axis=1))


@pytest.mark.parametrize(
    "check",
    [
        contract.config_round_trip,
        contract.save_and_load,
        contract.mixed_precision,
        contract.in_a_strategy,
    ],
)
@pytest.mark.parametrize("kind", ["concatenation", "attention"])
def test_contract_with_modality_dropout(kind, check, tmp_path):
    check(
        case.configuration(case.FUSIONS[kind].model_copy(update={"modality_dropout": 0.5})),
        tmp_path,
    )


def test_modality_dropout_hides_an_input_in_training_only():
    config = case.configuration(ConcatenationFusion(hidden=[], dropout=0, modality_dropout=0.25))
    model = embeddings(build_model(config, contract.schema_of(config)))
    rows = contract.without(contract.rows_of(config, 4000), "price", np.arange(4000) % 2 == 0)
    # indices in the fused vector of each input's vector and flag
    colour, price = (slice(4, 8), 9), (slice(0, 4), 8)
    assert model(rows)["fused"].numpy()[:, 9].all()
    fused = model(rows, training=True)["fused"].numpy()
    for vector, flag in (colour, price):
        hidden = fused[:, flag] == 0
        assert not fused[hidden][:, vector].any()
    np.testing.assert_allclose(fused[:, 9].mean(), 0.75, atol=0.04)
    np.testing.assert_allclose(fused[:, 8].mean(), 0.75 / 2, atol=0.04)


def test_dropout_is_in_training_only():
    config = case.configuration(ConcatenationFusion(hidden=[64], dropout=0.5))
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
    fields = case.configuration(case.FUSIONS["sum"]).model_dump(mode="json") | {"fusion": fusion}
    with pytest.raises(ValueError, match=message) as error:
        Config.from_yaml(str(fields).replace("None", "null"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_survives_yaml(kind):
    config = case.of(kind)
    assert Config.from_yaml(config.to_yaml()) == config


def test_a_concatenation_needs_no_type():
    assert Config.model_validate(
        case.of("sum").model_dump() | {"fusion": {"hidden": [3]}}
    ).fusion == ConcatenationFusion(hidden=[3])
