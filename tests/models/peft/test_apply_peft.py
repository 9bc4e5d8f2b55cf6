"""The configuration `peft:` changes a model, or is refused."""

import peft_models
import pydantic
import pytest

from multimodal_tf.config import Adapters, Config, LoRA, Peft
from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.training import peft


class TestApply:
    def test_yaml_round_trip(self, bert):
        one = bert.config(
            peft=Peft(
                train="heads",
                lora=[LoRA(layers=["*query_dense"], rank=4)],
                learning_rate_factors={"label": 2},
            )
        )
        assert Config.from_yaml(one.to_yaml()) == one

    def test_all_fields(self, bert):
        model = bert.model()
        callbacks = peft.apply_peft(
            model,
            Peft(
                train="heads",
                unfreeze=["fused*"],
                lora=[LoRA(layers=["*query_dense"], rank=2, alpha=4)],
                adapters=[Adapters(layers=["*feedforward_output_dense"], units=2)],
                stages=[["*/embeddings_layer_norm"]],
                stage_epochs=3,
            ),
        )
        assert [(one.stages, one.epochs) for one in callbacks] == [
            ([("*/embeddings_layer_norm",)], 3)
        ]
        assert attach.peft_layer(layer_paths.layers(model)[peft_models.QUERY]).alpha == 4
        assert sorted(
            {
                path.split("/")[3]
                for path in peft_models.trained(model)
                if path.startswith("title_network")
            }
        ) == [
            "embeddings_layer_norm",
            "transformer_layer_0",
        ]

    def test_a_factor_may_be_for_lora(self):
        model = peft_models.stack()
        factors = {"photo_low/peft": 5.0}
        peft.apply_peft(
            model,
            Peft(
                train="heads",
                lora=[LoRA(layers=["photo_low"], rank=1)],
                learning_rate_factors=factors,
            ),
        )
        found = dict(zip(peft_models.trained(model), peft.learning_rate_factors(model, factors)))
        assert found == {
            "photo_low/peft/a": 5,
            "photo_low/peft/b": 5,
            "label/kernel": 1,
            "label/bias": 1,
        }

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"freeze": ["a"], "unfreeze": ["a"]},
                r"peft\.freeze: must not name layers that `unfreeze` or `stages` trains, "
                r"received \['a'\]",
            ),
            ({"freeze": ["a"], "stages": [["a"]]}, r"peft\.freeze: must not name"),
            (
                {"stages": [["a"], ["b", "a"]]},
                r"peft\.stages: a pattern must be in one stage only, received \['a'\] in two",
            ),
            (
                {"train": "none"},
                r"peft\.train: with none, unfreeze, lora or adapters must .*, received none",
            ),
            (
                {"train": "none", "stages": [["a"]]},
                r"peft\.train: with none, .*, received only stages",
            ),
            ({"learning_rate_factors": {"a": 0}}, "greater than 0"),
            ({"lora": [{"layers": []}]}, "at least 1 item"),
            ({"lora": [{"layers": ["a"], "rank": 0}]}, "greater than 0"),
            ({"train": "head"}, "'heads'"),
        ],
    )
    def test_contradictions_are_refused(self, fields, message):
        with pytest.raises(pydantic.ValidationError, match=message):
            Peft.model_validate(fields)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"freeze": ["foto_*"]}, r"^peft\.freeze: must match a layer, received 'foto_\*'"),
            ({"unfreeze": ["x"]}, r"^peft\.unfreeze: must match a layer, received 'x'"),
            ({"stages": [["x"]]}, r"^peft\.stages: must match a layer"),
            (
                {"learning_rate_factors": {"x": 1}},
                r"^peft\.learning_rate_factors: must match a layer",
            ),
            ({"lora": [{"layers": ["x"]}]}, r"^peft\.lora\.0\.layers: must match a layer"),
            ({"adapters": [{"layers": ["x"]}]}, r"^peft\.adapters\.0\.layers: must match a layer"),
            (
                {"freeze": ["photo_*"], "unfreeze": ["photo_low"]},
                r"^peft\.unfreeze: must not name a layer that peft\.freeze freezes, .*photo_low",
            ),
            (
                {"freeze": ["*"]},
                r"^peft: must leave something to train, received {'freeze': \['\*'\]}$",
            ),
            (
                {"stages": [["photo_*"], ["photo_low"]]},
                r"^peft\.stages: a layer must be in one stage, received 'photo_low' in two$",
            ),
            (
                {"train": "heads", "learning_rate_factors": {"photo_*": 2}},
                r"^peft\.learning_rate_factors: must match a layer that is trained, received "
                r"\['photo_\*'\]",
            ),
            (
                {"lora": 2 * [{"layers": ["photo_low"]}]},
                r"^peft\.lora\.1: photo_low: must have no LoRA .*, received one with LoRA$",
            ),
            (
                {"adapters": [{"layers": ["label"]}]},
                r"^peft\.adapters\.0\.layers: must not match .* output of the model, "
                r"received 'label'$",
            ),
            (
                {"adapters": [{"layers": ["photo_low"], "shared": True}]},
                r"^peft\.adapters\.0\.shared: must match two layers or more",
            ),
        ],
    )
    def test_what_does_not_fit_the_model_is_refused_by_field(self, fields, message):
        with pytest.raises(ValueError, match=message) as caught:
            peft.apply_peft(peft_models.stack(), Peft.model_validate(fields))
        assert "\n" not in str(caught.value)
