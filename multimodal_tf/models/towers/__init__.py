"""Towers: one input to tokens and one vector, by functions over Keras tensors.

`encode_input` selects the function by the kind of input and the type of its tower; to add a tower,
add its function and a `case` here. All have the same arguments, `(tower, given, last)`, and return
an `Encoding`:

- `tower`: the tower's own configuration.
- `given`: `TowerInput`, the input's name, configuration, statistics, tensor and presence.
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
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.towers.image import cnn
from multimodal_tf.models.towers.keras_file import keras_file
from multimodal_tf.models.towers.networks import resnet, vit
from multimodal_tf.models.towers.preset import preset_image, preset_text
from multimodal_tf.models.towers.preset_audio import preset_audio
from multimodal_tf.models.towers.saved_model import saved_model
from multimodal_tf.models.towers.tabular import Columns, TabularInput


def augment_input(input_config: Input, x: KerasTensor, name: str) -> KerasTensor:
    """Applies an input's augmentation, in training; the same tensor where it has none.

    Args:
        input_config, x, name: as in `TowerInput`.

    Raises:
        ValueError: the augmentation does not fit the input.
    """
    match input_config:
        case ImageInput():
            return augment_image.augment(input_config, x, name)
        case AudioInput():
            rate = input_config.sample_rate
            return augment_audio.augment(input_config.augmentation, x, rate, name)
        case _:
            return x


def encode_input(
    input_config: Input,
    stats: Any,
    x: KerasTensor,
    present: KerasTensor | None,
    name: str,
    last: str,
    with_tokens: bool = True,
) -> Encoding:
    """Applies an input's tower.

    Args:
        input_config, x, present, name: as in `TowerInput`; `x` as `augment_input` returns it.
        stats: what the schema holds for the input, as `schema.check_schema` has verified.
        last: as in the module's docstring.
        with_tokens: bool. False: `tokens` and `mask` may be None.

    Raises:
        ValueError: the tower cannot be built for this input.
        FileNotFoundError: a file of pretrained weights does not exist.
    """
    match input_config:
        case ImageInput():
            return _encode_image(TowerInput(name, input_config, stats, x, present), last)
        case AudioInput():
            return _encode_audio(TowerInput(name, input_config, stats, x, present), last)
        case TextInput():
            text_given = TowerInput(name, input_config, stats, x, present)
            return _encode_text(text_given, last, with_tokens)
        case VideoInput():
            video_given = TowerInput(name, input_config, stats, x, present)
            return _encode_video(video_given, last, with_tokens)
        case NumberInput() | CategoryInput() | BooleanInput() | DateInput():
            column: TowerInput[TabularInput] = TowerInput(name, input_config, stats, x, present)
            return tabular.column(input_config.tower, column, last)
        case VectorInput():
            return tabular.dense(input_config.tower, x, name, last)
        case _:
            assert_never(input_config)


def encode_columns(tower: TabularTower, columns: Columns, name: str, last: str) -> Encoding:
    """Applies one tower to several columns.

    Args:
        tower: `config.MLPTower` or `config.FeatureTransformerTower`.
        columns: not empty; all have presence flags, or none has.
        name: str. The layers over all columns begin with it.
        last: as in the module's docstring.
    """
    match tower:
        case MLPTower():
            return tabular.mlp(tower, columns, name, last)
        case FeatureTransformerTower():
            return tabular.feature_transformer(tower, columns, name, last)
        case _:
            assert_never(tower)


def _encode_image(given: TowerInput[ImageInput], last: str) -> Encoding:
    match tower := given.config.tower:
        case ConvTower():
            return cnn(tower, given, last)
        case ResNetTower():
            return resnet(tower, given, last)
        case ApplicationTower():
            return application(tower, given, last)
        case ViTTower():
            return vit(tower, given, last)
        case PresetTower():
            return preset_image(tower, given, last)
        case SavedModelTower():
            return saved_model(tower, given, last)
        case KerasTower():
            return keras_file(tower, given, last)
        case _:
            assert_never(tower)


def _encode_text(given: TowerInput[TextInput], last: str, with_tokens: bool) -> Encoding:
    match tower := given.config.tower:
        case BagTower():
            return text.bag(tower, given, last)
        case LSTMTower():
            return text.lstm(tower, given, last, with_tokens)
        case GRUTower():
            return text.gru(tower, given, last, with_tokens)
        case TransformerTower():
            return text.transformer(tower, given, last)
        case PresetTower():
            return preset_text(tower, given, last)
        case SavedModelTower():
            return saved_model(tower, given, last)
        case KerasTower():
            return keras_file(tower, given, last)
        case _:
            assert_never(tower)


def _encode_audio(given: TowerInput[AudioInput], last: str) -> Encoding:
    match tower := given.config.tower:
        case SpectrogramTower():
            return audio.spectrogram_cnn(tower, given, last)
        case CRNNTower():
            return audio.crnn(tower, given, last)
        case SpectrogramTransformerTower():
            return audio.spectrogram_transformer(tower, given, last)
        case WaveformTower():
            return audio.waveform_cnn(tower, given, last)
        case PresetTower():
            return preset_audio(tower, given, last)
        case SavedModelTower():
            return saved_model(tower, given, last)
        case KerasTower():
            return keras_file(tower, given, last)
        case _:
            assert_never(tower)


def _encode_video(given: TowerInput[VideoInput], last: str, with_tokens: bool) -> Encoding:
    match tower := given.config.tower:
        case Conv3DTower():
            return video.conv3d(tower, given, last)
        case FramesTower():
            return video.frames(_encode_image, tower, given, last, with_tokens)
        case _:
            assert_never(tower)
