"""Paths of weights; what is frozen, what is trained, and how much that is."""

import keras
import numpy as np
import peft_models
import pytest
from keras import layers

from multimodal_tf.models.peft import layer_paths
from multimodal_tf.training import peft

X = {"photo": np.random.default_rng(0).normal(size=(8, 4)).astype("float32")}
Y = {"label": np.zeros((8, 4), "float32")}


class TestPaths:
    def test_they_do_not_depend_on_other_models_of_the_process(self, bert):
        layers.Dense(1), layers.MultiHeadAttention(1, 1)
        one = list(layer_paths.weights(bert.model()))
        layers.Dense(1), layers.MultiHeadAttention(1, 1)
        assert one == list(layer_paths.weights(bert.model()))
        assert f"{peft_models.QUERY}/kernel" in one

    def test_each_weight_has_one_path(self, bert):
        model = bert.model()
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
    def test_freeze_and_unfreeze_by_pattern_reach_into_layers(self, bert):
        model = bert.model()
        whole = set(peft_models.trained(model))
        peft.freeze(model, "title_*")
        assert {path for path in whole if path.startswith("title_")} == whole - set(
            peft_models.trained(model)
        )
        peft.unfreeze(model, "*/self_attention_layer")
        added = [path for path in peft_models.trained(model) if path.startswith("title_")]
        assert len(added) == 8
        assert all("/self_attention_layer/" in path for path in added)
        assert len(model.trainable_weights) == len(peft_models.trained(model))

    def test_what_is_frozen_does_not_change_and_has_no_optimizer_state(self):
        model = peft_models.stack()
        peft.freeze(model, "photo_low", "photo_high")
        before = peft_models.values(model)
        model.compile("adam", "mse")
        model.fit(X, Y, verbose=0)
        changed = {
            path
            for path, value in peft_models.values(model).items()
            if (value != before[path]).any()
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

    def test_statistics_in_a_network_that_is_trained_in_part_are_those_of_the_present_rows(
        self, bert
    ):
        """`MaskedNetwork` restores statistics if no row is present, except frozen ones."""
        model = bert.model()
        peft.freeze(model, "*/token_embedding")
        assert model.get_layer("title_network")._statistics(True) == []

    def test_train_head_only(self, bert):
        model = bert.model(heads=("label", "label_2"))
        peft.train_head_only(model)
        assert {path.split("/")[0] for path in peft_models.trained(model)} == {"label", "label_2"}

    def test_train_biases_only(self, bert):
        model = bert.model()
        peft.train_biases_only(model)
        in_tower = [path for path in peft_models.trained(model) if path.startswith("title_network")]
        assert {path.split("/")[-1] for path in in_tower} == {"bias", "beta"}
        # four of attention, two of feed-forward; three normalisations
        assert len(in_tower) == 6 + 3
        assert {"label/kernel", "label/bias"} <= set(peft_models.trained(model))

    def test_lora_stays_trained_if_all_but_the_heads_is_frozen(self):
        model = peft_models.stack()
        peft.add_lora(model, "photo_low")
        peft.train_head_only(model)
        assert peft_models.trained(model) == [
            "photo_low/peft/a",
            "photo_low/peft/b",
            "label/kernel",
            "label/bias",
        ]
        peft.unfreeze(model, "photo_low", "photo_high")
        assert "photo_low/kernel" not in peft_models.trained(model)
        assert "photo_high/kernel" in peft_models.trained(model)

    @pytest.mark.parametrize("change", [peft.freeze, peft.unfreeze])
    def test_a_pattern_that_matches_nothing_is_refused(self, change):
        with pytest.raises(
            ValueError,
            match=rf"^{change.__name__}: must match a layer, received 'photo_midle'; the "
            rf"nearest layers are .*photo_",
        ):
            change(peft_models.stack(), "photo_midle")

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
    def test_parameters_and_per_cent_per_tower(self, bert):
        model = bert.model(trainable=False)
        peft.add_lora(model, "*query_dense", rank=2)
        found = peft.trainable_summary(model)
        base = sum(
            weight.size
            for path, weight in peft_models.values(model).items()
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
