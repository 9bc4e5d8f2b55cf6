"""Corruptions of numbers, dates, categories, booleans and vectors, and missing cells of any input.

The strength of noise is relative to the training split: its standard deviation, or its values.
The five strengths are our choice. Noise and missing cells as the faults of a table: Liang et al.
2021 (MultiBench), arXiv:2107.07502.
"""

import datetime
import functools
import math
from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias, assert_never, runtime_checkable

import numpy as np
import numpy.typing as npt

from multimodal_tf.config import BooleanInput, CategoryInput, DateInput, NumberInput, VectorInput
from multimodal_tf.corruptions.corruption import Cell, Change, Corruption, HasStd, HasWords
from multimodal_tf.corruptions.text import replace_by_letters
from multimodal_tf.data.codecs import dates
from multimodal_tf.data.codecs.cell import LARGEST_NUMBER

# the kinds of `config.ValueInput`
Value: TypeAlias = NumberInput | CategoryInput | BooleanInput | DateInput | VectorInput

_DEVIATIONS = (0.1, 0.25, 0.5, 1.0, 2.0)
_FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5)
# factor of the standard deviation; severity 5 of noise doubles it: ten standard deviations
_FAR = 5


@runtime_checkable
class HasMean(Protocol):
    """Statistics with the mean of each component, such as `schema.VectorMoments`."""

    @property
    def mean(self) -> Any:
        """A list of floats."""


def of_value(input_config: Value, stats: object) -> tuple[Corruption, ...]:
    """The corruptions of a kind of value, without `MISSING`; as `corruptions.corruptions_for`."""
    match input_config:
        case BooleanInput():
            return (BOOLEAN_NOISE,)
        case CategoryInput():
            if not isinstance(stats, HasWords):
                raise _no_stats(input_config, stats)
            return (category_noise(stats.words),)
        case NumberInput():
            return (number_noise(_std(input_config, stats)),)
        case DateInput():
            return (date_noise(_std(input_config, stats)),)
        case VectorInput():
            noise = number_noise(_std(input_config, stats))
            if not isinstance(stats, HasMean):
                raise _no_stats(input_config, stats)
            return noise, dropped_components(stats.mean)
        case _:
            assert_never(input_config)


def other_value(input_config: Value, stats: object) -> Change:
    """Replaces a value by data of another kind; as `corruptions.other_data`."""
    match input_config:
        case CategoryInput():
            return replace_by_letters
        case NumberInput():
            return _strongest(number_noise(_FAR * _std(input_config, stats)))
        case DateInput():
            return _strongest(date_noise(_FAR * _std(input_config, stats)))
        case VectorInput():
            std = [_FAR * one for one in _std(input_config, stats)]
            return _strongest(number_noise(std))
        case BooleanInput():
            return _strongest(BOOLEAN_NOISE)
        case _:
            assert_never(input_config)


def _strongest(corruption: Corruption) -> Change:
    return lambda cell, _, random: corruption(cell, 5, random)


def _std(input_config: Value, stats: object) -> Any:
    if not isinstance(stats, HasStd):
        raise _no_stats(input_config, stats)
    return stats.std


def _no_stats(input_config: Value, stats: object) -> ValueError:
    return ValueError(
        f"a {input_config.type} input needs its statistics from the schema, received {stats!r:.80}"
    )


def number_noise(std: float | list[float]) -> Corruption:
    """Gaussian noise on a number, or on each of several, in the training standard deviations.

    Args:
        std: float > 0, as in `schema.inputs["price"].std`; a list for cells of as many numbers.

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


def dropped_components(mean: list[float]) -> Corruption:
    """Sets random components of a vector to their training mean.

    Args:
        mean: as in `schema.inputs["embedding"].mean`.

    Example:
        >>> dropped_components([0.0] * 4)([1.0, 2.0, 3.0, 4.0], 5, np.random.default_rng(0))
        [1.0, 0.0, 0.0, 0.0]
    """
    change = functools.partial(_without_components, np.asarray(mean))
    return Corruption("dropped components", "fraction of components", _FRACTIONS, change)


def _without_components(
    mean: npt.NDArray[np.float64], cell: list[float], fraction: float, random: np.random.Generator
) -> Any:
    return np.where(random.random(len(cell)) < fraction, mean, cell).tolist()


def _noisy_number(
    std: float | npt.NDArray[np.float64],
    cell: float | list[float],
    deviations: float,
    random: np.random.Generator,
) -> Any:
    noise = deviations * std * random.standard_normal(np.shape(cell))
    return np.clip(np.asarray(cell, float) + noise, -LARGEST_NUMBER, LARGEST_NUMBER).tolist()


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
    return missing_like(cell)


def missing_like(cell: Cell) -> Cell:
    """The missing cell of an input with such cells: b"", [], NaN, or as many NaN."""
    if isinstance(cell, list):
        return [math.nan for one in cell if isinstance(one, float)]
    return b"" if isinstance(cell, bytes) else math.nan


def _positive(std: float | list[float]) -> Any:
    if not np.all((np.asarray(std) > 0) & np.isfinite(std)):
        raise ValueError(f"std must be a finite number above 0, received {std!r:.80}")
    return np.asarray(std, float) if isinstance(std, list) else float(std)


BOOLEAN_NOISE = Corruption("noise", "fraction of cells with the other value", _FRACTIONS, _flipped)
# for every type of input
MISSING = Corruption("missing", "fraction of missing cells", (0.2, 0.4, 0.6, 0.8, 1.0), _emptied)
