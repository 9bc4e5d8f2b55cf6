"""Seeded corruptions of an input's raw bytes at five severities.

They change the bytes before preprocessing, so an exported model is tested as it is served.
`corruptions_for` lists the corruptions of an input, `corrupted` applies one to many cells.
"""

import functools
from collections.abc import Iterable
from typing import assert_never

from multimodal_tf.config import (
    AudioInput,
    ImageInput,
    Input,
    TextInput,
    ValueInput,
    VideoInput,
)
from multimodal_tf.corruptions import audio, columns, image, text
from multimodal_tf.corruptions.corruption import SEVERITIES, Change, Corruption, corrupted

__all__ = [
    "SEVERITIES",
    "Corruption",
    "audio",
    "columns",
    "corrupted",
    "corruptions_for",
    "image",
    "other_data",
    "text",
]


def corruptions_for(
    input_config: Input,
    stats: object = None,
    pool: Iterable[bytes] = (),
) -> tuple[Corruption, ...]:
    """All corruptions of one input, `missing` last.

    Args:
        input_config: configuration of the input, such as `config.inputs["photo"]`.
        stats: statistics of the input, `schema.inputs[name]`. A number and a date need `std`, a
            vector `mean` and `std`, a category `words`; other inputs need none.
        pool: audio files to mix into babble, such as those of the split. With fewer than two that
            are not silent, babble is left out. Only an audio input uses it.

    Raises:
        ValueError: `stats` lacks what is needed, or an audio file of the pool is broken.

    Example:
        >>> from multimodal_tf.config import NumberInput
        >>> from multimodal_tf.schema import Moments
        >>> [each.name for each in corruptions_for(TextInput())]
        ['typos', 'deletion', 'swap', 'word_dropout', 'truncation', 'case', 'homoglyphs', 'missing']
        >>> [each.name for each in corruptions_for(NumberInput(), Moments(mean=0.0, std=1.0))]
        ['noise', 'missing']
    """
    return (*_own_corruptions(input_config, stats, pool), columns.MISSING)


def other_data(input_config: Input, stats: object = None) -> Corruption:
    """Data of another kind in place of a cell; the severity changes nothing.

    White noise replaces an image, its frames or a waveform, random letters a text or a category;
    numbers, the components of vectors and dates move by some ten standard deviations; a boolean is
    drawn anew.

    Args:
        input_config, stats: as in `corruptions_for`. A number, a vector and a date need `std`.

    Raises:
        ValueError: `stats` lacks what is needed.

    Example:
        >>> import numpy as np
        >>> len(other_data(TextInput())(b"a red shoe", 5, np.random.default_rng(0)))
        10
    """
    return Corruption("other data", "nothing", (1, 1, 1, 1, 1), _replacement(input_config, stats))


def _own_corruptions(
    input_config: Input,
    stats: object,
    pool: Iterable[bytes],
) -> tuple[Corruption, ...]:
    match input_config:
        case ImageInput() | VideoInput():
            return image.ALL
        case TextInput():
            return text.ALL
        case AudioInput():
            voices = audio.non_silent(pool)
            return (*audio.ALL, audio.babble(voices)) if len(voices) > 1 else audio.ALL
        case ValueInput():
            return columns.of_value(input_config, stats)
        case _:
            assert_never(input_config)


def _replacement(input_config: Input, stats: object) -> Change:
    match input_config:
        case ImageInput() | VideoInput():
            return functools.partial(
                image.replace_by_noise, input_config.height, input_config.width
            )
        case AudioInput():
            rate, samples = input_config.sample_rate, input_config.samples
            return functools.partial(audio.replace_by_noise, rate, samples)
        case TextInput():
            return text.replace_by_letters
        case ValueInput():
            return columns.other_value(input_config, stats)
        case _:
            assert_never(input_config)
