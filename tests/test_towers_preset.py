"""Presets of KerasHub as towers: what they compute is what KerasHub computes with its own
preprocessing.
"""

import re

import contract
import keras
import numpy as np
import pandas as pd
import pretrained_case as case
import pytest
import tensorflow as tf
from pretrained_case import built, image, refused, rows_of, vector

from multimodal_tf.config import (
    AudioInput,
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
    def test_a_text_is_what_the_backbone_makes_of_it(self):
        import keras_hub

        part = TextInput(max_tokens=4, tower=PresetTower(preset=case.text_preset()))
        # 2 is padding
        rows = rows_of(part, 1) | {"probe": np.array([[3, 0, 4, 2]], "int32")}
        given = {
            "token_ids": rows["probe"],
            "padding_mask": rows["probe"] != 2,
            "segment_ids": rows["probe"] * 0,
        }
        reference = keras_hub.models.Backbone.from_preset(case.text_preset())(given)[
            "sequence_output"
        ].numpy()
        np.testing.assert_allclose(
            vector(part, rows), reference[:, :3].mean(1), rtol=1e-4, atol=1e-6
        )

    def test_an_image_is_scaled_as_the_preset_says(self):
        import keras_hub

        part = image(PresetTower(preset=case.image_preset(), pooling="max"), 16, 3)
        rows = rows_of(part, 2)
        pixels = keras_hub.layers.ImageConverter.from_preset(case.image_preset())(
            rows["probe"] * 255
        )
        reference = keras_hub.models.Backbone.from_preset(case.image_preset())(
            np.asarray(pixels)
        ).numpy()
        np.testing.assert_allclose(vector(part, rows), reference.max((1, 2)), rtol=1e-4, atol=1e-5)

    def test_without_weights_it_is_the_architecture(self):
        one, other = (
            image(
                PresetTower(preset=case.image_preset(scaled), weights=weights, trainable=True),
                16,
                3,
            )
            for scaled, weights in ((True, True), (False, False))
        )
        assert built(one).count_params() == built(other).count_params()

    def test_the_pooler_is_left_out(self):
        part = TextInput(max_tokens=4, tower=PresetTower(preset=case.text_preset(), trainable=True))
        assert not [weight for weight in built(part).weights if "pooled" in weight.path]

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            (
                lambda: image(PresetTower(preset=case.patch_preset()), 8, 3),
                r"the preset .* takes float32 \(batch, 16, 16, 3\), received .* 8, 8, 3\)$",
            ),
            (
                lambda: image(PresetTower(preset=case.text_preset()), 8, 3),
                r"tower\.preset: must have a network that reads image alone, .* BertBackbone",
            ),
            (
                lambda: text(case.image_preset()),
                r"tower\.preset: must have a network that reads text alone, .* DenseNetBackbone",
            ),
            (
                lambda: text(case.text_preset(), max_tokens=9),
                r"max_tokens: must be at most 8 for the preset, received 9$",
            ),
            (
                lambda: image(PresetTower(preset=case.image_preset(scaled=False)), 8, 3),
                r"tower\.preset: must have an ImageConverter",
            ),
            (
                lambda: text(case.image_module()),
                r"tower\.preset: KerasHub does not load a backbone from",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_by_field(self, part, message):
        assert re.search(rf"^inputs\.probe(\.|: ){message}", refused(part()))

    def test_drawn_anew_and_frozen_it_would_never_learn(self):
        with pytest.raises(ValueError, match="trainable must be true if weights is false"):
            PresetTower(preset="any", weights=False)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: sound(case.text_preset(), 2000),
                r"tower\.preset: must have a network that reads audio alone, .* BertBackbone",
            ),
            (
                lambda: sound(case.whisper_preset(), 2000, 1.5),
                r"seconds: must be 0 to 1 for the preset .* received 1\.5$",
            ),
            (
                lambda: sound(case.moonshine_preset(), 4000, 0.05),
                r"seconds: must be 0\.1 to 64 for the preset .* received 0\.05$",
            ),
            (
                lambda: sound(case.whisper_preset(), 16000),
                r"sample_rate: must be 2000, .* received 16000$",
            ),
            (
                lambda: sound(case.moonshine_preset(False), 16000),
                r"tower\.preset: must have an AudioConverter, which provides its features, ",
            ),
        ],
    )
    def test_a_sound_that_does_not_fit_is_refused_by_field(self, make, message):
        assert re.search(rf"^inputs\.probe\.{message}", refused(make()))

    def test_a_missing_folder(self):
        assert "nothing is at '/no/such'" in refused(text("/no/such"), FileNotFoundError)

    def test_a_tokenizer_with_more_ids_than_the_preset_knows(self):
        config = contract.with_input(text(case.text_preset()))
        schema = contract.schema_of(config)
        schema.inputs["probe"] = Subwords(tokenizer="preset", layer={}, assets={}, size=13)
        with pytest.raises(
            ValueError,
            match=r"^inputs\.probe\.tokenizer: must have at most the 12 ids .* received preset with 13$",
        ):
            build_model(config, schema)


