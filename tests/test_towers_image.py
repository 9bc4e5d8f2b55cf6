"""Residual networks, vision transformers, applications of Keras and the augmentation of images."""

import inspect
import io
import json

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from multimodal_tf.config import (
    ApplicationTower,
    Config,
    ConvTower,
    ImageAugmentation,
    ImageInput,
    ResNetTower,
    ViTTower,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.application import ApplicationPixels
from multimodal_tf.models.towers.augment_image import RandAugment, TrainingOnly, augment

CONSTRUCTORS = sorted(
    name for name, found in vars(keras.applications).items() if inspect.isfunction(found)
)


def config_of(tower, size=32, channels=3, presence=True, **options):
    config = contract.with_input(
        ImageInput(height=size, width=size, channels=channels, tower=tower, **options)
    )
    return config.model_copy(
        update={"fusion": config.fusion.model_copy(update={"presence": presence})}
    )


def built(*args, **options):
    config = config_of(*args, **options)
    return build_model(config, contract.schema_of(config)), contract.rows_of(config, 2)


def network_of(model):
    """The library's network in the tower, whether it stands in the graph or in `MaskedNetwork`."""
    layer = model.get_layer("probe_network")
    return getattr(layer, "network", layer)


def message(tower, kind=ValueError, **options):
    with pytest.raises(kind) as error:
        built(tower, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


class TestResNet:
    # shortcuts too
    @pytest.mark.parametrize(("depth", "convolutions"), [(18, 20), (34, 36), (50, 53)])
    def test_it_has_its_depth_and_its_width(self, depth, convolutions):
        model, rows = built(ResNetTower(depth=depth, filters=2))
        network = network_of(model)
        # KerasHub leaves it out, but not behind the empty stage
        first_shortcut = depth < 50
        assert (
            sum(isinstance(layer, layers.Conv2D) for layer in network.layers)
            == convolutions + first_shortcut
        )
        assert model.get_layer("probe_embedding").output.shape == (None, 16 if depth < 50 else 64)
        assert np.isfinite(model(rows)["label"]).all()

    def test_with_64_filters_it_is_that_of_keras_hub(self):
        import keras_hub

        model, _ = built(ResNetTower())
        reference = keras_hub.models.ResNetBackbone(
            [64], [7], [64, 128, 256, 512], [2, 2, 2, 2], [1, 2, 2, 2], "basic_block"
        )
        assert [weight.shape for weight in network_of(model).weights] == [
            weight.shape for weight in reference.weights
        ]

    def test_without_presence_it_stands_in_the_graph(self):
        model, rows = built(ResNetTower(filters=2), presence=False)
        assert isinstance(model.get_layer("probe_network"), keras.Model)
        assert np.isfinite(model(rows)["label"]).all()


class TestViT:
    @pytest.mark.parametrize(("pooling", "length"), [("first", 17), ("average", 16)])
    def test_a_token_a_patch(self, pooling, length):
        config = config_of(
            ViTTower(units=8, depth=1, heads=2, mlp_units=8, patch_size=8, pooling=pooling)
        )
        tokens, mask, vector = build_towers(config, contract.schema_of(config))(
            contract.rows_of(config, 2)
        )["probe"].values()
        assert tokens.shape == (2, length, 8)
        assert mask.numpy().all()
        np.testing.assert_allclose(
            vector, tokens[:, 0] if pooling == "first" else tf.reduce_mean(tokens, 1), rtol=1e-5
        )

    def test_what_does_not_divide_is_refused_by_field(self):
        assert message(ViTTower(patch_size=12)) == (
            "inputs.probe.tower.patch_size: must divide the image's height and width, 32 and 32, received 12"
        )
        with pytest.raises(ValueError, match=r"heads must divide units \(10\), received 4"):
            ViTTower(units=10, heads=4)


class TestApplicationPixels:
    @pytest.mark.parametrize("name", CONSTRUCTORS)
    def test_it_is_the_applications_own_preprocessing(self, name):
        modules = (
            found
            for found in vars(keras.applications).values()
            if inspect.ismodule(found) and hasattr(found, name)
        )
        # which does not list its own
        module = next(modules, keras.applications.mobilenet_v3)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3)).astype("float32")
        expected = module.preprocess_input(pixels.copy())
        np.testing.assert_allclose(ApplicationPixels(name)(pixels / 255), expected, atol=1e-4)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            # blue, green, red
            ("ResNet50", [0.4 * 255 - 103.939, 0.6 * 255 - 116.779, 255 - 123.68]),
            ("MobileNet", [1.0, 0.2, -0.2]),
            ("DenseNet121", [(1 - 0.485) / 0.229, (0.6 - 0.456) / 0.224, (0.4 - 0.406) / 0.225]),
            ("ConvNeXtTiny", [255.0, 153.0, 102.0]),
        ],
    )
    def test_by_hand(self, name, expected):
        np.testing.assert_allclose(
            ApplicationPixels(name)(np.array([[[[1, 0.6, 0.4]]]], "float32"))[0, 0, 0],
            expected,
            atol=1e-3,
        )

    def test_grey_is_repeated(self):
        grey = np.random.default_rng(0).random((2, 3, 3, 1), "float32")
        layer = ApplicationPixels("MobileNet")
        np.testing.assert_array_equal(layer(grey), layer(np.repeat(grey, 3, -1)))
        assert layer(keras.Input((3, 3, 1))).shape == (None, 3, 3, 3)


