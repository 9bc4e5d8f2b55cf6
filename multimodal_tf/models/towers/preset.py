"""A backbone of KerasHub as a tower, frozen or trained further."""

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.towers import backbone as backbones
from multimodal_tf.models.towers.preset_audio import sound
from multimodal_tf.models.towers.pretrained import encoding, fit, run
from multimodal_tf.models.towers.text import mask_of, not_padding, token_count


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenInputs(layers.Layer):
    """What a backbone over texts takes.

    Args:
        padding, closed: as `text.NotPadding`.

    Call:
        `x` is int32 `(batch, length)`. Returns a dict of int32 `(batch, length)`: `token_ids` and
        `padding_mask`, 1 where a token is there, both again under the names that an encoder before
        a decoder has for them; `segment_ids`, all 0; and `position_ids`.
    """

    makes = (
        "token_ids",
        "encoder_token_ids",
        "padding_mask",
        "encoder_padding_mask",
        "segment_ids",
        "position_ids",
    )

    def __init__(self, padding, closed=False, **kwargs):
        super().__init__(**kwargs)
        self.padding, self.closed = padding, closed

    def call(self, x):
        there = ops.cast(not_padding(x, self.padding, self.closed), "int32")
        nowhere = ops.zeros_like(x)
        return dict(
            zip(
                self.makes,
                (x, x, there, there, nowhere, nowhere + ops.arange(x.shape[1], dtype="int32")),
            )
        )

    def get_config(self):
        return super().get_config() | {"padding": self.padding, "closed": self.closed}


def preset(part, stats, x, present, name, last):
    """A backbone from a KerasHub preset; `part.tower` is `config.PresetTower`.

    Its layers become layers of this model: neither the preset nor its folder is needed once the
    model is saved. The folder may also be in the layout of Hugging Face or timm, which KerasHub
    converts. Of a preset with several parts the one that reads such an input alone is
    used, and nothing of the others: the encoder of T5, BART or Whisper, the vision or the text
    encoder of CLIP or SigLIP. In the model too, the preset's own `ImageConverter` says the scale of
    pixels, and its `AudioConverter` makes of samples what a speech model takes: Whisper or
    Moonshine. These run in float32, and texts do where Keras' policy is float16.

    Args:
        part: `config.ImageInput`, `TextInput` or `AudioInput`.
        learned: what the schema holds for a text: its ids are those of the preset's tokenizer, and
        fewer than the backbone knows.
        x: float32 `(batch, height, width, channels)` 0 to 1; int32 `(batch, max_tokens)`; or
        float32 `(batch, samples)` -1 to 1.
        present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token an id, which is there where it is not padding; a token a place of the
        last feature map, or a patch; a token each 0.02 s (Whisper) or 0.024 s (Moonshine) of sound,
        which is there up to the end of the sound; or one token, where the preset pools itself, as
        SigLIP does.

    Raises:
        FileNotFoundError: the folder is not there.
        ValueError: it is no preset, or nothing in it reads this kind of input alone; images, texts
            or sounds are of a size or sample rate that it does not take; it does not say the scale
            of its pixels, or what it makes of sounds; or the tokenizer has more ids than it knows.
    """
    if part.type not in _KINDS:
        raise ValueError(
            f"inputs.{name}.tower.type: a preset reads {', '.join(_KINDS)}, received it for {part.type}"
        )
    backbone = backbones.opened(
        part.tower, f"inputs.{name}.tower.preset", "float32" if _needs_float32(part.type) else None
    )
    answer, mask = _KINDS[part.type](part, stats, x, present, name, backbone)
    return encoding(part.tower, answer, mask, name, last)


def _needs_float32(kind):
    """In KerasHub 0.32 Moonshine fails in mixed precision; in float16 T5 gives NaN and ESM fails,
    while bfloat16 does for all texts.
    """
    return kind == "audio" or (
        kind == "text" and keras.config.dtype_policy().compute_dtype == "float16"
    )


def _text(part, stats, x, present, name, backbone):
    reads, output = backbones.reader(backbone, _ids, part, name)
    _check_ids(part, stats, name, reads)
    mask = mask_of(part, stats, name)
    prepare = TokenInputs(mask.padding, mask.closed, name=f"{name}_ids")
    network = backbones.BackbonePart(reads, output, prepare, name=f"{name}_backbone")
    _check_length(part, name, network)
    answer = run(network, x, present, name, part.tower.trainable)
    return answer, mask(x) if len(answer.shape) == 3 else None


def _ids(given):
    return (
        {key: given[key] for key in TokenInputs.makes if key in given}
        if any(key in given for key in TokenInputs.makes[:2])
        else {}
    )


def _image(part, stats, x, present, name, backbone):
    reads, output = backbones.reader(backbone, _pixels_alone, part, name)
    (wanted,) = backbones.inputs(reads).values()
    scale, offset = _pixels(part.tower, f"inputs.{name}.tower.preset")
    x = layers.Rescaling(scale, offset, name=f"{name}_pixels", dtype="float32")(x)
    x = fit(
        x,
        tuple(wanted.shape[1:]),
        "float32",
        name,
        f"inputs.{name}",
        f"the preset {part.tower.preset!r}",
    )
    return run(
        backbones.BackbonePart(reads, output, name=f"{name}_backbone"),
        x,
        present,
        name,
        part.tower.trainable,
    ), None


def _pixels_alone(given):
    return given if [len(one.shape) for one in given.values()] == [4] else {}


_KINDS = {"text": _text, "image": _image, "audio": sound}


def _check_ids(part, stats, name, network):
    longest, count = getattr(network, "max_sequence_length", None), token_count(part, stats)
    known = next(
        (
            getattr(network, size)
            for size in ("vocabulary_size", "vocab_size")
            if hasattr(network, size)
        ),
        count,
    )
    if longest is not None and part.max_tokens > longest:
        raise ValueError(
            f"inputs.{name}.max_tokens: must be at most {longest} for the preset, received {part.max_tokens}"
        )
    if count > known:
        raise ValueError(
            f"inputs.{name}.tokenizer: must have at most the {known} ids that the preset {part.tower.preset!r} knows, received "
            f"{part.tokenizer.type} with {count}"
        )


def _check_length(part, name, network):
    """SigLIP takes texts of one length alone, and only its graph, which is traced here, shows it."""
    longest = getattr(network.backbone, "max_sequence_length", part.max_tokens)
    if longest != part.max_tokens and not any(
        "padding_mask" in key for key in network.network.input
    ):
        try:
            tf.function(network).get_concrete_function(
                tf.TensorSpec((None, part.max_tokens), "int32")
            )
        except ValueError as error:
            raise ValueError(
                f"inputs.{name}.max_tokens: must be {longest} for the preset {part.tower.preset!r}, received {part.max_tokens}"
            ) from error


def _pixels(tower, field):
    """Scale and offset from pixels 0..1 to what the preset expects."""
    if not tower.weights:
        return 1.0, 0.0
    converter = backbones.converter("ImageConverter", tower, field, "the scale of its pixels")
    scale, offset = (
        ops.convert_to_numpy(one if one is not None else neutral)
        for one, neutral in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    # it takes pixels 0..255
    return (scale * 255.0).tolist(), offset.tolist()
