"""The encoder of a KerasHub speech model, Whisper or Moonshine, as the tower of a clip."""

import warnings
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from multimodal_tf.config import PresetTower
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.audio import ClipInput
from multimodal_tf.models.towers.audio_mask import AudioMask, clip_length
from multimodal_tf.models.towers.backbone import (
    BackbonePart,
    Tensors,
    inputs,
    load_backbone,
    load_converter,
    unreadable,
)
from multimodal_tf.models.towers.encoding import Encoding
from multimodal_tf.models.towers.pretrained import encode_output, run

# the inputs of Whisper's and of Moonshine's backbone
_SPECTROGRAM, _SAMPLES = "encoder_features", "encoder_input_values"
_ENCODED = "encoder_sequence_output"
# samples between two tokens of Moonshine, and read by one: three convolutions without padding
_STRIDE, _WINDOW = 384, 895
# Moonshine was trained on these lengths; its converter warns of others.
_SECONDS = (0.1, 64.0)


@keras.saving.register_keras_serializable("multimodal_tf")
class SpeechFeatures(Layer):
    """The inputs of a speech model's backbone, computed by the preset's own converter.

    Args:
        converter: `keras_hub.layers.AudioConverter`.

    Call:
        `x` is float32 `(batch, samples)`. Returns a dict: the converter's output under the names of
        Whisper and of Moonshine, and `encoder_padding_mask`, bool `(batch, samples)`, False in the
        silence that pads the clip, but True at least in the samples of one token.
    """

    output_keys = (_SPECTROGRAM, _SAMPLES, "encoder_padding_mask")

    def __init__(self, converter: layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.converter = converter
        # Called eagerly, the converter would run in NumPy.
        self._graph = tf.function(lambda x: converter(x), autograph=False)
        self.built = True

    def call(self, x: KerasTensor) -> Tensors:
        # Moonshine's converter warns while it is traced, whatever the length.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* duration must be")
            features = self._graph(x)
        length = ops.expand_dims(ops.maximum(clip_length(x), _WINDOW), 1)
        mask = ops.arange(x.shape[1], dtype="int32") < length
        return dict(zip(self.output_keys, (features, features, mask)))

    def get_config(self) -> dict[str, Any]:
        converter = keras.saving.serialize_keras_object(self.converter)
        return {**super().get_config(), "converter": converter}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SpeechFeatures":
        return cls(keras.saving.deserialize_keras_object(config.pop("converter")), **config)


def preset_audio(tower: PresetTower, given: ClipInput, last: str) -> Encoding:
    """The encoder of a speech model from a KerasHub preset, as `preset.preset_text`.

    It runs in float32, and its features are computed by the preset's own `AudioConverter`.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, samples)`, -1 to 1.

    Returns:
        `Encoding`: one token per 0.02 s (Whisper) or 0.024 s (Moonshine), valid up to the end of
        the clip.

    Raises:
        FileNotFoundError: there is no such preset.
        ValueError: it does not load, is no speech model, or does not take clips of this length or
            sample rate; or it lacks its converter.
    """
    name = given.name
    field = f"inputs.{name}.tower.preset"
    # KerasHub 0.32's Moonshine fails in mixed precision.
    backbone = load_backbone(tower, field, "float32")
    names = inputs(backbone).keys()
    whisper = _SPECTROGRAM in names
    if not whisper and _SAMPLES not in names:
        raise unreadable(backbone, tower, given.config, name)
    converter = load_converter("AudioConverter", tower, field, "its features")
    if given.config.sample_rate != converter.sampling_rate:
        raise ValueError(
            f"inputs.{name}.sample_rate: must be {converter.sampling_rate}, that of the preset"
            f" {tower.preset!r}, received {given.config.sample_rate}"
        )
    stride, window = (2 * converter.stride, 1) if whisper else (_STRIDE, _WINDOW)
    limits = (0.0, converter.max_audio_length) if whisper else _SECONDS
    _check_seconds(tower, given, limits)
    # Whisper pads every clip to 30 seconds. Tokens beyond the input's length are left out.
    length = -(-given.config.samples // stride) if whisper else None
    prepare = SpeechFeatures(converter, name=f"{name}_features", dtype="float32")
    part = BackbonePart(backbone, _ENCODED, prepare, length, name=f"{name}_backbone")
    y = run(part, given.x, given.present, name, tower.trainable)
    mask = AudioMask(stride, y.shape[1], window=window, name=f"{name}_mask", dtype="float32")
    return encode_output(tower, y, mask(given.x), name, last)


def _check_seconds(tower: PresetTower, given: ClipInput, limits: tuple[float, float]) -> None:
    (shortest, longest), seconds = limits, given.config.seconds
    if not shortest <= seconds <= longest:
        raise ValueError(
            f"inputs.{given.name}.seconds: must be {shortest:g} to {longest:g} for the preset"
            f" {tower.preset!r}, received {seconds:g}"
        )