class TestApplication:
    @pytest.mark.parametrize(
        ("name", "channels"), [("MobileNetV3Small", 1), ("ConvNeXtTiny", 3), ("ResNet50V2", 3)]
    )
    def test_others_than_that_of_the_contract_build_predict_and_come_back_from_their_configuration(
        self, name, channels
    ):
        model, rows = built(ApplicationTower(name=name), channels=channels)
        answer = model(rows)["label"]
        assert np.isfinite(answer).all()
        copy = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
        copy.set_weights(model.get_weights())
        np.testing.assert_allclose(copy(rows)["label"], answer, rtol=1e-4, atol=1e-6)

    @pytest.fixture(scope="class")
    def weights(self, tmp_path_factory):
        """A file with weights of a MobileNet whose batch normalisation has seen something."""
        keras.utils.set_random_seed(1)
        network = keras.applications.MobileNet(
            include_top=False, weights=None, input_shape=(32, 32, 3)
        )
        network(np.random.default_rng(0).normal(size=(4, 32, 32, 3)), training=True)
        path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
        network.save_weights(path)
        return network, str(path)

    @pytest.mark.parametrize("presence", [True, False])
    def test_frozen_it_is_the_network_of_the_file_in_training_too(self, weights, presence):
        network, path = weights
        model, rows = built(
            ApplicationTower(name="MobileNet", weights=path, trainable=False), presence=presence
        )
        before = network_of(model).get_weights()
        expected = keras.ops.mean(network(2 * rows["probe"] - 1, training=False), axis=(1, 2))
        for training in (False, True):
            np.testing.assert_allclose(
                embeddings(model)(rows, training=training)["probe"], expected, rtol=1e-3, atol=1e-4
            )
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        model.train_on_batch(rows, {"label": np.array([0, 1])})
        for one, other in zip(before, network_of(model).get_weights()):
            np.testing.assert_array_equal(one, other)
        assert not contract.tower_weights(model, "probe")

    def test_frozen_it_stays_so_when_loaded(self, weights, tmp_path):
        model, rows = built(ApplicationTower(name="MobileNet", weights=weights[1], trainable=False))
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert not contract.tower_weights(loaded, "probe")
        np.testing.assert_allclose(
            loaded(rows, training=True)["label"], model(rows)["label"], rtol=1e-4, atol=1e-6
        )

    # before Keras refuses the file
    @pytest.mark.filterwarnings("ignore:Skipping nested container")
    def test_what_cannot_be_is_refused_by_field(self, weights, tmp_path):
        # of nothing, of a module
        for name in ("EfficientNet", "mobilenet", "keras"):
            assert message(ApplicationTower(name=name)) == (
                "inputs.probe.tower.name: must be a constructor of keras.applications, such as EfficientNetB0, MobileNetV3Small or "
                f"ResNet50, received {name!r}"
            )
        for path in ("imagenet", str(tmp_path)):
            assert message(ApplicationTower(weights=path), FileNotFoundError) == (
                f"inputs.probe.tower.weights: must be a file of weights on this machine, or null, received {path!r}"
            )
        text = tmp_path / "weights.h5"
        text.write_text("not HDF5")
        for name, path in (("MobileNetV2", weights[1]), ("MobileNet", str(text))):
            assert message(ApplicationTower(name=name, weights=path)).startswith(
                f"inputs.probe.tower.weights: must hold the weights of {name} without its classifier, in Keras' format, received {path!r}: "
            )
        assert message(ApplicationTower(name="MobileNet"), size=16).startswith(
            "inputs.probe.tower.name: MobileNet does not take an image of 16 x 16 pixels: Input size must be at least 32x32"
        )

    def test_efficient_nets_imagenet_file_gives_what_keras_makes_of_it(self, tmp_path, monkeypatch):
        """tensorflow#49930: the file's variance is a standard deviation; Keras makes good for it
        only in what it fetches itself.
        """
        network = keras.applications.EfficientNetB0(
            include_top=False, weights=None, input_shape=(32, 32, 3)
        )
        normalization = next(
            layer for layer in network.layers if isinstance(layer, layers.Normalization)
        )
        normalization.adapt_mean.assign([0.485, 0.456, 0.406])
        normalization.adapt_variance.assign([0.229, 0.224, 0.225])
        path = str(tmp_path / "efficientnetb0_notop.weights.h5")
        network.save_weights(path)
        module = inspect.getmodule(keras.applications.EfficientNetB0)
        monkeypatch.setattr(module.file_utils, "get_file", lambda *args, **kwargs: path)
        reference = keras.applications.EfficientNetB0(
            include_top=False, weights="imagenet", input_shape=(32, 32, 3)
        )
        model, rows = built(ApplicationTower(weights=path, trainable=False))
        expected = keras.ops.mean(reference(255 * rows["probe"], training=False), axis=(1, 2))
        np.testing.assert_allclose(embeddings(model)(rows)["probe"], expected, rtol=1e-3, atol=1e-5)
        # and once mended it is mended no more
        network_of(model).save_weights(path)
        again, _ = built(ApplicationTower(weights=path, trainable=False))
        np.testing.assert_allclose(embeddings(again)(rows)["probe"], expected, rtol=1e-3, atol=1e-5)


