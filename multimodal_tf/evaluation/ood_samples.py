"""Out-of-distribution cells: corrupted ones, data of another kind, and broken files.

They are `Corruption`s of a cell, so they are drawn in the same way.
"""

import functools
import io
import string
from typing import Any, assert_never

import numpy as np
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    DateInput,
    ImageInput,
    Input,
    NumberInput,
    TextInput,
    VideoInput,
)
from multimodal_tf.corruptions import Corruption, columns, corruptions_for, wav
from multimodal_tf.schema import Moments, Subwords, Vocabulary

Stats = Moments | Vocabulary | Subwords | None

_LETTERS = np.array([*(string.ascii_lowercase + " ")])
# factor of the standard deviation; severity 5 of noise doubles it: ten standard deviations
_FAR = 5
# letters of a random text, at most
_MAX_LETTERS = 10_000
# standard deviation of white noise, full scale 1
_NOISE_DEVIATION = 0.1
_NO_IMAGE = b"\xff\xfe"


def any_corruption(input_config: Input, stats: Stats) -> Corruption:
    """One of all corruptions of an input except `missing`, drawn for each cell.

    Args:
        input_config: configuration of the input.
        stats: `schema.inputs[name]`, or None.
    """
    kinds = [kind for kind in corruptions_for(input_config, stats) if kind is not columns.MISSING]

    def change(cell: Any, severity: int, random: np.random.Generator) -> Any:
        return kinds[random.integers(len(kinds))](cell, severity, random)

    # the name seeds the draws
    return Corruption("damaged", "severity", (1, 2, 3, 4, 5), change)


def other_data(input_config: Input, stats: Stats) -> Corruption:
    """Data of another kind in place of a cell; the severity changes nothing.

    White noise replaces an image or audio, random letters a text or a category; numbers and dates
    move by some ten standard deviations; a boolean is drawn anew.

    Args:
        input_config, stats: as in `any_corruption`. A number and a date need `Moments`.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> len(other_data(TextInput(), None)(b"a red shoe", 5, np.random.default_rng(0)))
        10
    """
    change = functools.partial(_other_cell, input_config, stats)
    return Corruption("other data", "nothing", (1, 1, 1, 1, 1), change)


def broken(input_config: Input) -> Corruption:
    """Bytes that cannot be read, or an infinite number; the severity changes nothing.

    Args:
        input_config: configuration of the input.
    """

    def change(cell: Any, _: int, random: np.random.Generator) -> Any:
        match input_config:
            case NumberInput() | BooleanInput():
                return float("inf")
            case VideoInput():
                return [_NO_IMAGE if frame else b"" for frame in cell]
            case ImageInput() | AudioInput() | TextInput() | CategoryInput() | DateInput():
                return _NO_IMAGE
            case _:
                assert_never(input_config)

    return Corruption("broken", "nothing", (1, 1, 1, 1, 1), change)


def _other_cell(
    input_config: Input, stats: Stats, cell: Any, _: int, random: np.random.Generator
) -> Any:
    match input_config:
        case ImageInput():
            return _white_image(input_config, random)
        case VideoInput():
            return [_white_image(input_config, random) if frame else b"" for frame in cell]
        case AudioInput():
            samples = max(round(input_config.seconds * input_config.sample_rate), 1)
            noise = random.normal(0, _NOISE_DEVIATION, (samples, 1))
            return wav.encode(noise, input_config.sample_rate)
        case TextInput() | CategoryInput():
            return _random_letters(cell, random)
        case NumberInput():
            return columns.number_noise(_FAR * _std(stats))(cell, 5, random)
        case DateInput():
            return columns.date_noise(_FAR * _std(stats))(cell, 5, random)
        case BooleanInput():
            return columns.BOOLEAN_NOISE(cell, 5, random)
        case _:
            assert_never(input_config)


def _random_letters(cell: bytes, random: np.random.Generator) -> bytes:
    length = min(max(len(cell.decode(errors="replace")), 3), _MAX_LETTERS)
    letters = "".join(random.choice(_LETTERS, length))
    # the ends are letters: white space alone would be a missing cell
    return f"x{letters[1:-1]}q".encode()


def _white_image(input_config: ImageInput | VideoInput, random: np.random.Generator) -> bytes:
    pixels = random.integers(0, 256, (input_config.height, input_config.width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _std(stats: Stats) -> float:
    if not isinstance(stats, Moments):
        raise ValueError(f"other data of a number or a date needs Moments, received {stats!r}")
    return stats.std