@pytest.mark.parametrize("kind", ["ResNet", "EfficientNet", "MobileNet", "CSPNet"])
def test_a_convolutional_network_reads_pixels_as_its_converter_gives_them(kind, tmp_path):
    preset = case.image_family(kind)
    part = image(PresetTower(preset=preset), 16, 3)
    rows, whole = rows_of(part, 2), hub().models.Backbone.from_preset(preset)
    reference = whole(
        np.asarray(hub().layers.ImageConverter.from_preset(preset)(rows["probe"] * 255))
    ).numpy()
    np.testing.assert_allclose(vector(part, rows), reference.mean((1, 2)), rtol=1e-3, atol=1e-5)
    model = built(part)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(rows)["label"], model(rows)["label"], rtol=1e-5)
    # what is frozen stays so
    assert len(again.trainable_weights) == len(model.trainable_weights) == 6


@pytest.mark.parametrize(
    ("kind", "preprocessor"),
    [("DistilBert", "TextClassifier"), ("Roberta", "TextClassifier"), ("GPT2", "")],
)
def test_a_text_goes_through_the_tokenizer_that_comes_with_the_preset(kind, preprocessor):
    preset, texts = case.text_family(kind), TEXTS
    theirs = getattr(hub().models, f"{kind}{preprocessor}Preprocessor").from_preset(
        preset, sequence_length=8
    )(texts)
    ids, found, _ = read(
        TextInput(max_tokens=8, tower=PresetTower(preset=preset, pooling="max")), texts
    )
    np.testing.assert_array_equal(ids, theirs["token_ids"])
    np.testing.assert_array_equal(found["mask"], theirs["padding_mask"])
    reference = np.asarray(hub().models.Backbone.from_preset(preset)(theirs))
    np.testing.assert_allclose(found["tokens"], reference, rtol=1e-4, atol=1e-5)
    alone = [
        row[there].max(0) for row, there in zip(reference, np.asarray(theirs["padding_mask"], bool))
    ]
    np.testing.assert_allclose(found["vector"], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["Bart", "T5"])
def test_of_an_encoder_and_a_decoder_the_encoder_reads_a_text(kind):
    preset = case.text_family(kind)
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

    def test_clip_reads_a_text_up_to_the_token_that_closes_it(self):
        preset = case.pair_preset("CLIP")
        whole, theirs = hub().models.Backbone.from_preset(preset), prompts("CLIP", 12)
        ids, found, config = read(
            TextInput(max_tokens=12, tower=PresetTower(preset=preset, pooling="last")), CASED
        )
        np.testing.assert_array_equal(ids, theirs["token_ids"])
        np.testing.assert_array_equal(found["mask"], theirs["padding_mask"])
        pooled = whole.text_pooler(
            whole.text_encoder({"token_ids": theirs["token_ids"]}), theirs["token_ids"]
        )
        np.testing.assert_allclose(found["vector"], pooled, rtol=1e-4, atol=1e-5)
        assert only(config, whole.text_encoder)

    def test_siglip_reads_a_text_without_punctuation_and_pools_itself(self):
        preset = case.pair_preset("SigLIP")
        whole, theirs = hub().models.Backbone.from_preset(preset), prompts("SigLIP", 12)
        ids, found, config = read(TextInput(max_tokens=12, tower=PresetTower(preset=preset)), CASED)
        np.testing.assert_array_equal(ids, theirs["token_ids"])
        np.testing.assert_allclose(
            found["vector"], whole.get_text_embeddings(theirs["token_ids"]), rtol=1e-4, atol=1e-5
        )
        assert found["tokens"].shape == (len(CASED), 1, 4)
        assert only(config, whole.text_encoder)

    @pytest.mark.parametrize("kind", ["CLIP", "SigLIP"])
    def test_an_image(self, kind):
        part = image(PresetTower(preset=case.pair_preset(kind), pooling="first"), 16, 3)
        rows, whole = rows_of(part, 2), hub().models.Backbone.from_preset(case.pair_preset(kind))
        pixels = hub().layers.ImageConverter.from_preset(case.pair_preset(kind))(
            rows["probe"] * 255
        )
        reference = np.asarray(whole.vision_encoder({"images": np.asarray(pixels)}))
        np.testing.assert_allclose(
            vector(part, rows),
            reference[:, 0] if kind == "CLIP" else reference,
            rtol=1e-4,
            atol=1e-5,
        )
        assert only(contract.with_input(part), whole.vision_encoder)

    @pytest.mark.parametrize(
        ("kind", "count", "rule"), [("SigLIP", 8, "must be 12"), ("CLIP", 13, "must be at most 12")]
    )
    def test_texts_of_another_length(self, kind, count, rule):
        assert re.search(
            rf"^inputs\.probe\.max_tokens: {rule} .*received {count}$",
            refused(text(case.pair_preset(kind), count)),
        )