def changed(x, name="photo", **augmentation):
    """The images after augmentation, as in training."""
    part = ImageInput(
        height=x.shape[1],
        width=x.shape[2],
        channels=x.shape[3],
        augmentation=ImageAugmentation(**augmentation),
    )
    inputs = keras.Input(x.shape[1:])
    return keras.Model(inputs, augment(part, inputs, name))


class TestAugmentation:
    everything = {"flip": "both", "crop": 0.2, "rand_augment": 0.3, "erasing": 0.2}

    def images(self, rows=6, size=16, channels=3):
        return np.random.default_rng(0).random((rows, size, size, channels), "float32")

    def test_nothing_asked_nothing_added(self):
        x = keras.Input((8, 8, 3))
        assert augment(ImageInput(), x, "photo") is x

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("how", [lambda call: call, tf.function], ids=["eagerly", "in a graph"])
    def test_images_change_in_training_only_anew_in_every_step_and_row(self, channels, how):
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
        # of RandAugment's eleven changes two are drawn for a batch
        for _ in range(15):
            y = model(x, training=True).numpy()
            # NaN is not
            assert y.min() >= -1e-6
            assert y.max() <= 1 + 1e-6

    def test_a_flipped_row_is_itself_or_its_mirror_image(self):
        x = self.images(12)
        y = changed(x, flip="horizontal")(x, training=True).numpy()
        mirrored = [np.array_equal(one, other[:, ::-1]) for one, other in zip(y, x)]
        assert all(
            flipped or np.array_equal(one, other) for flipped, one, other in zip(mirrored, y, x)
        )
        assert 0 < sum(mirrored) < 12

    def test_a_crop_shows_three_quarters_of_the_height_and_width_at_places_of_their_own(self):
        place = (np.arange(32, dtype="float32") + 0.5) / 32
        x = np.repeat(np.stack(np.meshgrid(place, place, indexing="ij"), -1)[None], 5, axis=0)
        # red: how far down; green: how far to the right
        x = np.concatenate([x, x[..., :1]], -1)
        y = changed(x, crop=0.25)(x, training=True).numpy()[:, 2:-2, 2:-2]
        down, right = y[:, :, 3, 0], y[:, 3, :, 1]
        for lines in (down, right):
            # nothing mirrored in from outside
            np.testing.assert_allclose(np.diff(lines, axis=1), 0.75 / 32, atol=2e-3)
            assert len(np.unique(lines[:, 0].round(3))) > 1

    def test_at_most_so_much_is_erased_and_half_of_the_rows_are_spared(self):
        x = np.full((64, 16, 16, 1), 2.0, "float32")
        shares = (changed(x, erasing=0.25)(x, training=True).numpy() < 2).mean(axis=(1, 2, 3))
        assert 0.3 < (shares == 0).mean() < 0.7
        # a side that ends amid a pixel takes it
        assert 0.1 < shares.max() <= 9 * 9 / 16**2

    @pytest.mark.parametrize("factor", [0.1, 0.6])
    def test_rand_augment_is_that_of_keras(self, factor):
        x = self.images()
        ours, reference = (
            kind(value_range=(0, 1), factor=factor, seed=3)
            for kind in (RandAugment, layers.RandAugment)
        )
        for _ in range(8):
            np.testing.assert_array_equal(ours(x, training=True), reference(x, training=True))

    @pytest.mark.parametrize("change", layers.RandAugment._AUGMENT_LAYERS)
    def test_rand_augment_does_to_0_to_1_what_it_does_to_0_to_255(self, change):
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

    def test_the_models_seed_is_that_of_its_augmentation_which_is_loaded_with_it(self, tmp_path):
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

    def test_a_model_answers_as_without(self):
        config = config_of(
            ConvTower(filters=[4]), augmentation=ImageAugmentation(**self.everything)
        )
        model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
        without, _ = built(ConvTower(filters=[4]))
        without.set_weights([weight.numpy() for weight in model.weights])
        for answer in (model(rows), model.predict(rows, verbose=0)):
            np.testing.assert_allclose(without(rows)["label"], answer["label"], rtol=1e-5)

    @pytest.mark.parametrize("tower", [ConvTower(filters=[4]), ResNetTower(filters=2)])
    def test_absent_rows_are_augmented_and_leave_no_trace(self, tower):
        config = config_of(tower, augmentation=ImageAugmentation(rand_augment=0.9, erasing=0.5))
        model, absent = build_model(config, contract.schema_of(config)), np.ones(4, bool)
        rows = contract.without(contract.rows_of(config, 4), "probe", absent)
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
            "photo_crop_place",
            "photo_crop_size",
            "photo_rand_augment",
            "photo_erasing",
        ]
        assert TrainingOnly.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("channels", [1, 3])
