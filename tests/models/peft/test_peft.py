"""PEFT: what is trained, learning rates, gradual unfreezing, and the configuration."""

import keras
import numpy as np
import peft_models as case
import pydantic
import pytest
from keras import layers

from multimodal_tf.config import Adapters, Config, LoRA, Peft, Training
from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.training import peft
from multimodal_tf.training.fit import make_optimizer

X = {"photo": np.random.default_rng(0).normal(size=(8, 4)).astype("float32")}
Y = {"label": np.zeros((8, 4), "float32")}


class TestPaths:
    def test_they_do_not_depend_on_other_models_of_the_process(self):
        layers.Dense(1), layers.MultiHeadAttention(1, 1)
        one = list(layer_paths.weights(case.bert()))
        layers.Dense(1), layers.MultiHeadAttention(1, 1)
        assert one == list(layer_paths.weights(case.bert()))
        assert f"{case.QUERY}/kernel" in one

    def test_each_weight_has_one_path(self):
        model = case.bert()
        found = layer_paths.weights(model)
        assert {id(weight) for weight in found.values()} == {id(weight) for weight in model.weights}

    def test_names_that_keras_made_up_are_counted_in_the_model(self):
        x = keras.Input((2,))
        for _ in range(2):
            layers.Dense(1)
            y = layers.Dense(2)(layers.Dense(2)(x))
            assert list(layer_paths.layers(keras.Model(x, y))) == ["dense", "dense_1"]

    def test_layers_in_lists_and_layers_that_are_shared(self):
        x = keras.Input((2, 2))
        model = keras.Model(x, layers.RNN([layers.LSTMCell(1), layers.LSTMCell(1)], name="one")(x))
        assert [path for path in layer_paths.layers(model) if "cells" in path] == [
            "one/cell/cells_0",
            "one/cell/cells_1",
        ]


class TestWhatIsTrained:
    def test_freeze_and_unfreeze_by_pattern_reach_into_layers(self):
        model = case.bert()
        whole = set(case.trained(model))
        peft.freeze(model, "title_*")
        assert {path for path in whole if path.startswith("title_")} == whole - set(
            case.trained(model)
        )
        peft.unfreeze(model, "*/self_attention_layer")
        added = [path for path in case.trained(model) if path.startswith("title_")]
        assert len(added) == 8
        assert all("/self_attention_layer/" in path for path in added)
        assert len(model.trainable_weights) == len(case.trained(model))

    def test_what_is_frozen_does_not_change_and_has_no_optimizer_state(self):
        model = case.stack()
        peft.freeze(model, "photo_low", "photo_high")
        before = case.values(model)
        model.compile("adam", "mse")
        model.fit(X, Y, verbose=0)
        changed = {
            path for path, value in case.values(model).items() if (value != before[path]).any()
        }
        assert changed == {"label/kernel", "label/bias"}
        assert len(model.optimizer.variables) == 2 + 2 * 2

    def test_a_frozen_normalisation_keeps_its_statistics(self):
        x = photo = keras.Input((4,), name="photo")
        for name in ("photo_norm", "label"):
            x = layers.BatchNormalization(name=name)(x)
        model = keras.Model({"photo": photo}, {"label": x})
        peft.freeze(model, "photo_norm")
        model.compile("sgd", "mse", run_eagerly=True)
        model.train_on_batch(X, Y)
        assert not model.get_layer("photo_norm").moving_mean.numpy().any()
        assert model.get_layer("label").moving_mean.numpy().any()

    def test_statistics_in_a_network_that_is_trained_in_part_are_those_of_the_present_rows(self):
        """`MaskedNetwork` restores statistics if no row is present, except frozen ones."""
        model = case.bert()
        peft.freeze(model, "*/token_embedding")
        assert model.get_layer("title_network")._statistics(True) == []

    def test_train_head_only(self):
        model = case.bert(heads=("label", "label_2"))
        peft.train_head_only(model)
        assert {path.split("/")[0] for path in case.trained(model)} == {"label", "label_2"}

    def test_train_biases_only(self):
        model = case.bert()
        peft.train_biases_only(model)
        in_tower = [path for path in case.trained(model) if path.startswith("title_network")]
        assert {path.split("/")[-1] for path in in_tower} == {"bias", "beta"}
        # four of attention, two of feed-forward; three normalisations
        assert len(in_tower) == 6 + 3
        assert {"label/kernel", "label/bias"} <= set(case.trained(model))

    def test_lora_stays_trained_if_all_but_the_heads_is_frozen(self):
        model = case.stack()
        peft.add_lora(model, "photo_low")
        peft.train_head_only(model)
        assert case.trained(model) == [
            "photo_low/peft/a",
            "photo_low/peft/b",
            "label/kernel",
            "label/bias",
        ]
        peft.unfreeze(model, "photo_low", "photo_high")
        assert "photo_low/kernel" not in case.trained(model)
        assert "photo_high/kernel" in case.trained(model)

    @pytest.mark.parametrize("change", [peft.freeze, peft.unfreeze])
    def test_a_pattern_that_matches_nothing_is_refused(self, change):
        with pytest.raises(
            ValueError,
            match=rf"^{change.__name__}: must match a layer, received 'photo_midle'; the "
            rf"nearest layers are .*photo_",
        ):
            change(case.stack(), "photo_midle")

    def test_heads_need_names(self):
        x = keras.Input((2,))
        with pytest.raises(
            ValueError,
            match=r"^train_head_only: the model's outputs must have names, received KerasTensor$",
        ):
            peft.train_head_only(keras.Model(x, layers.Dense(1)(x)))
        with pytest.raises(
            ValueError, match="^train_biases_only: the model's outputs must have names"
        ):
            peft.train_biases_only(keras.Model(x, layers.Dense(1)(x)))


