"""Presets of KerasHub as towers: what they compute is what KerasHub computes with its own preprocessing."""

import re

import contract
import keras
import numpy as np
import pretrained_case as case
import pytest
import tensorflow as tf
from pretrained_case import built, image, refused, rows_of, vector

from multimodal_tf.config import AudioInput, LSTMTower, PresetTokenizer, PresetTower, TextInput
from multimodal_tf.data.preprocess import Preprocessor
from multimodal_tf.data.subwords import learn_subwords
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.text import NotPadding
from multimodal_tf.schema import Subwords


class TestPreset:
    def test_a_text_is_what_the_backbone_makes_of_it(self):
        import keras_hub

        part = TextInput(max_tokens=4, tower=PresetTower(preset=case.text_preset()))
        rows = rows_of(part, 1) | {"probe": np.array([[3, 0, 4, 2]], "int32")}  # 2 is padding
        given = {"token_ids": rows["probe"], "padding_mask": rows["probe"] != 2, "segment_ids": rows["probe"] * 0}
        reference = keras_hub.models.Backbone.from_preset(case.text_preset())(given)["sequence_output"].numpy()
        np.testing.assert_allclose(vector(part, rows), reference[:, :3].mean(1), rtol=1e-4, atol=1e-6)

    def test_an_image_is_scaled_as_the_preset_says(self):
        import keras_hub

        part = image(PresetTower(preset=case.image_preset(), pooling="max"), 16, 3)
        rows = rows_of(part, 2)
        pixels = keras_hub.layers.ImageConverter.from_preset(case.image_preset())(rows["probe"] * 255)
        reference = keras_hub.models.Backbone.from_preset(case.image_preset())(np.asarray(pixels)).numpy()
        np.testing.assert_allclose(vector(part, rows), reference.max((1, 2)), rtol=1e-4, atol=1e-5)

    def test_without_weights_it_is_the_architecture(self):
        one, other = (
            image(PresetTower(preset=case.image_preset(scaled), weights=weights, trainable=True), 16, 3)
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
                r"tower\.preset: must be of a kind that reads image, .* BertBackbone",
            ),
            (lambda: text(case.image_preset()), r"tower\.preset: must be of a kind that reads text, .* DenseNetBackbone"),
            (lambda: text(case.text_preset(), max_tokens=9), r"max_tokens: must be at most 8 for the preset, received 9$"),
            (lambda: image(PresetTower(preset=case.image_preset(scaled=False)), 8, 3), r"tower\.preset: must have an ImageConverter"),
            (lambda: text(case.image_module()), r"tower\.preset: KerasHub makes no backbone of"),
        ],
    )
    def test_what_does_not_fit_is_refused_by_field(self, part, message):
        assert re.search(rf"^inputs\.probe(\.|: ){message}", refused(part()))

    def test_drawn_anew_and_frozen_it_would_never_learn(self):
        with pytest.raises(ValueError, match="trainable must be true where weights is false"):
            PresetTower(preset="any", weights=False)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: sound(case.text_preset(), 2000), r"tower\.preset: must be of a kind that reads audio, .* BertBackbone"),
            (lambda: sound(case.whisper_preset(), 2000, 1.5), r"seconds: must be 0 to 1 for the preset .* received 1\.5$"),
            (lambda: sound(case.moonshine_preset(), 4000, 0.05), r"seconds: must be 0\.1 to 64 for the preset .* received 0\.05$"),
            (lambda: sound(case.whisper_preset(), 16000), r"sample_rate: must be 2000, .* received 16000$"),
            (lambda: sound(case.moonshine_preset(False), 16000), r"tower\.preset: must have an AudioConverter, which says what it takes, "),
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
        with pytest.raises(ValueError, match=r"^inputs\.probe\.tokenizer: must have at most the 12 ids .* received preset with 13$"):
            build_model(config, schema)


@pytest.mark.parametrize("kind", ["ResNet", "EfficientNet", "MobileNet", "CSPNet"])
def test_a_convolutional_network_reads_pixels_as_its_converter_gives_them(kind, tmp_path):
    preset = case.image_family(kind)
    part = image(PresetTower(preset=preset), 16, 3)
    rows, whole = rows_of(part, 2), hub().models.Backbone.from_preset(preset)
    reference = whole(np.asarray(hub().layers.ImageConverter.from_preset(preset)(rows["probe"] * 255))).numpy()
    np.testing.assert_allclose(vector(part, rows), reference.mean((1, 2)), rtol=1e-3, atol=1e-5)
    model = built(part)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(rows)["label"], model(rows)["label"], rtol=1e-5)
    assert len(again.trainable_weights) == len(model.trainable_weights) == 6  # what is frozen stays so


