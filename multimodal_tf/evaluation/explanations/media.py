"""Which parts a cell has, by the type of its input."""

from typing import Any

from multimodal_tf.config import AudioInput, ImageInput, TextInput, VideoInput
from multimodal_tf.evaluation.explanations.bands import bands
from multimodal_tf.evaluation.explanations.frames import frames
from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.patches import patches
from multimodal_tf.evaluation.explanations.words import words


def parts_of(part, cell: Any) -> Parts | None:
    """The parts of a cell; None for a number, a category, a boolean and a date, which have none.

    Args:
        part: the input's configuration, such as `config.inputs["photo"]`.
        cell: as a record holds it, and not missing.

    Raises:
        ValueError: the cell cannot be decoded.

    Example:
        >>> parts_of(TextInput(), b"a red shoe").shape
        (3,)
    """
    match part:
        case ImageInput():
            return patches(cell)
        case TextInput():
            return words(cell)
        case AudioInput():
            return bands(cell, part.sample_rate, part.seconds)
        case VideoInput():
            return frames(cell)
    return None
