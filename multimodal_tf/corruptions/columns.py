"""Damage to numbers, dates, categories and booleans, and cells of any type that go missing.

Noise is measured against what the training split taught: a standard deviation, or the values that
there are. The strengths are ours;
that noise and missing cells are what a table suffers from: Liang et al. 2021 (MultiBench),
arXiv:2107.07502.
"""

import datetime
import functools
import math

import numpy as np

from multimodal_tf.corruptions.corruption import Corruption
from multimodal_tf.data.codecs import dates

_DEVIATIONS = (0.1, 0.25, 0.5, 1.0, 2.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
_LARGEST = float(np.finfo(np.float32).max)
_TYPES = ("image", "text", "audio", "video", "number", "category", "boolean", "date")


def number_noise(std):
    """Gaussian noise on a number, in units of its standard deviation in the training split.

    Args:
        std: float > 0, as in `schema.inputs["price"].std`.

    Raises:
        ValueError: `std` is not a finite number above 0.

    Example:
        >>> round(number_noise(10.0)(5.0, 4, np.random.default_rng(0)), 3)
        6.257
    """
    return Corruption(
        "noise",
        ("number",),
        "standard deviations",
        _DEVIATIONS,
        functools.partial(_noisy_number, _positive(std)),
    )


def date_noise(std):
    """Gaussian noise on a date, in units of its standard deviation in the training split: whole
    days, or seconds where there is a time.

    Args:
        std: float > 0, days, as in `schema.inputs["sold"].std`.

    Raises:
        ValueError: `std` is not a finite number above 0.

    Example:
        >>> date_noise(100.0)(b"2024-05-17", 4, np.random.default_rng(0))
        b'2024-05-30'
    """
    return Corruption(
        "noise",
        ("date",),
        "standard deviations",
        _DEVIATIONS,
        functools.partial(_noisy_date, _positive(std)),
    )


def category_noise(words):
    """A category replaced by another value of the training split, each as likely.

    Args:
        words: iterable of str, as in `schema.inputs["colour"].words`. With fewer than two there may
            be no other, and the cell stays.

    Example:
        >>> [category_noise(["red", "blue"])(b"red", 5, np.random.default_rng(seed)) for seed in range(3)]
        [b'red', b'red', b'blue']
    """
    values = tuple(word.encode() for word in words)
    return Corruption(
        "noise",
        ("category",),
        "share of cells with another value",
        _SHARES,
        functools.partial(_other_value, values),
    )


def _noisy_number(std, cell, deviations, random):
    return float(np.clip(cell + deviations * std * random.standard_normal(), -_LARGEST, _LARGEST))


def _noisy_date(std, cell, deviations, random):
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
        return (
            (moment + datetime.timedelta(days=float(days))).isoformat(timespec="seconds") + "Z"
        ).encode()
    return (moment.date() + datetime.timedelta(days=round(float(days)))).isoformat().encode()


def _other_value(values, cell, share, random):
    if random.random() >= share:
        return cell
    others = [value for value in values if value != cell.strip()]
    return others[random.integers(len(others))] if others else cell


def _flipped(cell, share, random):
    return 1.0 - float(cell) if random.random() < share else cell


def _gone(cell, share, random):
    if random.random() >= share:
        return cell
    return [] if isinstance(cell, list) else b"" if isinstance(cell, bytes) else math.nan


def _positive(std):
    if not 0 < std < math.inf:
        raise ValueError(f"std must be a finite number above 0, received {std}")
    return float(std)


BOOLEAN_NOISE = Corruption(
    "noise", ("boolean",), "share of cells with the other value", _SHARES, _flipped
)
MISSING = Corruption(
    "missing", _TYPES, "share of cells that go missing", (0.2, 0.4, 0.6, 0.8, 1.0), _gone
)