@pytest.mark.parametrize(("kind", "preprocessor"), [("DistilBert", "TextClassifier"), ("Roberta", "TextClassifier"), ("GPT2", "")])
def test_a_text_goes_through_the_tokenizer_that_comes_with_the_preset(kind, preprocessor):
    preset, texts = case.text_family(kind), ["a red bird", "!", "red!!", "!a!", "a bird sings a red bird sings", "ringside bards"]
    part = TextInput(max_tokens=8, tower=PresetTower(preset=preset, pooling="max"))
    config = contract.with_input(part)
    learnt = learn_subwords("inputs.probe.tokenizer", part.tokenizer, None)
    schema = contract.schema_of(config).model_copy(update={"inputs": contract.schema_of(config).inputs | {"probe": learnt}})
    features, _ = Preprocessor(config, schema).features({"probe": tf.constant(texts), "other": tf.zeros(len(texts))})
    theirs = getattr(hub().models, f"{kind}{preprocessor}Preprocessor").from_preset(preset, sequence_length=8)(texts)
    np.testing.assert_array_equal(features["probe"], theirs["token_ids"])
    found = build_towers(config, schema)({name: features[name] for name in build_towers(config, schema).input})["probe"]
    np.testing.assert_array_equal(found["mask"], theirs["padding_mask"])
    reference = np.asarray(hub().models.Backbone.from_preset(preset)(theirs))
    np.testing.assert_allclose(found["tokens"], reference, rtol=1e-4, atol=1e-5)
    alone = [row[there].max(0) for row, there in zip(reference, np.asarray(theirs["padding_mask"], bool))]
    np.testing.assert_allclose(found["vector"], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("closed", "third"), [(False, False), (True, True)])
def test_padding_is_what_stands_at_the_end_but_for_a_token_that_closes_the_text(closed, third):
    mask = NotPadding(0, closed)(np.array([[5, 0, 7, 0, 0], [0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(mask, [[True, True, True, third, False], [False] * 5])


def test_a_tower_drawn_anew_reads_a_token_with_the_number_of_padding():
    part = TextInput(max_tokens=4, tokenizer=PresetTokenizer(preset="any"), tower=LSTMTower(embedding_dim=4, units=3))
    config = contract.with_input(part)
    schema = contract.schema_of(config)
    schema.inputs["probe"] = Subwords(tokenizer="preset", layer={}, assets={}, size=9, padding=0, end=8)
    rows = rows_of(part, 2) | {"probe": np.array([[3, 0, 8, 0], [3, 8, 0, 0]], "int32")}
    exclaimed, plain = embeddings(build_model(config, schema))(rows)["probe"].numpy()
    assert np.abs(exclaimed - plain).max() > 1e-3


class TestSpeech:
    def test_whisper_encodes_what_its_converter_makes_of_a_clip(self):
        part, whole = sound(case.whisper_preset(), 2000, 0.41), hub().models.Backbone.from_preset(case.whisper_preset())
        rows = shortened(rows_of(part, 2), 420)
        features = np.asarray(hub().layers.AudioConverter.from_preset(case.whisper_preset())(rows["probe"]))
        tokens = whole({"encoder_features": features, **decoder(2)})["encoder_sequence_output"].numpy()
        expected = [tokens[0, :21].mean(0), tokens[1, :11].mean(0)]  # 820 and 420 samples, a token each 40
        np.testing.assert_allclose(vector(part, rows), expected, rtol=1e-4, atol=1e-5)
        assert towers(part)(rows)["probe"]["tokens"].shape == (2, 21, 4)

    def test_moonshine_knows_the_silence_behind_a_sound(self):
        part, whole = sound(case.moonshine_preset(), 4000, 0.7), hub().models.Backbone.from_preset(case.moonshine_preset())
        rows = shortened(rows_of(part, 3), 1662)
        there = np.arange(2800) < np.array([[2800], [1662], [2800]])
        values = np.asarray(hub().layers.AudioConverter.from_preset(case.moonshine_preset())(rows["probe"]))
        answer = whole({"encoder_input_values": values, "encoder_padding_mask": there, **decoder(3)})
        tokens, mask = answer["encoder_sequence_output"].numpy(), answer["encoder_attention_mask"].numpy()
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
        np.testing.assert_array_equal(mask.sum(), max(1, compute_output_lengths(np.array([samples]))[0]))

    def test_what_whisper_never_trains_is_not_trained(self):
        part = sound(case.whisper_preset(), 2000, trainable=True)
        assert [weight.path for weight in built(part).non_trainable_weights] == ["encoder_position_embedding/embeddings"]

    def test_the_decoder_is_left_out(self):
        for part in (sound(case.whisper_preset(), 2000), sound(case.moonshine_preset(), 4000)):
            assert not [weight for weight in built(part).weights if "decoder" in weight.path or "token_embedding/" in weight.path]


def hub():
    import keras_hub

    return keras_hub


def decoder(rows):
    return {"decoder_token_ids": np.ones((rows, 1), "int32"), "decoder_padding_mask": np.ones((rows, 1), "int32")}


def shortened(rows, samples):
    """The same, the second clip silent after so many samples."""
    clips = rows["probe"].copy()
    clips[1, samples:] = 0
    return rows | {"probe": clips}


def towers(part):
    config = contract.with_input(part)
    return build_towers(config, contract.schema_of(config))


def sound(preset, sample_rate, seconds=0.5, **tower):
    return AudioInput(sample_rate=sample_rate, seconds=seconds, tower=PresetTower(preset=preset, **tower))


def text(preset, max_tokens=4):
    return TextInput(max_tokens=max_tokens, tower=PresetTower(preset=preset))
