"""Adapters: formulas, sharing, merging."""

import keras
import numpy as np
import peft_models
import pytest
import tensorflow as tf
from keras import layers

from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.models.peft.layers import Adapter
from multimodal_tf.training import peft


def alone(layer, x):
    """A model of one layer, called `one`."""
    given = keras.Input(x.shape[1:], dtype=x.dtype)
    return keras.Model(given, layer(given))


class TestAdapters:
    def test_the_formula(self):
        layer = Adapter(3, units=2, activation="relu", seed=0)
        x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        np.testing.assert_array_equal(layer(x), x)
        peft_models.shake(layer)
        down, d, up, u = layer.get_weights()
        np.testing.assert_allclose(
            layer(x), x + np.maximum(x @ down + d, 0) @ up + u, rtol=1e-5, atol=1e-6
        )

    def test_it_follows_the_layer_and_its_activation(self):
        model = peft_models.stack()
        peft.add_adapters(model, "photo_high", units=2)
        peft_models.shake(model)
        plain, layer = peft_models.stack(), model.get_layer("photo_high")
        for path, weight in layer_paths.weights(plain).items():
            weight.assign(layer_paths.weights(model)[path])
        x = {"photo": np.random.default_rng(0).normal(size=(5, 4)).astype("float32")}
        high = keras.Model(plain.input, plain.get_layer("photo_high").output)(x)
        np.testing.assert_allclose(
            model(x)["label"], plain.get_layer("label")(layer.peft(high)), rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [("label", "an output of the model"), ("price_embedding", "sets missing inputs to zero")],
    )
    def test_outputs_and_zeros_of_missing_inputs_are_refused(self, bert, pattern, message):
        with pytest.raises(
            ValueError,
            match=rf"^adapters\.layers: must not match a layer .*{message}, received '{pattern}'",
        ):
            peft.add_adapters(bert.model(), pattern)

    def test_both_towers_train_a_shared_adapter(self):
        title, photo = (keras.Input((4,), name=name) for name in ("title", "photo"))
        both = [
            layers.Dense(3, name=f"{name}_dense")(x)
            for name, x in (("title", title), ("photo", photo))
        ]
        model = keras.Model(
            {"title": title, "photo": photo},
            {"label": layers.Dense(1, name="label")(layers.Concatenate()(both))},
        )
        peft.freeze_all(model)
        peft.add_adapters(model, "*_dense", units=2, shared=True)
        assert len(model.trainable_weights) == 4
        assert model.get_layer("title_dense").peft is model.get_layer("photo_dense").peft
        x = {"title": np.ones((1, 4), "float32"), "photo": np.full((1, 4), 2.0, "float32")}
        found = {}
        for name in ("title", "photo"):
            with tf.GradientTape() as tape:
                output = tf.reduce_sum(
                    model(x | {other: np.zeros((1, 4), "float32") for other in x if other != name})[
                        "label"
                    ]
                )
            # of the second kernel, which begins as zero
            found[name] = tape.gradient(output, model.trainable_weights[2].value).numpy()
        assert all(gradient.any() for gradient in found.values())

    @pytest.mark.parametrize("kind", ["dense", "einsum"])
    def test_linear_ones_can_be_merged(self, kind):
        x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
        make = {
            "dense": lambda: layers.Dense(5, name="one"),
            "einsum": lambda: layers.EinsumDense(
                "abc,cde->abde", (3, 2, 5), bias_axes="de", name="one"
            ),
        }
        model = alone(make[kind](), x)
        peft.add_adapters(model, "one", units=2, activation="linear")
        peft_models.shake(model)
        before = model(x).numpy()
        peft.merge_lora(model)
        np.testing.assert_allclose(model(x), before, rtol=1e-4, atol=1e-5)
        assert len(model.weights) == 2

    def test_what_cannot_be_merged_is_refused_and_nothing_is_changed(self):
        model = peft_models.stack()
        peft.add_lora(model, "photo_low")
        peft.add_adapters(model, "photo_high", units=2)
        with pytest.raises(
            ValueError,
            match=r"^photo_high: only a linear adapter can be merged, received one with gelu$",
        ):
            peft.merge_lora(model)
        assert attach.peft_layer(model.get_layer("photo_low")) is not None
