"""A backbone of KerasHub as a tower, frozen or trained further."""

import keras
from keras import layers, ops

from multimodal_tf.models.towers import backbone as backbones
from multimodal_tf.models.towers.preset_sound import sound
from multimodal_tf.models.towers.pretrained import encoding, fit, run
from multimodal_tf.models.towers.text import mask_of, not_padding, token_count


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenInputs(layers.Layer):
    """What a backbone over texts takes.

    Args:
        padding, closed: as `text.NotPadding`.

    Call:
        `x` is int32 `(batch, length)`. Returns a dict of int32 `(batch, length)`: `token_ids`, `padding_mask`, 1 where a token is there,
        and `segment_ids`, all 0.
    """

    makes = ("token_ids", "padding_mask", "segment_ids")

    def __init__(self, padding, closed=False, **kwargs):
        super().__init__(**kwargs)
        self.padding, self.closed = padding, closed

    def call(self, x):
        there = ops.cast(not_padding(x, self.padding, self.closed), "int32")
        return dict(zip(self.makes, (x, there, ops.zeros_like(x))))

    def get_config(self):
        return super().get_config() | {"padding": self.padding, "closed": self.closed}


def preset(part, learnt, x, present, name, last):
    """A backbone from a KerasHub preset; `part.tower` is `config.PresetTower`.

    Its layers become layers of this model: neither the preset nor its folder is needed once the model is saved. The folder may also be in
    the layout of Hugging Face or timm, which KerasHub converts. In the model too, the preset's own `ImageConverter` says the scale of
    pixels, and its `AudioConverter` makes of samples what a speech model takes: of Whisper and Moonshine, whose encoders alone are used, in
    float32.

    Args:
        part: `config.ImageInput`, `TextInput` or `AudioInput`.
        learnt: what the schema holds for a text: its ids are those of the preset's tokenizer, and fewer than the backbone knows.
        x: float32 `(batch, height, width, channels)` 0 to 1; int32 `(batch, max_tokens)`; or float32 `(batch, samples)` -1 to 1.
        present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token an id, which is there where it is not padding; a token a place of the last feature map, or a patch; or a token
        each 0.02 s (Whisper) or 0.024 s (Moonshine) of sound, which is there up to the end of the sound.

    Raises:
        FileNotFoundError: the folder is not there.
        ValueError: it is no preset, or one of another kind of input; images, texts or sounds are of a size or sample rate that it does not
            take; it does not say the scale of its pixels, or what it makes of sounds; or the tokenizer has more ids than it knows.
    """
    if part.type not in _KINDS:
        raise ValueError(f"inputs.{name}.tower.type: a preset reads {', '.join(_KINDS)}, received it for {part.type}")
    dtype = "float32" if part.type == "audio" else None  # KerasHub 0.32's Moonshine fails in mixed precision
    backbone = backbones.opened(part.tower, f"inputs.{name}.tower.preset", dtype)
    answer, mask = _KINDS[part.type](part, learnt, x, present, name, backbone)
    return encoding(part.tower, answer, mask, name, last)


def _text(part, learnt, x, present, name, backbone):
    names = backbones.inputs(backbone).keys()
    backbones.check_kind(backbone, {"token_ids"} <= names <= {*TokenInputs.makes}, part, name)
    _check_ids(part, learnt, name, backbone)
    mask = mask_of(part, learnt, name)
    prepare = TokenInputs(mask.padding, mask.closed, name=f"{name}_ids")
    output = backbones.SEQUENCE if isinstance(backbone.output, dict) else None
    network = backbones.BackbonePart(backbone, output, prepare, name=f"{name}_backbone")
    return run(network, x, present, name, part.tower.trainable), mask(x)


def _image(part, learnt, x, present, name, backbone):
    inputs = list(backbones.inputs(backbone).values())
    backbones.check_kind(backbone, len(inputs) == 1 and len(inputs[0].shape) == 4, part, name)
    scale, offset = _pixels(part.tower, f"inputs.{name}.tower.preset")
    x = layers.Rescaling(scale, offset, name=f"{name}_pixels", dtype="float32")(x)
    x = fit(x, tuple(inputs[0].shape[1:]), "float32", name, f"inputs.{name}", f"the preset {part.tower.preset!r}")
    output = backbones.SEQUENCE if isinstance(backbone.output, dict) and backbones.SEQUENCE in backbone.output else None
    return run(backbones.BackbonePart(backbone, output, name=f"{name}_backbone"), x, present, name, part.tower.trainable), None


_KINDS = {"text": _text, "image": _image, "audio": sound}


def _check_ids(part, learnt, name, backbone):
    longest, known = getattr(backbone, "max_sequence_length", None), backbone.vocabulary_size
    if longest is not None and part.max_tokens > longest:
        raise ValueError(f"inputs.{name}.max_tokens: must be at most {longest} for the preset, received {part.max_tokens}")
    if token_count(part, learnt) > known:
        raise ValueError(
            f"inputs.{name}.tokenizer: must have at most the {known} ids that the preset {part.tower.preset!r} knows, received "
            f"{part.tokenizer.type} with {token_count(part, learnt)}"
        )


def _pixels(tower, field):
    """Scale and offset from pixels 0..1 to what the preset expects."""
    if not tower.weights:
        return 1.0, 0.0
    converter = backbones.converter("ImageConverter", tower, field, "the scale of its pixels")
    scale, offset = (
        ops.convert_to_numpy(one if one is not None else neutral) for one, neutral in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    return (scale * 255.0).tolist(), offset.tolist()  # it takes pixels 0..255
