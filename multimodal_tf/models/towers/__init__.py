"""Towers: one input to tokens and one vector, by functions over Keras tensors.

`encode_input` selects the function by the kind of input and the type of its tower; to add a tower,
add its function and a `case` here. All have the same arguments, `(tower, input_config, stats, x,
present, name, last)`, and return an `Encoding`:

- `tower`: the tower's own configuration.
- `input_config`: the configuration of the input.
- `stats`: what the schema holds for the input, or None.
- `x`: the input's Keras tensor; rows whose input is missing are zeros.
- `present`: float `(batch,)`, 1 or 0; None if the model does not know presence. It matters to
  layers that mix rows (batch normalization). A library's network runs on the present rows alone
  (`presence.MaskedNetwork`).
- `name`: the input's; the name of every layer begins with it and an underscore.
- `last`: the name of the last layer, whose output is the vector.

Recurrent towers also take `with_tokens`. If False and the vector is the final state, `tokens` and
`mask` are None and the last layer is Keras' plain `LSTM(units)`; the vector is the same.

Layers that lead only to tokens are no part of a model that does not use them.

Example:
    >>> import keras
    >>> from multimodal_tf.config import ImageInput
    >>> photo = keras.Input((96, 96, 3))
    >>> encoding = encode_input(ImageInput(), None, photo, None, "photo", "photo_vector")
    >>> keras.Model(photo, encoding.vector).output_shape, encoding.tokens.shape
    ((None, 128), (None, 36, 128))
"""

from typing import Any, assert_never

from keras import KerasTensor

from multimodal_tf.config import (
    ApplicationTower,
    AudioInput,
    BagTower,
    BooleanInput,
    CategoryInput,
    Conv3DTower,
    ConvTower,
    CRNNTower,
    DateInput,
    FeatureTransformerTower,
    FramesTower,
    GRUTower,
    ImageInput,
    Input,
    KerasTower,
    LSTMTower,
    MLPTower,
    NumberInput,
    PresetTower,
    ResNetTower,
    SavedModelTower,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TabularTower,
    TextInput,
    TransformerTower,
    VectorInput,
    VideoInput,
    ViTTower,
    WaveformTower,
)
from multimodal_tf.models.towers import audio, augment_audio, augment_image, tabular, text, video
from multimodal_tf.models.towers.application import application
from multimodal_tf.models.towers.encoding import Encoding
from multimodal_tf.models.towers.image import cnn
from multimodal_tf.models.towers.keras_file import keras_file
from multimodal_tf.models.towers.networks import resnet, vit
from multimodal_tf.models.towers.preset import preset_image, preset_text
from multimodal_tf.models.towers.preset_audio import preset_audio
from multimodal_tf.models.towers.saved_model import saved_model
from multimodal_tf.models.towers.tabular import TableColumn


def encode_input(
    input_config: Input,
    stats: Any,
    x: KerasTensor,
    present: KerasTensor | None,
    name: str,
    last: str,
    with_tokens: bool = True,
) -> Encoding:
    """Applies an input's augmentation, in training, and its tower.

    Args:
        input_config, x, present, name, last: as in the module's docstring.
        stats: what the schema holds for the input, as `schema.check_schema` has verified.
        with_tokens: bool. False: `tokens` and `mask` may be None.

    Raises:
        ValueError: the tower cannot be built for this input.
        FileNotFoundError: a file of pretrained weights does not exist.
    """
    match input_config:
        case ImageInput():
            x = augment_image.augment(input_config, x, name)
            return _encode_image(input_config, stats, x, present, name, last)
        case AudioInput():
            x = augment_audio.augment(input_config.augmentation, x, input_config.sample_rate, name)
            return _encode_audio(input_config, stats, x, present, name, last)
        case TextInput():
            return _encode_text(input_config, stats, x, present, name, last, with_tokens)
        case VideoInput():
            return _encode_video(input_config, stats, x, present, name, last, with_tokens)
        case NumberInput() | CategoryInput() | BooleanInput() | DateInput():
            tower = input_config.tower
            return tabular.column(tower, input_config, stats, x, present, name, last)
        case VectorInput():
            return tabular.dense(input_config.tower, x, name, last)
        case _:
            assert_never(input_config)


def encode_columns(
    tower: TabularTower, columns: dict[str, TableColumn], name: str, last: str
) -> Encoding:
    """Applies one tower to several columns.

    Args:
        tower: `config.MLPTower` or `config.FeatureTransformerTower`.
        columns: by name, not empty; all have presence flags, or none has.
        name, last: as in the module's docstring.
    """
    match tower:
        case MLPTower():
            return tabular.mlp(tower, columns, name, last)
        case FeatureTransformerTower():
            return tabular.feature_transformer(tower, columns, name, last)
        case _:
            assert_never(tower)


def _encode_image(
    input_config: ImageInput,
    stats: Any,
    x: KerasTensor,
    present: KerasTensor | None,
    name: str,
    last: str,
) -> Encoding:
    arguments = (input_config, stats, x, present, name, last)
    match tower := input_config.tower:
        case ConvTower():
            return cnn(tower, *arguments)
        case ResNetTower():
            return resnet(tower, *arguments)
        case ApplicationTower():
            return application(tower, *arguments)
        case ViTTower():
            return vit(tower, *arguments)
        case PresetTower():
            return preset_image(tower, *arguments)
        case SavedModelTower():
            return saved_model(tower, *arguments)
        case KerasTower():
            return keras_file(tower, *arguments)
        case _:
            assert_never(tower)


def _encode_text(
    input_config: TextInput,
    stats: Any,
    x: KerasTensor,
    present: KerasTensor | None,
    name: str,
    last: str,
    with_tokens: bool,
) -> Encoding:
    arguments = (input_config, stats, x, present, name, last)
    match tower := input_config.tower:
        case BagTower():
            return text.bag(tower, *arguments)
        case LSTMTower():
            return text.lstm(tower, *arguments, with_tokens)
        case GRUTower():
            return text.gru(tower, *arguments, with_tokens)
        case TransformerTower():
            return text.transformer(tower, *arguments)
        case PresetTower():
            return preset_text(tower, *arguments)
        case SavedModelTower():
            return saved_model(tower, *arguments)
        case KerasTower():
            return keras_file(tower, *arguments)
        case _:
            assert_never(tower)


def _encode_audio(
    input_config: AudioInput,
    stats: Any,
    x: KerasTensor,
    present: KerasTensor | None,
    name: str,
    last: str,
) -> Encoding:
    arguments = (input_config, stats, x, present, name, last)
    match tower := input_config.tower:
        case SpectrogramTower():
            return audio.spectrogram_cnn(tower, *arguments)
        case CRNNTower():
            return audio.crnn(tower, *arguments)
        case SpectrogramTransformerTower():
            return audio.spectrogram_transformer(tower, *arguments)
        case WaveformTower():
            return audio.waveform_cnn(tower, *arguments)
        case PresetTower():
            return preset_audio(tower, *arguments)
        case SavedModelTower():
            return saved_model(tower, *arguments)
        case KerasTower():
            return keras_file(tower, *arguments)
        case _:
            assert_never(tower)


def _encode_video(
    input_config: VideoInput,
    stats: Any,
    x: KerasTensor,
    present: KerasTensor | None,
    name: str,
    last: str,
    with_tokens: bool,
) -> Encoding:
    arguments = (input_config, stats, x, present, name, last)
    match tower := input_config.tower:
        case Conv3DTower():
            return video.conv3d(tower, *arguments)
        case FramesTower():
            return video.frames(_encode_image, tower, *arguments, with_tokens)
        case _:
            assert_never(tower)
