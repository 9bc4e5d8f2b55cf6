"""Residual networks, vision transformers and applications of Keras."""

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
    ImageInput,
    ResNetTower,
    ViTTower,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.application import ApplicationPixels

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
    """The library's network in the tower, with or without `MaskedNetwork` around it."""
    layer = model.get_layer("probe_network")
    return getattr(layer, "network", layer)


def message(tower, kind=ValueError, **options):
    with pytest.raises(kind) as error:
        built(tower, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


class TestResNet:
    # with shortcuts
    @pytest.mark.parametrize(("depth", "convolutions"), [(18, 20), (34, 36), (50, 53)])
    def test_it_has_its_depth_and_width(self, depth, convolutions):
        model, rows = built(ResNetTower(depth=depth, filters=2))
        network = network_of(model)
        # KerasHub omits it, except after the empty stage.
        first_shortcut = depth < 50
        assert (
            sum(isinstance(layer, layers.Conv2D) for layer in network.layers)
            == convolutions + first_shortcut
        )
        assert model.get_layer("probe_embedding").output.shape == (None, 16 if depth < 50 else 64)
        assert np.isfinite(model(rows)["label"]).all()

    def test_with_64_filters_it_equals_that_of_keras_hub(self):
        import keras_hub

        model, _ = built(ResNetTower())
        reference = keras_hub.models.ResNetBackbone(
            [64], [7], [64, 128, 256, 512], [2, 2, 2, 2], [1, 2, 2, 2], "basic_block"
        )
        assert [weight.shape for weight in network_of(model).weights] == [
            weight.shape for weight in reference.weights
        ]

    def test_without_presence_it_is_part_of_the_graph(self):
        model, rows = built(ResNetTower(filters=2), presence=False)
        assert isinstance(model.get_layer("probe_network"), keras.Model)
        assert np.isfinite(model(rows)["label"]).all()


class TestViT:
    @pytest.mark.parametrize(("pooling", "length"), [("first", 17), ("average", 16)])
    def test_one_token_per_patch(self, pooling, length):
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

    def test_sizes_that_do_not_divide_are_refused_by_field(self):
        assert message(ViTTower(patch_size=12)) == (
            "inputs.probe.tower.patch_size: must divide the image's height and width, 32 and 32,"
            " received 12"
        )
        with pytest.raises(ValueError, match=r"heads must divide units \(10\), received 4"):
            ViTTower(units=10, heads=4)


class TestApplicationPixels:
    @pytest.mark.parametrize("name", CONSTRUCTORS)
    def test_it_equals_the_application_s_own_preprocessing(self, name):
        modules = (
            found
            for found in vars(keras.applications).values()
            if inspect.ismodule(found) and hasattr(found, name)
        )
        # MobileNetV3 is not listed in its module.
        module = next(modules, keras.applications.mobilenet_v3)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3)).astype("float32")
        expected = module.preprocess_input(pixels.copy())
        np.testing.assert_allclose(ApplicationPixels(name)(pixels / 255), expected, atol=1e-4)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            # BGR
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
    @pytest.mark.parametrize(("name", "channels"), [("MobileNetV3Small", 1), ("ConvNeXtTiny", 3)])
    def test_others_than_in_the_contract_build_predict_and_load_from_their_configuration(
        self, name, channels
    ):
        model, rows = built(ApplicationTower(name=name), channels=channels)
        output = model(rows)["label"]
        assert np.isfinite(output).all()
        copy = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
        copy.set_weights(model.get_weights())
        np.testing.assert_allclose(copy(rows)["label"], output, rtol=1e-4, atol=1e-6)

    @pytest.fixture(scope="class")
    def weights(self, tmp_path_factory):
        """A file with weights of a MobileNet whose batch normalization has statistics."""
        keras.utils.set_random_seed(1)
        network = keras.applications.MobileNet(
            include_top=False, weights=None, input_shape=(32, 32, 3)
        )
        network(np.random.default_rng(0).normal(size=(4, 32, 32, 3)), training=True)
        path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
        network.save_weights(path)
        return network, str(path)

    @pytest.mark.parametrize("presence", [True, False])
    def test_frozen_it_equals_the_network_of_the_file_in_training_too(self, weights, presence):
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

    def test_it_stays_frozen_when_loaded(self, weights, tmp_path):
        model, rows = built(ApplicationTower(name="MobileNet", weights=weights[1], trainable=False))
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert not contract.tower_weights(loaded, "probe")
        np.testing.assert_allclose(
            loaded(rows, training=True)["label"], model(rows)["label"], rtol=1e-4, atol=1e-6
        )

    # a warning before Keras refuses the file
    @pytest.mark.filterwarnings("ignore:Skipping nested container")
    def test_impossible_settings_are_refused_by_field(self, weights, tmp_path):
        # an unknown name, and those of modules
        for name in ("EfficientNet", "mobilenet", "keras"):
            assert message(ApplicationTower(name=name)) == (
                "inputs.probe.tower.name: must be a constructor of keras.applications, such as"
                f" EfficientNetB0, MobileNetV3Small or ResNet50, received {name!r}"
            )
        for path in ("imagenet", str(tmp_path)):
            assert message(ApplicationTower(weights=path), FileNotFoundError) == (
                "inputs.probe.tower.weights: must be a file of weights on this machine, or null,"
                f" received {path!r}"
            )
        text = tmp_path / "weights.h5"
        text.write_text("not HDF5")
        for name, path in (("MobileNetV2", weights[1]), ("MobileNet", str(text))):
            assert message(ApplicationTower(name=name, weights=path)).startswith(
                f"inputs.probe.tower.weights: must hold the weights of {name} without its"
                f" classifier, in Keras' format, received {path!r}: "
            )
        assert message(ApplicationTower(name="MobileNet"), size=16).startswith(
            "inputs.probe.tower.name: MobileNet does not take an image of 16 x 16 pixels:"
            " Input size must be at least 32x32"
        )

    @pytest.mark.slow
    def test_efficient_net_s_imagenet_file_gives_the_same_as_in_keras(self, tmp_path, monkeypatch):
        """The file's variance is a standard deviation (tensorflow#49930).

        Keras corrects it only in a file that it downloads itself.
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
        # A corrected file is not corrected again.
        network_of(model).save_weights(path)
        again, _ = built(ApplicationTower(weights=path, trainable=False))
        np.testing.assert_allclose(embeddings(again)(rows)["probe"], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_mode_reach_the_model_as_they_look(channels):
    """Alpha is composited over white; colours become luma, or grey is repeated to RGB."""
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
        # These are rounded twice.
        np.testing.assert_allclose(seen[one], seen[other], atol=1.01)
    outputs = dict(zip(modes, model(inputs)["label"].numpy()))
    np.testing.assert_allclose(outputs["RGBA"], outputs["RGB"], atol=0.02)
    np.testing.assert_allclose(outputs["L"], outputs["LA"], atol=0.02)


def _png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()
