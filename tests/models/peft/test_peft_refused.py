"""Layers that can have no LoRA or adapter are refused by name."""

import keras
import pytest
from keras import layers

from multimodal_tf.models.peft import layer_paths
from multimodal_tf.training import peft


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda model: peft.add_lora(model, "foto_*"),
                r"^lora\.layers: must match a layer, received 'foto_\*'; the nearest layers "
                r"are .*photo",
            ),
            (
                lambda model: peft.add_lora(model, "photo_low", rank=0),
                r"^add_lora: rank and alpha must be positive, received 0 and 0",
            ),
            (
                lambda model: peft.add_lora(model, "photo_norm"),
                r"^lora\.layers: must match a Dense, EinsumDense or Embedding, received "
                r"\['photo_norm'\]",
            ),
            (
                lambda model: [peft.add_lora(model, "photo_low") for _ in range(2)],
                r"^photo_low: must have no LoRA and no adapter yet, received one with LoRA$",
            ),
            (
                lambda model: peft.add_adapters(model, "photo_low", units=0),
                r"^adapters\.units: must be positive, received 0",
            ),
            (
                lambda model: peft.add_adapters(model, "photo_low", shared=True),
                r"^adapters\.shared: must match two layers or more, received \['photo_low'\]",
            ),
            (
                lambda model: peft.add_adapters(model, "photo_*", shared=True),
                r"^adapters\.shared: .* one width, received {'photo_low': 2, 'photo_norm': "
                r"2, 'photo_high': 3",
            ),
            (
                lambda model: peft.add_adapters(model, "label_choice"),
                r"^label_choice: an adapter follows .*, received ArgMax",
            ),
        ],
    )
    def test_with_the_name_and_before_anything_is_changed(self, change, message):
        x = photo = keras.Input((4,), name="photo")
        x = layers.LayerNormalization(name="photo_norm")(layers.Dense(2, name="photo_low")(x))
        x = layers.Dense(3, name="photo_high")(x)
        model = keras.Model({"photo": photo}, {"label": ArgMax(name="label_choice")(x)})
        with pytest.raises(ValueError, match=message) as caught:
            change(model)
        assert "\n" not in str(caught.value)
        assert not [
            path for path in layer_paths.weights(model) if "/peft" in path
        ] or "photo_low: must have" in str(caught.value)


class ArgMax(layers.Layer):
    def call(self, x):
        return keras.ops.argmax(x, axis=-1)
