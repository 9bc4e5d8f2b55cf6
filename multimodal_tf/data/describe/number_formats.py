"""In which format a column writes its numbers: found where one alone explains the cells."""

import collections
import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from typing import Generic, TypeVar

from multimodal_tf.config.number_format import MINUS, Decimal, NumberFormat, Thousands

# the share of the cells that must be numbers in one format
ENOUGH = 0.9
# a sign, a unit, a number, a unit
_LIKE = re.compile(
    rf"(?P<sign>[+\-{MINUS}])?(?P<before>[^\d\s.,'’+\-]{{1,4}})?\s?[+\-{MINUS}]?"
    r"(?P<number>\d[\d.,'’\u00a0\u2007\u2009\u202f ]*|[.,]\d+)(?:[eE][+-]?\d+)?"
    r"\s?(?P<behind>[^\d\s.,'’+\-][^\d,]{0,9})?"
)
# the simplest first
_SIGNS: list[tuple[Decimal, Thousands | None]] = [
    (".", None),
    (",", None),
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
]
_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "CAD", "AUD", "CNY", "INR", "SEK", "NOK", "DKK")
_GIVE = ": give the type number and its format"
# numbers with thousands that are no chance
_MANY = 20
# 007 is a code
_CODE = re.compile(r"\D*0\d")


F = TypeVar("F")


@dataclasses.dataclass(frozen=True)
class Written(Generic[F]):
    """How a column writes its numbers or its dates.

    Attributes:
        format: the format; None: its texts are none, or plain ones.
        why: what is to be said of it, as a phrase; also of what may mean two things.
    """

    format: F | None = None
    why: str = ""


def written_numbers(
    texts: Sequence[str], others: int = 0, decimal: Decimal | None = None
) -> Written[NumberFormat]:
    """The format that explains nearly all texts of a column.

    Args:
        texts: the cells that are texts, also of plain numbers.
        others: cells that are numbers already.
        decimal: the sign that other columns of the table have before fractions, if it is known.

    Example:
        >>> written_numbers(["1 234,5", "7,25"]).format
        NumberFormat(decimal=',', thousands=' ', unit=None)
        >>> written_numbers(["1,234", "5,678"]).why
        "'1,234' may be 1234 or 1.234: give the type number and its format"
    """
    texts = [text.strip() for text in texts]
    # in a table of decimal commas, 1.234 is no fraction
    if decimal != "," and all(map(_is_plain, texts)):
        return Written()
    like = [found for found in map(_LIKE.fullmatch, texts) if found is not None]
    enough = ENOUGH * (len(texts) + others)
    if len(like) + others < enough or any(map(_CODE.match, texts)):
        return Written()
    unit, units = _unit(like)
    if unit is not None and not _is_unit(unit, texts):
        return Written()
    formats = [
        NumberFormat(decimal=sign, thousands=thousands, unit=unit)
        for sign, thousands in _SIGNS
        if decimal in (None, sign)
    ]
    values = [[_value(one, text) for text in texts] for one in formats]
    counts = [sum(value is not None for value in read) for read in values]
    best = max(counts)
    if best + others < enough:
        shown = ", ".join(map(repr, units[:3]))
        return Written(None, f"numbers with several units ({shown})" if len(units) > 1 else "")
    return _decided(texts, formats, values, counts)


def _decided(
    texts: Sequence[str],
    formats: list[NumberFormat],
    values: list[list[float | None]],
    counts: list[int],
) -> Written[NumberFormat]:
    """The simplest of the formats that read most; none where they read different numbers."""
    best = [index for index, count in enumerate(counts) if count == max(counts)]
    grouped = [index for index in best if _has_small_numbers(texts, formats[index], values[index])]
    best = grouped or best
    first = best[0]
    for index in best[1:]:
        for text, one, other in zip(texts, values[first], values[index]):
            if one != other:
                low, high = sorted({one or 0.0, other or 0.0})
                doubt = f"{text!r} may be {high:.12g} or {low:.12g}"
                return Written(None, doubt + _GIVE)
    if formats[first].is_plain or all(map(str.isdecimal, texts)):
        return Written()
    # an example that plain numbers do not show
    example = next(
        index
        for index, text in enumerate(texts)
        if values[first][index] is not None and not text.isdecimal()
    )
    read = f"{values[first][example]:.12g}"
    return Written(formats[first], f"written as {texts[example]!r} and read as {read}")


def _has_small_numbers(
    texts: Sequence[str], one: NumberFormat, values: Sequence[float | None]
) -> bool:
    """Whether all numbers from 1,000 on have thousands, and some smaller ones have none.

    Fractions would end in a zero now and then, which a program leaves out, or all numbers would
    have them.
    """
    if one.thousands is None:
        return False
    found = [(one.thousands in text, value) for text, value in zip(texts, values)]
    small = [abs(value) < 1000 for has_sign, value in found if value is not None and not has_sign]
    return sum(has_sign for has_sign, _ in found) >= _MANY and len(small) > 0 and all(small)


def decimal_sign(columns: Sequence[Sequence[str]]) -> Decimal | None:
    """The sign before the fractions of a table's numbers, where all columns have the same.

    Example:
        >>> decimal_sign([["1.5", "2"], ["1,234"], ["$7.25"]])
        '.'
    """
    found: set[Decimal] = set()
    for texts in columns:
        written = written_numbers(texts)
        sign = "." if written.format is None else written.format.decimal
        is_number = written.format is not None or all(map(_is_plain, texts))
        # three digits may be thousands
        fraction = re.compile(rf"{re.escape(sign)}(?![0-9]{{3}}(?![0-9]))[0-9]")
        if is_number and not written.why.endswith(_GIVE) and any(map(fraction.search, texts)):
            found.add(sign)
    return found.pop() if len(found) == 1 else None


def _value(one: NumberFormat, text: str) -> float | None:
    plain = one.plain(text)
    return None if plain is None else float(plain)


def _is_plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _unit(like: Sequence["re.Match[str]"]) -> tuple[str | None, list[str]]:
    """The unit of nearly all numbers that have one, and all units, the most frequent first."""
    found = [(one["before"] or one["behind"] or "").strip() for one in like]
    counts = collections.Counter(filter(None, found))
    units = [unit for unit, _ in counts.most_common()]
    if not units:
        return None, []
    return (units[0] if counts[units[0]] >= ENOUGH * counts.total() else None), units


def _is_unit(unit: str, texts: Sequence[str]) -> bool:
    """Whether a text beside numbers is a unit; A1, B2 and 3D are codes."""
    if any(unicodedata.category(character) == "Sc" for character in unit) or unit in _CURRENCIES:
        return True
    return len(set(texts)) > 2 and not any(text.lstrip("+-").startswith(unit) for text in texts)
