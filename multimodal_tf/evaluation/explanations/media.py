"""The parts of a cell by the type of its input."""

from typing import Any, assert_never

from multimodal_tf import config
from multimodal_tf.evaluation.explanations.bands import bands
from multimodal_tf.evaluation.explanations.frames import frames
from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.patches import patches
from multimodal_tf.evaluation.explanations.words import words


def parts_of(input_config: config.Input, cell: Any) -> Parts | None:
    """The parts of a cell; None for a `ValueInput`.

    Args:
        input_config: configuration of the input, such as `config.inputs["photo"]`.
        cell: a record's cell that is not missing.

    Raises:
        ValueError: the cell cannot be decoded.

    Example:
        >>> parts_of(config.TextInput(), b"a red shoe").shape
        (3,)
    """
    match input_config:
        case config.ImageInput():
            return patches(cell)
        case config.TextInput():
            return words(cell)
        case config.AudioInput():
            return bands(cell, input_config.sample_rate, input_config.seconds)
        case config.VideoInput():
            return frames(cell)
        case config.ValueInput():
            return None
        case _:
            assert_never(input_config)
