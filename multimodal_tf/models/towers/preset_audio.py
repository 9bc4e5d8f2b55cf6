"""Sounds as the encoders of KerasHub's speech models take them."""

import warnings

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.towers import backbone as backbones
from multimodal_tf.models.towers.audio_mask import SoundMask, sound_length
from multimodal_tf.models.towers.pretrained import run

# what Whisper's backbone takes, and what Moonshine's does
_SPECTROGRAM, _SAMPLES = "encoder_features", "encoder_input_values"
_ENCODED = "encoder_sequence_output"
# samples from one token of Moonshine to the next, and in each: three convolutions without padding
_STRIDE, _WINDOW = 384, 895
# what Moonshine was trained with; its converter warns of others
_SECONDS = (0.1, 64.0)


@keras.saving.register_keras_serializable("multimodal_tf")
class SoundFeatures(layers.Layer):
    """What a speech model's backbone takes, made by the preset's own converter.

    Args:
        converter: `keras_hub.layers.AudioConverter`.

    Call:
        `x` is float32 `(batch, samples)`. Returns a dict: the converter's answer under the name
        that Whisper has for it, and under Moonshine's, and `encoder_padding_mask`, bool `(batch,
        samples)`, false in the silence that fills up the clip; true at least in the samples of one
        token.
    """

    makes = (_SPECTROGRAM, _SAMPLES, "encoder_padding_mask")

    def __init__(self, converter, **kwargs):
        super().__init__(**kwargs)
        self.converter = converter
        # eagerly, the converter would take another way, by NumPy
        self._graph = tf.function(lambda x: converter(x), autograph=False)
        self.built = True

    def call(self, x):
        # Moonshine's converter warns while it is traced, whatever the length
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Audio duration must be")
            features = self._graph(x)
        there = ops.arange(x.shape[1], dtype="int32") < ops.expand_dims(
            ops.maximum(sound_length(x), _WINDOW), 1
        )
        return dict(zip(self.makes, (features, features, there)))

    def get_config(self):
        return super().get_config() | {
            "converter": keras.saving.serialize_keras_object(self.converter)
        }

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("converter")), **config)


def sound(part, stats, x, present, name, backbone):
    """The answer of a speech model's encoder, and which of its tokens hold sound; see
    `preset.preset`.
    """
    names = backbones.inputs(backbone).keys()
    if _SPECTROGRAM not in names and _SAMPLES not in names:
        raise backbones.unread(backbone, part, name)
    converter = backbones.converter(
        "AudioConverter", part.tower, f"inputs.{name}.tower.preset", "what it takes"
    )
    if part.sample_rate != converter.sampling_rate:
        raise ValueError(
            f"inputs.{name}.sample_rate: must be {converter.sampling_rate}, which the preset {part.tower.preset!r} is for, received "
            f"{part.sample_rate}"
        )
    stride, window = (2 * converter.stride, 1) if _SPECTROGRAM in names else (_STRIDE, _WINDOW)
    _check_seconds(
        part, name, (0.0, converter.max_audio_length) if _SPECTROGRAM in names else _SECONDS
    )
    # Whisper fills up every clip to 30 seconds: the tokens of what is silent in all clips are left
    # out
    length = -(-part.samples // stride) if _SPECTROGRAM in names else None
    prepare = SoundFeatures(converter, name=f"{name}_features", dtype="float32")
    answer = run(
        backbones.BackbonePart(backbone, _ENCODED, prepare, length, name=f"{name}_backbone"),
        x,
        present,
        name,
        part.tower.trainable,
    )
    return answer, SoundMask(
        stride, answer.shape[1], window=window, name=f"{name}_mask", dtype="float32"
    )(x)


def _check_seconds(part, name, limits):
    shortest, longest = limits
    if not shortest <= part.seconds <= longest:
        raise ValueError(
            f"inputs.{name}.seconds: must be {shortest:g} to {longest:g} for the preset {part.tower.preset!r}, received {part.seconds:g}"
        )
