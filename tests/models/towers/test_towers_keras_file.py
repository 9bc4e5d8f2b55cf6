"""A Keras file as a tower computes the same as its model, and nothing runs from a bad one."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from one_input import built, image, refused, rows_of, vector

from multimodal_tf.config import KerasTower
from multimodal_tf.models import embeddings


class TestKerasFile:
    def test_it_equals_the_model_up_to_a_layer(self, pretrained):
        input_config = image(
            KerasTower(path=pretrained.keras_model(), layer="features", length=None)
        )
        whole = keras.saving.load_model(pretrained.keras_model())
        reference = keras.Model(whole.inputs[0], whole.get_layer("features").output)(
            rows_of(input_config)["probe"]
        ).numpy()
        np.testing.assert_allclose(
            vector(input_config, rows_of(input_config)),
            reference.mean((1, 2)),
            rtol=1e-4,
            atol=1e-6,
        )

    def test_its_vector_has_the_length_10_unless_told_otherwise(self, pretrained):
        one, other = (
            image(KerasTower(path=pretrained.keras_model(), **fields))
            for fields in ({}, {"length": None})
        )
        scaled, own = vector(one, rows_of(one)), vector(other, rows_of(other))
        lengths = np.linalg.norm(own, axis=1, keepdims=True)
        np.testing.assert_allclose(scaled, 10 * own / lengths, rtol=1e-4, atol=1e-6)

    def test_frozen_it_runs_in_inference_mode_in_training(self, pretrained):
        input_config = image(KerasTower(path=pretrained.keras_model(), layer="features"))
        model, rows = embeddings(built(input_config)), rows_of(input_config)
        np.testing.assert_array_equal(model(rows, training=True)["probe"], model(rows)["probe"])
        assert not [weight for weight in model.trainable_weights if weight.path.startswith("probe")]

    def test_trainable_it_runs_in_training_mode(self, pretrained):
        input_config = image(
            KerasTower(path=pretrained.keras_model(), layer="features", trainable=True)
        )
        model, rows = embeddings(built(input_config)), rows_of(input_config)
        assert np.any(model(rows, training=True)["probe"] != model(rows)["probe"])

    @pytest.mark.parametrize(
        ("fields", "size", "message"),
        [
            (
                {"layer": "feature"},
                8,
                r"tower\.layer: must be a layer of the model, such as \['features'\],"
                r" received 'feature'$",
            ),
            (
                {},
                16,
                r"tower\.path: the model .* takes float32 \(batch, 8, 8, 1\),"
                r" received float32 \(batch, 16, 16, 1\)$",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_by_field(self, fields, size, message, pretrained):
        assert re.search(
            rf"^inputs\.probe\.{message}",
            refused(image(KerasTower(path=pretrained.keras_model(), **fields), size)),
        )

    def test_several_inputs_are_refused(self, tmp_path):
        pair = [keras.Input((8, 8, 1), name=name) for name in ("one", "other")]
        keras.Model(pair, layers.Flatten()(layers.Add()(pair))).save(tmp_path / "two.keras")
        assert "of one input" in refused(image(KerasTower(path=str(tmp_path / "two.keras"))))

    def test_a_lambda_is_not_run(self, tmp_path):
        x = keras.Input((8, 8, 1))
        keras.Model(x, layers.Lambda(lambda x: x * 2, output_shape=(8, 8, 1))(x)).save(
            tmp_path / "lambda.keras"
        )
        assert "does not load" in refused(image(KerasTower(path=str(tmp_path / "lambda.keras"))))

    def test_another_format_is_refused(self, tmp_path):
        (tmp_path / "model.keras").write_bytes(b"\x89HDF\r\n\x1a\n")
        assert "zip archive" in refused(image(KerasTower(path=str(tmp_path / "model.keras"))))
        assert "nothing is at" in refused(
            image(KerasTower(path=str(tmp_path / "none.keras"))), FileNotFoundError
        )
