"""The decoder of a KerasHub preset as the decoder of a text head."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from multimodal_tf.config.inputs import Input
from multimodal_tf.config.names import Strict
from multimodal_tf.config.pretrained_towers import PresetTower

# settings of a text head that the preset gives
GIVEN = ("dim", "depth", "heads", "mlp_units", "dropout")


class PresetDecoder(Strict):
    """The pretrained decoder of a KerasHub preset: a folder, or a handle such as `hf://...`.

    It is Whisper's (for English alone) or BART's; the head's tokenizer is its own. With `trainable`
    false it is frozen and runs in inference mode, in training too. Where the head has one input
    whose tower is of the same preset, it attends to that encoder's own tokens, as it was trained
    to, which is all that Whisper can read; BART also attends to the projected tokens of any other
    inputs, and the projections are trained.

    Source: Radford et al. 2022, arXiv:2212.04356; Lewis et al. 2019, arXiv:1910.13461.
    """

    type: Literal["preset"] = "preset"
    preset: str
    trainable: bool = False


def with_its_tokenizer(settings: Any) -> Any:
    """The settings of a text head, with the tokenizer of its decoder's preset.

    Raises:
        ValueError: they name another tokenizer.
    """
    decoder = settings.get("decoder") if isinstance(settings, Mapping) else None
    preset = decoder.get("preset") if isinstance(decoder, Mapping) else None
    preset = decoder.preset if isinstance(decoder, PresetDecoder) else preset
    if preset is None:
        return settings
    own = settings.get("tokenizer", {"type": "preset", "preset": preset})
    fields = own if isinstance(own, Mapping) else getattr(own, "__dict__", {"type": own})
    if fields.get("preset") != preset:
        raise ValueError(
            f"tokenizer must be that of the decoder's preset, {preset!r}, and may be left out, "
            f"received {fields.get('preset', fields.get('type'))!r}"
        )
    return {**settings, "tokenizer": own}


def reads_own_encoder(decoder: object, inputs: Sequence[Input | None]) -> bool:
    """Whether a head's inputs are one, whose tower is the encoder of its decoder's preset.

    Example:
        >>> from multimodal_tf.config.inputs import AudioInput
        >>> clip = AudioInput(seconds=30, tower=PresetTower(preset="whisper"))
        >>> reads_own_encoder(PresetDecoder(preset="whisper"), [clip])
        True
    """
    if not isinstance(decoder, PresetDecoder) or len(inputs) != 1:
        return False
    tower = getattr(inputs[0], "tower", None)
    return isinstance(tower, PresetTower) and tower.preset == decoder.preset
