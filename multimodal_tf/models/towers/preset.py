"""A KerasHub backbone as the tower of an image or a text."""

from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from multimodal_tf.config import ImageInput, PresetTower, TextInput
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.backbone import (
    BackbonePart,
    Tensors,
    find_reader,
    inputs,
    load_backbone,
    load_converter,
)
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.towers.pretrained import encode_output, fit_shape, run
from multimodal_tf.models.towers.text import mask_layer, padding_mask, token_count


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenInputs(Layer):
    """The inputs of a text backbone.

    Args:
        padding, ends_with_padding: as in `text.PaddingMask`.

    Call:
        `x` is int32 `(batch, length)`. Returns a dict of int32 `(batch, length)`: `token_ids` and
        `padding_mask`, 1 for valid tokens, both also under the names of an encoder before a
        decoder; `segment_ids`, all 0; and `position_ids`.
    """

    output_keys = (
        "token_ids",
        "encoder_token_ids",
        "padding_mask",
        "encoder_padding_mask",
        "segment_ids",
        "position_ids",
    )

    def __init__(self, padding: int, ends_with_padding: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding, self.ends_with_padding = padding, ends_with_padding

    def call(self, x: KerasTensor) -> Tensors:
        valid = ops.cast(padding_mask(x, self.padding, self.ends_with_padding), "int32")
        zeros = ops.zeros_like(x)
        positions = zeros + ops.arange(x.shape[1], dtype="int32")
        return dict(zip(self.output_keys, (x, x, valid, valid, zeros, positions)))

    def get_config(self) -> dict[str, Any]:
        own = {"padding": self.padding, "ends_with_padding": self.ends_with_padding}
        return {**super().get_config(), **own}


def preset_text(tower: PresetTower, given: TowerInput[TextInput], last: str) -> Encoding:
    """The text network of a KerasHub preset, whose layers become layers of this model.

    The saved model does not need the preset. A folder may also have the layout of Hugging Face or
    timm, which KerasHub converts. Of a preset with several networks, the one that reads this kind
    of input alone is used: the encoder of T5 or BART, the text encoder of CLIP or SigLIP. Under a
    float16 policy it runs in float32.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is int32 `(batch, max_tokens)`. The ids of its `stats` are those of the
            preset's tokenizer, and fewer than the backbone knows.

    Returns:
        `Encoding`: one token per id, valid if it is not padding; or one token, if the preset pools
        itself, as SigLIP does.

    Raises:
        FileNotFoundError: there is no such preset.
        ValueError: it does not load; none of its networks reads texts alone; it does not take texts
            of this length; or the tokenizer has more ids than it knows.
    """
    name = given.name
    # In float16, KerasHub 0.32's T5 gives NaN, and its ESM fails.
    float16 = keras.config.dtype_policy().compute_dtype == "float16"
    field = f"inputs.{name}.tower.preset"
    backbone = load_backbone(tower, field, "float32" if float16 else None)
    network, output = find_reader(backbone, _token_inputs, tower, given.config, name)
    _check_ids(tower, given, network)
    mask = mask_layer(given.stats, name)
    prepare = TokenInputs(mask.padding, mask.ends_with_padding, name=f"{name}_ids")
    part = BackbonePart(network, output, prepare, name=f"{name}_backbone")
    _check_length(tower, given, part)
    y = run(part, given.x, given.present, name, tower.trainable)
    return encode_output(tower, y, mask(given.x) if len(y.shape) == 3 else None, name, last)


def preset_image(tower: PresetTower, given: TowerInput[ImageInput], last: str) -> Encoding:
    """The image network of a KerasHub preset, as `preset_text`.

    The preset's `ImageConverter` provides the pixel scale. Of CLIP or SigLIP, the vision encoder is
    used.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)`, 0 to 1.

    Returns:
        `Encoding`: one token per cell of the last feature map, or per patch.

    Raises:
        FileNotFoundError: there is no such preset.
        ValueError: it does not load; none of its networks reads images alone; it does not take
            images of this size; or it lacks the pixel scale.
    """
    name = given.name
    field = f"inputs.{name}.tower.preset"
    backbone = load_backbone(tower, field)
    network, output = find_reader(backbone, _image_input, tower, given.config, name)
    (wanted,) = inputs(network).values()
    scale, offset = _pixel_scale(tower, field)
    x = layers.Rescaling(scale, offset, name=f"{name}_pixels", dtype="float32")(given.x)
    shape, what = tuple(wanted.shape[1:]), f"the preset {tower.preset!r}"
    x = fit_shape(x, shape, "float32", name, f"inputs.{name}", what)
    part = BackbonePart(network, output, name=f"{name}_backbone")
    y = run(part, x, given.present, name, tower.trainable)
    return encode_output(tower, y, None, name, last)


def _token_inputs(given: Tensors) -> Tensors:
    """The inputs of a network that reads token ids; none of any other network."""
    if not any(key in given for key in ("token_ids", "encoder_token_ids")):
        return {}
    return {key: given[key] for key in TokenInputs.output_keys if key in given}


def _image_input(given: Tensors) -> Tensors:
    """The input of a network that reads one batch of images; none of any other network."""
    return given if [len(one.shape) for one in given.values()] == [4] else {}


def _check_ids(tower: PresetTower, given: TowerInput[TextInput], network: keras.Model) -> None:
    name, config = given.name, given.config
    longest = getattr(network, "max_sequence_length", None)
    if longest is not None and config.max_tokens > longest:
        raise ValueError(
            f"inputs.{name}.max_tokens: must be at most {longest} for the preset, received"
            f" {config.max_tokens}"
        )
    count = token_count(config, given.stats)
    fields = ("vocabulary_size", "vocab_size")
    known = next((getattr(network, one) for one in fields if hasattr(network, one)), count)
    if count > known:
        raise ValueError(
            f"inputs.{name}.tokenizer: must have at most the {known} ids that the preset"
            f" {tower.preset!r} knows, received {config.tokenizer.type} with {count}"
        )


def _check_length(tower: PresetTower, given: TowerInput[TextInput], part: BackbonePart) -> None:
    """Refuses a length that SigLIP does not take; only tracing its graph shows this."""
    tokens = given.config.max_tokens
    longest = getattr(part.backbone, "max_sequence_length", tokens)
    if longest == tokens or any("padding_mask" in key for key in part.network.input):
        return
    try:
        tf.function(part, autograph=False).get_concrete_function(
            tf.TensorSpec((None, tokens), "int32")
        )
    except ValueError as error:
        raise ValueError(
            f"inputs.{given.name}.max_tokens: must be {longest} for the preset {tower.preset!r},"
            f" received {tokens}"
        ) from error


def _pixel_scale(tower: PresetTower, field: str) -> tuple[Any, Any]:
    """Scale and offset from pixels 0 to 1 to what the preset expects; numbers or lists of them."""
    if not tower.weights:
        return 1.0, 0.0
    converter = load_converter("ImageConverter", tower, field, "the scale of its pixels")
    scale, offset = (
        ops.convert_to_numpy(one if one is not None else neutral)
        for one, neutral in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    # The converter takes pixels 0 to 255.
    return (scale * 255.0).tolist(), offset.tolist()
