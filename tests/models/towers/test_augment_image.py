"""Augmentation of images, alone and in a model."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from multimodal_tf.config import ConvTower, ImageAugmentation, ImageInput, ResNetTower
from multimodal_tf.models import build_model, embeddings
from multimodal_tf.models.towers.augment_image import RandAugment, TrainingOnly, augment


def config_of(tower, **options):
    return contract.with_input(ImageInput(height=32, width=32, tower=tower, **options))


def changed(x, name="photo", **augmentation):
    """The images after augmentation, as in training."""
    input_config = ImageInput(
        height=x.shape[1],
        width=x.shape[2],
        channels=x.shape[3],
        augmentation=ImageAugmentation(**augmentation),
    )
    inputs = keras.Input(x.shape[1:])
    return keras.Model(inputs, augment(input_config, inputs, name))


class TestAugmentation:
    everything = {"flip": "both", "crop": 0.2, "rand_augment": 0.3, "erasing": 0.2}

    def images(self, rows=6, size=16, channels=3):
        return np.random.default_rng(0).random((rows, size, size, channels), "float32")

    def test_without_augmentation_there_is_no_layer(self):
        x = keras.Input((8, 8, 3))
        assert augment(ImageInput(), x, "photo") is x

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("how", [lambda call: call, tf.function], ids=["eagerly", "in a graph"])
    def test_images_change_in_training_only_in_every_step_and_row(self, channels, how):
        x = np.repeat(self.images(1, channels=channels), 6, axis=0)
        model = changed(x, **self.everything)
        np.testing.assert_array_equal(model(x), x)
        np.testing.assert_array_equal(model.predict(x, verbose=0), x)
        step = how(lambda x: model(x, training=True))
        first, second = step(x).numpy(), step(x).numpy()
        assert len(np.unique(first.reshape(6, -1), axis=0)) == 6
        assert not any(np.array_equal(one, other) for one, other in zip(first, second))

    @pytest.mark.parametrize("value", [None, 0.0, 0.3, 1.0])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_the_range_is_kept(self, value, channels):
        x = (
            self.images(4, channels=channels)
            if value is None
            else np.full((4, 16, 16, channels), value, "float32")
        )
        model = changed(x, **self.everything)
        # RandAugment draws two of eleven transformations per batch.
        for _ in range(15):
            y = model(x, training=True).numpy()
            # This fails for NaN.
            assert y.min() >= -1e-6
            assert y.max() <= 1 + 1e-6

    def test_a_flipped_row_is_itself_or_mirrored(self):
        x = self.images(12)
        y = changed(x, flip="horizontal")(x, training=True).numpy()
        mirrored = [np.array_equal(one, other[:, ::-1]) for one, other in zip(y, x)]
        assert all(
            flipped or np.array_equal(one, other) for flipped, one, other in zip(mirrored, y, x)
        )
        assert 0 < sum(mirrored) < 12

    def test_a_crop_shows_three_quarters_of_height_and_width_at_a_position_per_row(self):
        position = (np.arange(32, dtype="float32") + 0.5) / 32
        x = np.repeat(np.stack(np.meshgrid(position, position, indexing="ij"), -1)[None], 5, axis=0)
        # red: position from the top; green: position from the left
        x = np.concatenate([x, x[..., :1]], -1)
        y = changed(x, crop=0.25)(x, training=True).numpy()[:, 2:-2, 2:-2]
        down, right = y[:, :, 3, 0], y[:, 3, :, 1]
        for lines in (down, right):
            # Nothing is mirrored in from outside.
            np.testing.assert_allclose(np.diff(lines, axis=1), 0.75 / 32, atol=2e-3)
            assert len(np.unique(lines[:, 0].round(3))) > 1

    def test_at_most_the_share_is_erased_in_half_of_the_rows(self):
        x = np.full((64, 16, 16, 1), 2.0, "float32")
        shares = (changed(x, erasing=0.25)(x, training=True).numpy() < 2).mean(axis=(1, 2, 3))
        assert 0.3 < (shares == 0).mean() < 0.7
        # A side that ends within a pixel includes it.
        assert 0.1 < shares.max() <= 9 * 9 / 16**2

    @pytest.mark.parametrize("factor", [0.1, 0.6])
    def test_rand_augment_equals_that_of_keras(self, factor):
        x = self.images()
        ours, reference = (
            kind(value_range=(0, 1), factor=factor, seed=3)
            for kind in (RandAugment, layers.RandAugment)
        )
        for _ in range(8):
            np.testing.assert_array_equal(ours(x, training=True), reference(x, training=True))

    @pytest.mark.parametrize("change", layers.RandAugment._AUGMENT_LAYERS)
    def test_rand_augment_does_the_same_to_0_to_1_as_to_0_to_255(self, change):
        pixels = np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3)).astype("float32")
        unit, bytes_ = (
            getattr(RandAugment(value_range=(0, high), factor=0.5, seed=3), change)
            for high in (1, 255)
        )
        np.testing.assert_allclose(
            255 * np.array(unit(pixels / 255, training=True)),
            bytes_(pixels, training=True),
            atol=0.02,
        )

    def test_the_model_s_seed_is_that_of_its_augmentation_and_it_is_saved(self, tmp_path):
        config = config_of(
            ConvTower(filters=[4]), augmentation=ImageAugmentation(**self.everything)
        )
        rows = contract.rows_of(config, 4)
        models = [build_model(config, contract.schema_of(config)) for _ in range(2)]
        one, other = (model(rows, training=True)["label"] for model in models)
        np.testing.assert_array_equal(one, other)
        models[0].save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(rows)["label"], models[0](rows)["label"])
        images = keras.Model(loaded.input, loaded.get_layer("probe_augmentation").output)
        assert not np.array_equal(images(rows, training=True), images(rows, training=True))

    def test_in_inference_a_model_predicts_as_without(self):
        config = config_of(
            ConvTower(filters=[4]), augmentation=ImageAugmentation(**self.everything)
        )
        model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
        plain = config_of(ConvTower(filters=[4]))
        without = build_model(plain, contract.schema_of(plain))
        without.set_weights([weight.numpy() for weight in model.weights])
        for output in (model(rows), model.predict(rows, verbose=0)):
            np.testing.assert_allclose(without(rows)["label"], output["label"], rtol=1e-5)

    @pytest.mark.parametrize("tower", [ConvTower(filters=[4]), ResNetTower(filters=2)])
    def test_missing_rows_leave_no_trace_in_statistics(self, tower):
        config = config_of(tower, augmentation=ImageAugmentation(rand_augment=0.9, erasing=0.5))
        model, missing = build_model(config, contract.schema_of(config)), np.ones(4, bool)
        rows = contract.without(contract.rows_of(config, 4), "probe", missing)
        before = [weight.numpy() for weight in model.non_trainable_weights]
        for _ in range(5):
            assert not np.any(embeddings(model)(rows, training=True)["probe"])
        for one, other in zip(before, model.non_trainable_weights):
            np.testing.assert_array_equal(one, other)

    def test_under_mixed_precision_images_stay_float32(self):
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = changed(self.images(), **self.everything)
        finally:
            keras.config.set_dtype_policy("float32")
        assert model(self.images(), training=True).dtype == "float32"

    def test_configuration_round_trip(self):
        model = changed(self.images(), **self.everything)
        layer = next(layer for layer in model.layers if isinstance(layer, TrainingOnly))
        assert [step.name for step in layer.steps] == [
            "photo_flip",
            "photo_crop_position",
            "photo_crop_size",
            "photo_rand_augment",
            "photo_erasing",
        ]
        assert TrainingOnly.from_config(layer.get_config()).get_config() == layer.get_config()
