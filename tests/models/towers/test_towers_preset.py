"""KerasHub presets as towers compute the same as KerasHub with its own preprocessing."""

import re

import contract
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from one_input import built, image, refused, rows_of, vector

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    LSTMTower,
    PresetTokenizer,
    PresetTower,
    TextInput,
)
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords
from multimodal_tf.models import build_model, build_towers, compile_arguments, embeddings
from multimodal_tf.models.towers.backbone import find_reader
from multimodal_tf.models.towers.text import PaddingMask
from multimodal_tf.schema import Schema, Subwords
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.skew import skew

TEXTS = ["a red bird", "!", "red!!", "!a!", "a bird sings a red bird sings", "ringside bards"]
CASED = [
    "a red bird",
    "A RED bird!",
    "red  Bird",
    "sings!! a bird sings",
    "a bird sings a red bird sings a red bird sings",
]


class TestPreset:
    def test_a_text_is_encoded_as_by_the_backbone(self, pretrained):
        import keras_hub

        input_config = TextInput(max_tokens=4, tower=unscaled(pretrained.text_preset()))
        # 2 is padding.
        rows = rows_of(input_config, 1) | {"probe": np.array([[3, 0, 4, 2]], "int32")}
        given = {
            "token_ids": rows["probe"],
            "padding_mask": rows["probe"] != 2,
            "segment_ids": rows["probe"] * 0,
        }
        reference = keras_hub.models.Backbone.from_preset(pretrained.text_preset())(given)[
            "sequence_output"
        ].numpy()
        np.testing.assert_allclose(
            vector(input_config, rows), reference[:, :3].mean(1), rtol=1e-4, atol=1e-6
        )

    def test_an_image_is_scaled_by_the_preset_s_converter(self, pretrained):
        import keras_hub

        input_config = image(unscaled(pretrained.image_preset(), pooling="max"), 16, 3)
        rows = rows_of(input_config, 2)
        pixels = keras_hub.layers.ImageConverter.from_preset(pretrained.image_preset())(
            rows["probe"] * 255
        )
        reference = keras_hub.models.Backbone.from_preset(pretrained.image_preset())(
            np.asarray(pixels)
        ).numpy()
        np.testing.assert_allclose(
            vector(input_config, rows), reference.max((1, 2)), rtol=1e-4, atol=1e-5
        )

    def test_without_weights_it_has_the_architecture(self, pretrained):
        one, other = (
            image(
                PresetTower(
                    preset=pretrained.image_preset(scaled), weights=weights, trainable=True
                ),
                16,
                3,
            )
            for scaled, weights in ((True, True), (False, False))
        )
        assert built(one).count_params() == built(other).count_params()

    def test_the_pooler_is_left_out(self, pretrained):
        input_config = TextInput(
            max_tokens=4, tower=PresetTower(preset=pretrained.text_preset(), trainable=True)
        )
        assert not [weight for weight in built(input_config).weights if "pooled" in weight.path]

    @pytest.mark.parametrize(
        ("input_config", "message"),
        [
            (
                lambda pretrained: image(PresetTower(preset=pretrained.patch_preset()), 8, 3),
                r"the preset .* takes float32 \(batch, 16, 16, 3\), received .* 8, 8, 3\)$",
            ),
            (
                lambda pretrained: image(PresetTower(preset=pretrained.text_preset()), 8, 3),
                r"tower\.preset: must have a network that reads image alone, .* BertBackbone",
            ),
            (
                lambda pretrained: text(pretrained.image_preset()),
                r"tower\.preset: must have a network that reads text alone, .* DenseNetBackbone",
            ),
            (
                lambda pretrained: text(pretrained.text_preset(), max_tokens=9),
                r"max_tokens: must be at most 8 for the preset, received 9$",
            ),
            (
                lambda pretrained: image(
                    PresetTower(preset=pretrained.image_preset(scaled=False)), 8, 3
                ),
                r"tower\.preset: must have an ImageConverter",
            ),
            (
                lambda pretrained: text(pretrained.image_module()),
                r"tower\.preset: KerasHub does not load a backbone from",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_by_field(self, input_config, message, pretrained):
        assert re.search(rf"^inputs\.probe(\.|: ){message}", refused(input_config(pretrained)))

    def test_frozen_random_weights_are_refused(self):
        with pytest.raises(ValueError, match="trainable must be true if weights is false"):
            PresetTower(preset="any", weights=False)

    def test_a_missing_folder_is_refused(self):
        assert "nothing is at '/no/such'" in refused(text("/no/such"), FileNotFoundError)

    def test_a_tokenizer_with_more_ids_than_the_preset_is_refused(self, pretrained):
        config = contract.with_input(text(pretrained.text_preset()))
        schema = contract.schema_of(config)
        schema.inputs["probe"] = Subwords(
            tokenizer="preset", preset=pretrained.text_preset(), layer={}, assets={}, size=13
        )
        with pytest.raises(
            ValueError,
            match=r"^inputs\.probe\.tokenizer: must have at most the 12 ids"
            r" .* received preset with 13$",
        ):
            build_model(config, schema)


@pytest.mark.parametrize("kind", ["ResNet", "EfficientNet", "MobileNet", "CSPNet"])
def test_a_convolutional_network_reads_pixels_as_its_converter_scales_them(
    kind, pretrained, tmp_path
):
    preset = pretrained.image_family(kind)
    input_config = image(unscaled(preset), 16, 3)
    rows, whole = rows_of(input_config, 2), hub().models.Backbone.from_preset(preset)
    reference = whole(
        np.asarray(hub().layers.ImageConverter.from_preset(preset)(rows["probe"] * 255))
    ).numpy()
    np.testing.assert_allclose(
        vector(input_config, rows), reference.mean((1, 2)), rtol=1e-3, atol=1e-5
    )
    model = built(input_config)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(rows)["label"], model(rows)["label"], rtol=1e-5)
    # The frozen network stays frozen.
    assert len(again.trainable_weights) == len(model.trainable_weights) == 6


@pytest.mark.parametrize(
    ("kind", "preprocessor"),
    [("DistilBert", "TextClassifier"), ("Roberta", "TextClassifier"), ("GPT2", "")],
)
def test_a_text_is_tokenized_by_the_preset_s_tokenizer(kind, preprocessor, pretrained):
    preset, texts = pretrained.text_family(kind), TEXTS
    theirs = getattr(hub().models, f"{kind}{preprocessor}Preprocessor").from_preset(
        preset, sequence_length=8
    )(texts)
    ids, found, _ = read(TextInput(max_tokens=8, tower=unscaled(preset, pooling="max")), texts)
    np.testing.assert_array_equal(ids, theirs["token_ids"])
    np.testing.assert_array_equal(found["mask"], theirs["padding_mask"])
    reference = np.asarray(hub().models.Backbone.from_preset(preset)(theirs))
    np.testing.assert_allclose(found["tokens"], reference, rtol=1e-4, atol=1e-5)
    alone = [
        row[valid].max(0) for row, valid in zip(reference, np.asarray(theirs["padding_mask"], bool))
    ]
    np.testing.assert_allclose(found["vector"], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["Bart", "T5"])
def test_the_encoder_of_an_encoder_decoder_reads_a_text(kind, pretrained):
    preset = pretrained.text_family(kind)
    whole, preprocessor = (
        hub().models.Backbone.from_preset(preset),
        getattr(hub().models, f"{kind}Seq2SeqLMPreprocessor"),
    )
    theirs = preprocessor.from_preset(
        preset, encoder_sequence_length=8, decoder_sequence_length=8
    ).generate_preprocess(TEXTS)
    ids, found, config = read(TextInput(max_tokens=8, tower=PresetTower(preset=preset)), TEXTS)
    np.testing.assert_array_equal(ids, theirs["encoder_token_ids"])
    np.testing.assert_array_equal(found["mask"], theirs["encoder_padding_mask"])
    np.testing.assert_allclose(
        found["tokens"], whole(theirs)["encoder_sequence_output"], rtol=1e-4, atol=1e-5
    )
    weights = [weight.path for weight in built(config.inputs["probe"]).weights]
    assert any("encoder" in path for path in weights)
    assert not any("decoder" in path for path in weights)


class TestPair:
    """A preset of two encoders, one for images and one for texts."""

    def test_clip_reads_a_text_up_to_its_end_token(self, pretrained):
        preset = pretrained.pair_preset("CLIP")
        whole, theirs = hub().models.Backbone.from_preset(preset), prompts(pretrained, "CLIP", 12)
        ids, found, config = read(
            TextInput(max_tokens=12, tower=unscaled(preset, pooling="last")), CASED
        )
        np.testing.assert_array_equal(ids, theirs["token_ids"])
        np.testing.assert_array_equal(found["mask"], theirs["padding_mask"])
        pooled = whole.text_pooler(
            whole.text_encoder({"token_ids": theirs["token_ids"]}), theirs["token_ids"]
        )
        np.testing.assert_allclose(found["vector"], pooled, rtol=1e-4, atol=1e-5)
        assert only(config, whole.text_encoder)

    def test_siglip_reads_a_text_without_punctuation_and_pools_itself(self, pretrained):
        preset = pretrained.pair_preset("SigLIP")
        whole, theirs = hub().models.Backbone.from_preset(preset), prompts(pretrained, "SigLIP", 12)
        ids, found, config = read(TextInput(max_tokens=12, tower=unscaled(preset)), CASED)
        np.testing.assert_array_equal(ids, theirs["token_ids"])
        np.testing.assert_allclose(
            found["vector"], whole.get_text_embeddings(theirs["token_ids"]), rtol=1e-4, atol=1e-5
        )
        assert found["tokens"].shape == (len(CASED), 1, 4)
        assert only(config, whole.text_encoder)

    @pytest.mark.parametrize("kind", ["CLIP", "SigLIP"])
    def test_an_image(self, kind, pretrained):
        input_config = image(unscaled(pretrained.pair_preset(kind), pooling="first"), 16, 3)
        rows, whole = (
            rows_of(input_config, 2),
            hub().models.Backbone.from_preset(pretrained.pair_preset(kind)),
        )
        pixels = hub().layers.ImageConverter.from_preset(pretrained.pair_preset(kind))(
            rows["probe"] * 255
        )
        reference = np.asarray(whole.vision_encoder({"images": np.asarray(pixels)}))
        np.testing.assert_allclose(
            vector(input_config, rows),
            reference[:, 0] if kind == "CLIP" else reference,
            rtol=1e-4,
            atol=1e-5,
        )
        assert only(contract.with_input(input_config), whole.vision_encoder)

    @pytest.mark.parametrize(
        ("kind", "count", "rule"), [("SigLIP", 8, "must be 12"), ("CLIP", 13, "must be at most 12")]
    )
    def test_texts_of_another_length(self, kind, count, rule, pretrained):
        assert re.search(
            rf"^inputs\.probe\.max_tokens: {rule} .*received {count}$",
            refused(text(pretrained.pair_preset(kind), count)),
        )


def test_the_deepest_map_of_a_feature_pyramid_is_used():
    filters = [[4, 4, 4, 1, 1, 3], [4, 4, 4, 1, 1, 3]]
    network = hub().models.HGNetV2Backbone(
        [1, 1],
        4,
        [4, 4],
        [3, 4, 4],
        "relu",
        False,
        filters,
        [False, True],
        [False, False],
        image_shape=(32, 32, 3),
    )
    assert find_reader(network, lambda given: given, None, None, "") == (network, "stage2")


def test_a_network_of_unknown_length_is_encoded(monkeypatch, pretrained):
    network = hub().models.DINOV3Backbone(
        8, 1, 8, 2, 8, image_shape=(16, 16, 3), use_mask_token=False
    )
    monkeypatch.setattr(hub().models.Backbone, "from_preset", lambda *_, **__: network)
    input_config = image(unscaled(pretrained.patch_preset()), 16, 3)
    rows = rows_of(input_config, 2)
    pixels = hub().layers.ImageConverter.from_preset(pretrained.patch_preset())(rows["probe"] * 255)
    np.testing.assert_allclose(
        vector(input_config, rows),
        network(np.asarray(pixels)).numpy().mean(1),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.slow
def test_a_preset_of_t5_from_a_table_to_a_served_model(pretrained, tmp_path):
    table = pd.DataFrame({"title": [*TEXTS, None] * 4, "label": ["a", "b"] * 14})
    input_config = TextInput(
        max_tokens=8, tower=PresetTower(preset=pretrained.text_family("T5"), trainable=True)
    )
    config = Config(inputs={"title": input_config}, heads={"label": ClassificationHead()})
    ingest(read_table(table), config, tmp_path / "records", processes=1)
    schema = Schema.load(tmp_path / "records/schema.json")
    assert schema.inputs["title"].end == 1
    model = build_model(config, schema)
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01), **compile_arguments(config, schema))
    batch = load_split(config, schema, tmp_path / "records", "train", training=True).take(1)
    model.fit(batch, verbose=0)
    assert all((one != other).any() for one, other in zip(before, model.get_weights()))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    inputs = next(iter(batch))[0]
    np.testing.assert_allclose(again(inputs)["label"], model(inputs)["label"], rtol=1e-6)
    path = export_model(again, config, schema, tmp_path / "served" / "1")
    assert skew(model, config, schema, tmp_path / "records", path)["label"] < 1e-6
    assert Client(path).predict([{"title": "a red bird"}])["present"].tolist() == ["title"]


@pytest.mark.parametrize(("closed", "third"), [(False, False), (True, True)])
def test_padding_is_at_the_end_except_for_an_end_token(closed, third):
    mask = PaddingMask(0, closed)(np.array([[5, 0, 7, 0, 0], [0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(mask, [[True, True, True, third, False], [False] * 5])


def test_a_random_tower_reads_a_token_with_the_padding_s_id():
    input_config = TextInput(
        max_tokens=4,
        tokenizer=PresetTokenizer(preset="any"),
        tower=LSTMTower(embedding_dim=4, units=3),
    )
    config = contract.with_input(input_config)
    schema = contract.schema_of(config)
    schema.inputs["probe"] = Subwords(
        tokenizer="preset", preset="any", layer={}, assets={}, size=9, padding=0, end=8
    )
    rows = rows_of(input_config, 2) | {"probe": np.array([[3, 0, 8, 0], [3, 8, 0, 0]], "int32")}
    exclaimed, plain = embeddings(build_model(config, schema))(rows)["probe"].numpy()
    assert np.abs(exclaimed - plain).max() > 1e-3


def read(input_config, texts):
    """A text's ids, its tower's vector, and the configuration."""
    config = contract.with_input(input_config)
    stats = fit_subwords("inputs.probe.tokenizer", input_config.tokenizer, None)
    schema = contract.schema_of(config).model_copy(
        update={"inputs": contract.schema_of(config).inputs | {"probe": stats}}
    )
    features, _ = Preprocessor(config, schema).features(
        {"probe": tf.constant(texts), "other": tf.zeros(len(texts))}
    )
    model = build_towers(config, schema)
    return features["probe"], model({name: features[name] for name in model.input})["probe"], config


def prompts(pretrained, kind, length):
    """`CASED`, preprocessed by KerasHub."""
    made = getattr(hub().models, f"{kind}Preprocessor").from_preset(
        pretrained.pair_preset(kind), sequence_length=length
    )
    return made({"prompts": CASED, "images": np.zeros((len(CASED), 16, 16, 3))})


def only(config, network):
    """Whether the tower has the weights of this network only."""
    return (
        build_model(config, contract.schema_of(config)).get_layer("probe_network").count_params()
        == network.count_params()
    )


def hub():
    import keras_hub

    return keras_hub


def unscaled(preset, **fields):
    """A tower whose vector is the network's own, not scaled to one length."""
    return PresetTower(preset=preset, length=None, **fields)


def text(preset, max_tokens=4):
    return TextInput(max_tokens=max_tokens, tower=PresetTower(preset=preset))