class TestSummary:
    def test_parameters_and_per_cent_per_tower(self):
        model = case.bert(trainable=False)
        peft.add_lora(model, "*query_dense", rank=2)
        found = peft.trainable_summary(model)
        base = sum(
            weight.size
            for path, weight in case.values(model).items()
            if path.startswith("title") and "/peft" not in path
        )
        assert found.components["title"] == peft.ParameterCount(base + 2 * (4 + 4), 2 * (4 + 4))
        assert found.components["label"].percent == 100
        assert found.whole.total == model.count_params()
        assert found.whole.trainable == sum(
            np.prod(weight.shape) for weight in model.trainable_weights
        )
        assert f"{found.whole.percent:.2f} %" in str(found).splitlines()[-1]

    def test_no_parameters(self):
        assert peft.ParameterCount(0, 0).percent == 0


class TestGradualUnfreezing:
    def test_from_the_outputs_down_an_epoch_each(self):
        model, changed = case.stack(), []
        model.compile("sgd", "mse")
        gradual = peft.GradualUnfreezing([["photo_high"], ["photo_low"]])
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[gradual, Changes(changed)])
        assert changed == [
            {"label"},
            {"label", "photo_high"},
            *[{"label", "photo_high", "photo_low"}] * 2,
        ]
        assert len(case.trained(model)) == 6

    def test_all_stages_are_trainable_at_the_end(self):
        model, changed = case.stack(), []
        model.compile("adam", "mse")
        gradual = peft.GradualUnfreezing([["photo_low"]], epochs=2)
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[gradual, Changes(changed)])
        assert changed == [{"label", "photo_high"}] * 2
        assert len(case.trained(model)) == 6

    def test_what_is_frozen_when_compiled_cannot_be_unfrozen(self):
        model = case.stack()
        peft.freeze(model, "photo_low")
        model.compile("sgd", "mse")
        with pytest.raises(
            ValueError,
            match=r"^stages: must have weights that are trainable .*\['photo_low'\], which "
            r"is frozen$",
        ):
            model.fit(X, Y, verbose=0, callbacks=[peft.GradualUnfreezing([["photo_low"]])])

    def test_no_stage(self):
        with pytest.raises(
            ValueError,
            match=r"^GradualUnfreezing: needs at least one stage and one epoch for each, "
            r"received 0 and 1$",
        ):
            peft.GradualUnfreezing([])


class Changes(keras.callbacks.Callback):
    """Which layers change in each epoch."""

    def __init__(self, changed):
        super().__init__()
        self.changed = changed

    def on_epoch_begin(self, epoch, logs=None):
        self.before = case.values(self.model)

    def on_epoch_end(self, epoch, logs=None):
        after = case.values(self.model).items()
        self.changed.append(
            {path.split("/")[0] for path, value in after if (value != self.before[path]).any()}
        )


