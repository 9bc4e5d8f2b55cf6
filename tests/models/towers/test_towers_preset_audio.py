"""KerasHub speech models as towers compute the same as KerasHub with its own preprocessing."""

import re

import contract
import numpy as np
import pytest
from one_input import built, refused, rows_of, vector

from multimodal_tf.config import AudioInput, PresetTower
from multimodal_tf.models import build_towers


class TestSpeech:
    def test_whisper_encodes_the_features_of_its_converter(self, pretrained):
        input_config, whole = (
            clip(pretrained.whisper_preset(), 2000, 0.41, length=None),
            hub().models.Backbone.from_preset(pretrained.whisper_preset()),
        )
        rows = shortened(rows_of(input_config, 2), 420)
        features = np.asarray(
            hub().layers.AudioConverter.from_preset(pretrained.whisper_preset())(rows["probe"])
        )
        tokens = whole({"encoder_features": features, **decoder(2)})[
            "encoder_sequence_output"
        ].numpy()
        # 820 and 420 samples, one token per 40
        expected = [tokens[0, :21].mean(0), tokens[1, :11].mean(0)]
        np.testing.assert_allclose(vector(input_config, rows), expected, rtol=1e-4, atol=1e-5)
        assert towers(input_config)(rows)["probe"]["tokens"].shape == (2, 21, 4)

    def test_moonshine_masks_the_padding_of_a_clip(self, pretrained):
        input_config, whole = (
            clip(pretrained.moonshine_preset(), 4000, 0.7, length=None),
            hub().models.Backbone.from_preset(pretrained.moonshine_preset()),
        )
        rows = shortened(rows_of(input_config, 3), 1662)
        mask = np.arange(2800) < np.array([[2800], [1662], [2800]])
        values = np.asarray(
            hub().layers.AudioConverter.from_preset(pretrained.moonshine_preset())(rows["probe"])
        )
        output = whole({"encoder_input_values": values, "encoder_padding_mask": mask, **decoder(3)})
        tokens, mask = (
            output["encoder_sequence_output"].numpy(),
            output["encoder_attention_mask"].numpy(),
        )
        np.testing.assert_array_equal(mask.sum(1), [5, 2, 5])
        found = towers(input_config)(rows)["probe"]
        np.testing.assert_array_equal(found["mask"], mask)
        np.testing.assert_allclose(found["tokens"], tokens, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["vector"][1], tokens[1, :2].mean(0), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("samples", [0, 1, 894, 895, 1278, 1279, 2800])
    def test_moonshine_has_as_many_tokens_as_in_keras_hub(self, samples, pretrained):
        from keras_hub.src.models.moonshine.moonshine_backbone import compute_output_lengths

        input_config = clip(pretrained.moonshine_preset(), 4000, 0.7)
        rows = {
            name: value[1:] for name, value in shortened(rows_of(input_config, 2), samples).items()
        }
        mask = towers(input_config)(rows)["probe"]["mask"].numpy()
        np.testing.assert_array_equal(
            mask.sum(), max(1, compute_output_lengths(np.array([samples]))[0])
        )

    def test_whisper_s_positions_are_not_trained(self, pretrained):
        input_config = clip(pretrained.whisper_preset(), 2000, trainable=True)
        assert [weight.path for weight in built(input_config).non_trainable_weights] == [
            "encoder_position_embedding/embeddings"
        ]

    def test_the_decoder_is_left_out(self, pretrained):
        for input_config in (
            clip(pretrained.whisper_preset(), 2000),
            clip(pretrained.moonshine_preset(), 4000),
        ):
            assert not [
                weight
                for weight in built(input_config).weights
                if "decoder" in weight.path or "token_embedding/" in weight.path
            ]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda pretrained: clip(pretrained.text_preset(), 2000),
                r"tower\.preset: must have a network that reads audio alone, .* BertBackbone",
            ),
            (
                lambda pretrained: clip(pretrained.whisper_preset(), 2000, 1.5),
                r"seconds: must be 0 to 1 for the preset .* received 1\.5$",
            ),
            (
                lambda pretrained: clip(pretrained.moonshine_preset(), 4000, 0.05),
                r"seconds: must be 0\.1 to 64 for the preset .* received 0\.05$",
            ),
            (
                lambda pretrained: clip(pretrained.whisper_preset(), 16000),
                r"sample_rate: must be 2000, .* received 16000$",
            ),
            (
                lambda pretrained: clip(pretrained.moonshine_preset(False), 16000),
                r"tower\.preset: must have an AudioConverter, which provides its features, ",
            ),
        ],
    )
    def test_a_clip_that_does_not_fit_is_refused_by_field(self, make, message, pretrained):
        assert re.search(rf"^inputs\.probe\.{message}", refused(make(pretrained)))


def hub():
    import keras_hub

    return keras_hub


def decoder(rows):
    return {
        "decoder_token_ids": np.ones((rows, 1), "int32"),
        "decoder_padding_mask": np.ones((rows, 1), "int32"),
    }


def shortened(rows, samples):
    """Rows whose second clip is silent after `samples` samples."""
    clips = rows["probe"].copy()
    clips[1, samples:] = 0
    return rows | {"probe": clips}


def towers(input_config):
    config = contract.with_input(input_config)
    return build_towers(config, contract.schema_of(config))


def clip(preset, sample_rate, seconds=0.5, **tower):
    return AudioInput(
        sample_rate=sample_rate, seconds=seconds, tower=PresetTower(preset=preset, **tower)
    )