def test_sources_of_every_mode_reach_the_model_as_what_one_sees(channels):
    """RGBA and grey with alpha lie over white; a model of grey sees the luma of colours, one of
    colours grey repeated.
    """
    colours = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (16, 16, 4), "uint8"), "RGBA"
    )
    over_white = Image.alpha_composite(Image.new("RGBA", (16, 16), "white"), colours).convert("RGB")
    grey = over_white.convert("L")
    modes = {
        "RGBA": colours,
        "RGB": over_white,
        "L": grey,
        "RGB of grey": grey.convert("RGB"),
        "LA": grey.convert("LA"),
    }
    config: Config = config_of(ConvTower(filters=[4]), size=16, channels=channels)
    schema = contract.schema_of(config)
    preprocessor, model = Preprocessor(config, schema), build_model(config, schema)
    cells = {
        "probe": [_png(image) for image in modes.values()],
        "other": np.zeros(len(modes), "float32"),
    }
    features, errors = preprocessor.features(cells)
    inputs = preprocessor.model_inputs(features)
    assert not any(errors.numpy())
    seen = dict(zip(modes, inputs["probe"].numpy() * 255))
    for one, other in (("RGBA", "RGB"), ("L", "RGB of grey"), ("L", "LA")):
        # rounded twice
        np.testing.assert_allclose(seen[one], seen[other], atol=1.01)
    answers = dict(zip(modes, model(inputs)["label"].numpy()))
    np.testing.assert_allclose(answers["RGBA"], answers["RGB"], atol=0.02)
    np.testing.assert_allclose(answers["L"], answers["LA"], atol=0.02)


def _png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()