class TestLearningRateFactors:
    @pytest.mark.parametrize(
        ("kind", "plain", "options"),
        [
            (peft.LayerwiseSGD, keras.optimizers.SGD, {"momentum": 0.9}),
            (peft.LayerwiseAdamW, keras.optimizers.AdamW, {}),
            (peft.LayerwiseAdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
        ],
    )
    def test_a_factor_scales_the_update_of_a_weight(self, kind, plain, options):
        models = [case.stack(), case.stack()]
        factors = peft.learning_rate_factors(models[0], {"photo_*": 0.5, "photo_low": 0.1})
        assert factors == [0.1, 0.1, 0.5, 0.5, 1, 1]
        start = models[0].get_weights()
        for model, optimizer in zip(
            models, (kind(0.01, factors=factors, **options), plain(0.01, **options))
        ):
            model.compile(optimizer, "mse", run_eagerly=True)
            model.train_on_batch(X, Y)
        for factor, before, slow, full in zip(
            factors, start, *(model.get_weights() for model in models)
        ):
            np.testing.assert_allclose(
                slow - before, factor * (full - before), rtol=1e-3, atol=1e-7
            )

    def test_weights_without_decay_stay_without(self):
        model = case.stack()
        optimizer = make_optimizer(
            Training(learning_rate=0.1, weight_decay=0.5, warmup_epochs=0),
            model,
            10,
            {"label": 0.1},
        )
        optimizer.build(model.trainable_weights)
        before = model.get_weights()
        optimizer.apply(
            [np.zeros(weight.shape, "float32") for weight in model.trainable_weights],
            model.trainable_weights,
        )
        for factor, old, new in zip([1, 1, 1, 1, 0.1, 0.1], before, model.get_weights()):
            np.testing.assert_allclose(
                new, old * (1 - 0.1 * factor * 0.5) if old.ndim > 1 else old, rtol=1e-5
            )

    def test_a_compiled_model_is_saved_with_factors(self, tmp_path):
        model = case.stack()
        model.compile(
            peft.LayerwiseAdamW(factors=peft.learning_rate_factors(model, {"label": 2})),
            "mse",
            run_eagerly=True,
        )
        model.train_on_batch(X, Y)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.optimizer.factors == [1, 1, 1, 1, 2, 2]
        for one in (model, loaded):
            one.train_on_batch(X, Y)
        np.testing.assert_allclose(loaded(X)["label"], model(X)["label"], rtol=1e-5, atol=1e-6)

    def test_factors_of_other_weights_are_refused(self):
        model = case.stack()
        optimizer = peft.LayerwiseSGD(factors=peft.learning_rate_factors(model, {}))
        peft.freeze(model, "photo_low")
        with pytest.raises(
            ValueError,
            match="^factors: must be one for each of the model's 4 trainable weights, received 6: ",
        ):
            optimizer.build(model.trainable_weights)

    @pytest.mark.parametrize(
        ("factors", "message"),
        [
            ({"photo_*": 0}, r"^learning_rate_factors\.photo_\*: must be positive, received 0"),
            ({"x": 1}, "^learning_rate_factors: must match a layer"),
        ],
    )
    def test_wrong_factors_are_refused(self, factors, message):
        with pytest.raises(ValueError, match=message):
            peft.learning_rate_factors(case.stack(), factors)


class TestApply:
    def test_yaml_round_trip(self):
        one = case.config(
            peft=Peft(
                train="heads",
                lora=[LoRA(layers=["*query_dense"], rank=4)],
                learning_rate_factors={"label": 2},
            )
        )
        assert Config.from_yaml(one.to_yaml()) == one

    def test_all_fields(self):
        model = case.bert()
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
        assert attach.peft_layer(layer_paths.layers(model)[case.QUERY]).alpha == 4
        assert sorted(
            {path.split("/")[3] for path in case.trained(model) if path.startswith("title_network")}
        ) == [
            "embeddings_layer_norm",
            "transformer_layer_0",
        ]

    def test_a_factor_may_be_for_lora(self):
        model = case.stack()
        factors = {"photo_low/peft": 5.0}
        peft.apply_peft(
            model,
            Peft(
                train="heads",
                lora=[LoRA(layers=["photo_low"], rank=1)],
                learning_rate_factors=factors,
            ),
        )
        found = dict(zip(case.trained(model), peft.learning_rate_factors(model, factors)))
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
            peft.apply_peft(case.stack(), Peft.model_validate(fields))
        assert "\n" not in str(caught.value)