def test_of_a_pyramid_the_deepest_map_is_taken():
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


def test_a_number_of_patches_that_a_trace_does_not_show(monkeypatch):
    network = hub().models.DINOV3Backbone(
        8, 1, 8, 2, 8, image_shape=(16, 16, 3), use_mask_token=False
    )
    monkeypatch.setattr(hub().models.Backbone, "from_preset", lambda *_, **__: network)
    part = image(PresetTower(preset=case.patch_preset()), 16, 3)
    rows = rows_of(part, 2)
    pixels = hub().layers.ImageConverter.from_preset(case.patch_preset())(rows["probe"] * 255)
    np.testing.assert_allclose(
        vector(part, rows), network(np.asarray(pixels)).numpy().mean(1), rtol=1e-4, atol=1e-5
    )


def test_a_preset_of_t5_from_a_table_to_a_served_model(tmp_path):
    table = pd.DataFrame({"title": [*TEXTS, None] * 4, "label": ["a", "b"] * 14})
    part = TextInput(max_tokens=8, tower=PresetTower(preset=case.text_family("T5"), trainable=True))
    config = Config(inputs={"title": part}, heads={"label": ClassificationHead()})
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
def test_padding_is_what_stands_at_the_end_but_for_a_token_that_closes_the_text(closed, third):
    mask = PaddingMask(0, closed)(np.array([[5, 0, 7, 0, 0], [0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(mask, [[True, True, True, third, False], [False] * 5])


def test_a_tower_drawn_anew_reads_a_token_with_the_number_of_padding():
    part = TextInput(
        max_tokens=4,
        tokenizer=PresetTokenizer(preset="any"),
        tower=LSTMTower(embedding_dim=4, units=3),
    )
    config = contract.with_input(part)
    schema = contract.schema_of(config)
    schema.inputs["probe"] = Subwords(
        tokenizer="preset", layer={}, assets={}, size=9, padding=0, end=8
    )
    rows = rows_of(part, 2) | {"probe": np.array([[3, 0, 8, 0], [3, 8, 0, 0]], "int32")}
    exclaimed, plain = embeddings(build_model(config, schema))(rows)["probe"].numpy()
    assert np.abs(exclaimed - plain).max() > 1e-3


class TestSpeech:
    def test_whisper_encodes_what_its_converter_makes_of_a_clip(self):
        part, whole = (
            sound(case.whisper_preset(), 2000, 0.41),
            hub().models.Backbone.from_preset(case.whisper_preset()),
        )
        rows = shortened(rows_of(part, 2), 420)
        features = np.asarray(
            hub().layers.AudioConverter.from_preset(case.whisper_preset())(rows["probe"])
        )
        tokens = whole({"encoder_features": features, **decoder(2)})[
            "encoder_sequence_output"
        ].numpy()
        # 820 and 420 samples, a token each 40
        expected = [tokens[0, :21].mean(0), tokens[1, :11].mean(0)]
        np.testing.assert_allclose(vector(part, rows), expected, rtol=1e-4, atol=1e-5)
        assert towers(part)(rows)["probe"]["tokens"].shape == (2, 21, 4)

    def test_moonshine_knows_the_silence_behind_a_sound(self):
        part, whole = (
            sound(case.moonshine_preset(), 4000, 0.7),
            hub().models.Backbone.from_preset(case.moonshine_preset()),
        )
        rows = shortened(rows_of(part, 3), 1662)
        there = np.arange(2800) < np.array([[2800], [1662], [2800]])
        values = np.asarray(
            hub().layers.AudioConverter.from_preset(case.moonshine_preset())(rows["probe"])
        )
        answer = whole(
            {"encoder_input_values": values, "encoder_padding_mask": there, **decoder(3)}
        )
        tokens, mask = (
            answer["encoder_sequence_output"].numpy(),
            answer["encoder_attention_mask"].numpy(),
        )
        np.testing.assert_array_equal(mask.sum(1), [5, 2, 5])
        found = towers(part)(rows)["probe"]
        np.testing.assert_array_equal(found["mask"], mask)
        np.testing.assert_allclose(found["tokens"], tokens, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["vector"][1], tokens[1, :2].mean(0), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("samples", [0, 1, 894, 895, 1278, 1279, 2800])
    def test_the_tokens_of_moonshine_are_as_many_as_kerashub_counts(self, samples):
        from keras_hub.src.models.moonshine.moonshine_backbone import compute_output_lengths

        part = sound(case.moonshine_preset(), 4000, 0.7)
        rows = {name: value[1:] for name, value in shortened(rows_of(part, 2), samples).items()}
        mask = towers(part)(rows)["probe"]["mask"].numpy()
        np.testing.assert_array_equal(
            mask.sum(), max(1, compute_output_lengths(np.array([samples]))[0])
        )

    def test_what_whisper_never_trains_is_not_trained(self):
        part = sound(case.whisper_preset(), 2000, trainable=True)
        assert [weight.path for weight in built(part).non_trainable_weights] == [
            "encoder_position_embedding/embeddings"
        ]

    def test_the_decoder_is_left_out(self):
        for part in (sound(case.whisper_preset(), 2000), sound(case.moonshine_preset(), 4000)):
            assert not [
                weight
                for weight in built(part).weights
                if "decoder" in weight.path or "token_embedding/" in weight.path
            ]


def read(part, texts):
    """A text's ids, what its tower makes of them, and the configuration."""
    config = contract.with_input(part)
    stats = fit_subwords("inputs.probe.tokenizer", part.tokenizer, None)
    schema = contract.schema_of(config).model_copy(
        update={"inputs": contract.schema_of(config).inputs | {"probe": stats}}
    )
    features, _ = Preprocessor(config, schema).features(
        {"probe": tf.constant(texts), "other": tf.zeros(len(texts))}
    )
    model = build_towers(config, schema)
    return features["probe"], model({name: features[name] for name in model.input})["probe"], config


def prompts(kind, length):
    """What KerasHub's own preprocessor of a pair makes of `CASED`."""
    made = getattr(hub().models, f"{kind}Preprocessor").from_preset(
        case.pair_preset(kind), sequence_length=length
    )
    return made({"prompts": CASED, "images": np.zeros((len(CASED), 16, 16, 3))})


def only(config, network):
    """Whether the tower has the weights of this network and no others."""
    return (
        build_model(config, contract.schema_of(config)).get_layer("probe_network").count_params()
        == network.count_params()
    )


def hub():
    import keras_hub

    return keras_hub


def decoder(rows):
    return {
        "decoder_token_ids": np.ones((rows, 1), "int32"),
        "decoder_padding_mask": np.ones((rows, 1), "int32"),
    }


def shortened(rows, samples):
    """The same, the second clip silent after so many samples."""
    clips = rows["probe"].copy()
    clips[1, samples:] = 0
    return rows | {"probe": clips}


def towers(part):
    config = contract.with_input(part)
    return build_towers(config, contract.schema_of(config))


def sound(preset, sample_rate, seconds=0.5, **tower):
    return AudioInput(
        sample_rate=sample_rate, seconds=seconds, tower=PresetTower(preset=preset, **tower)
    )


def text(preset, max_tokens=4):
    return TextInput(max_tokens=max_tokens, tower=PresetTower(preset=preset))
