"""Corruptions of numbers, dates, categories and booleans, and missing cells of any input.

The strength of noise is relative to the training split: its standard deviation, or its values.
The five strengths are our choice. Noise and missing cells as the faults of a table: Liang et al.
2021 (MultiBench), arXiv:2107.07502.
"""

import datetime
import functools
import math
from collections.abc import Iterable

import numpy as np

from multimodal_tf.corruptions.corruption import Cell, Corruption
from multimodal_tf.data.codecs import dates

_DEVIATIONS = (0.1, 0.25, 0.5, 1.0, 2.0)
_FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5)
_LARGEST = float(np.finfo(np.float32).max)


def number_noise(std: float) -> Corruption:
    """Gaussian noise on a number, in standard deviations of the training split.

    Args:
        std: float > 0, as in `schema.inputs["price"].std`.

    Raises:
        ValueError: `std` is not a finite number above 0.

    Example:
        >>> round(number_noise(10.0)(5.0, 4, np.random.default_rng(0)), 3)
        6.257
    """
    change = functools.partial(_noisy_number, _positive(std))
    return Corruption("noise", "standard deviations", _DEVIATIONS, change)


def date_noise(std: float) -> Corruption:
    """Gaussian noise on a date, in standard deviations of the training split.

    A date without a time moves by whole days, a date with a time by seconds.

    Args:
        std: float > 0, days, as in `schema.inputs["sold"].std`.

    Raises:
        ValueError: `std` is not a finite number above 0.

    Example:
        >>> date_noise(100.0)(b"2024-05-17", 4, np.random.default_rng(0))
        b'2024-05-30'
    """
    change = functools.partial(_noisy_date, _positive(std))
    return Corruption("noise", "standard deviations", _DEVIATIONS, change)


def category_noise(words: Iterable[str]) -> Corruption:
    """Replaces a category by another value of the training split, drawn uniformly.

    Args:
        words: as in `schema.inputs["colour"].words`. A cell without another value is unchanged.

    Example:
        >>> noise = category_noise(["red", "blue"])
        >>> [noise(b"red", 5, np.random.default_rng(seed)) for seed in range(3)]
        [b'red', b'red', b'blue']
    """
    change = functools.partial(_other_value, tuple(word.encode() for word in words))
    return Corruption("noise", "fraction of cells with another value", _FRACTIONS, change)


def _noisy_number(std: float, cell: float, deviations: float, random: np.random.Generator) -> float:
    return float(np.clip(cell + deviations * std * random.standard_normal(), -_LARGEST, _LARGEST))


def _noisy_date(std: float, cell: bytes, deviations: float, random: np.random.Generator) -> bytes:
    try:
        text = dates.to_iso(cell.decode())
    except ValueError as error:
        raise ValueError(f"a date must be ISO 8601, received {cell[:40]!r} ({error})") from None
    moment = datetime.datetime.fromisoformat(text.removesuffix("Z"))
    first, last = datetime.datetime.min, datetime.datetime.max
    days = np.clip(
        deviations * std * random.standard_normal(),
        (first - moment).days + 1,
        (last - moment).days - 1,
    )
    if "T" in text:
        moved = moment + datetime.timedelta(days=float(days))
        return (moved.isoformat(timespec="seconds") + "Z").encode()
    return (moment.date() + datetime.timedelta(days=round(float(days)))).isoformat().encode()


def _other_value(
    values: tuple[bytes, ...], cell: bytes, fraction: float, random: np.random.Generator
) -> bytes:
    if random.random() >= fraction:
        return cell
    others = [value for value in values if value != cell.strip()]
    return others[random.integers(len(others))] if others else cell


def _flipped(cell: float, fraction: float, random: np.random.Generator) -> float:
    return 1.0 - float(cell) if random.random() < fraction else cell


def _emptied(cell: Cell, fraction: float, random: np.random.Generator) -> Cell:
    if random.random() >= fraction:
        return cell
    return [] if isinstance(cell, list) else b"" if isinstance(cell, bytes) else math.nan


def _positive(std: float) -> float:
    if not 0 < std < math.inf:
        raise ValueError(f"std must be a finite number above 0, received {std}")
    return float(std)


BOOLEAN_NOISE = Corruption("noise", "fraction of cells with the other value", _FRACTIONS, _flipped)
# for every type of input
MISSING = Corruption("missing", "fraction of missing cells", (0.2, 0.4, 0.6, 0.8, 1.0), _emptied)
