"""How a column writes its numbers, where that is not as programs do."""

import functools
import re
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.names import Strict

# signs that are written for each other: a space may not break, or be thin
_SPACES = "[ \u00a0\u2007\u2009\u202f]"
_THOUSANDS = {" ": _SPACES, "'": "['\u2019]", ",": ",", ".": r"\."}
Decimal = Literal[".", ","]
Thousands = Literal[",", ".", " ", "'"]
MINUS = "\u2212"


class NumberFormat(Strict):
    """How a column writes its numbers: `1 234,5`, `$12.50`, `3.5 %`.

    Thousands and units may be left out in a cell, and a cell that is a number is that number. The
    unit stands before or behind the number and does not change it: `3.5 %` is 3.5. A space between
    thousands may be any space, an apostrophe either one.

    Example:
        >>> NumberFormat(decimal=",", thousands=".", unit="€").plain("-1.234,5 €")
        '-1234.5'
    """

    decimal: Decimal = "."
    thousands: Thousands | None = None
    unit: Annotated[str, Field(min_length=1, max_length=20)] | None = Field(
        None, description="a text before or behind the number, such as $, % or kg; null: none"
    )

    @pydantic.model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(
                f"decimal and thousands must be two signs, received {self.decimal!r} for both"
            )
        return self

    @pydantic.field_validator("unit")
    @classmethod
    def _unit_is_no_number(cls, unit: str | None) -> str | None:
        if unit is not None and (unit != unit.strip() or re.match(r"[0-9.,'+-]", unit)):
            raise ValueError(
                "a unit must not begin with a digit or a sign of numbers, nor have spaces around"
                f" it, received {unit!r}"
            )
        return unit

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs do."""
        return self.decimal == "." and self.thousands is None and self.unit is None

    def plain(self, text: str) -> str | None:
        """The number in a text as programs write it; None: it is none in this format."""
        found = _pattern(self.decimal, self.thousands, self.unit).fullmatch(
            text.strip().replace(MINUS, "-")
        )
        if found is None:
            return None
        whole = "".join(character for character in found["whole"] if character in "0123456789")
        fraction, exponent = found["fraction"] or "", found["exponent"] or ""
        # before the unit, or behind it
        sign = (found["sign"] or "").strip() + (found["inner"] or "")
        if len(sign) > 1:
            return None
        return f"{sign}{whole or '0'}.{fraction or '0'}{exponent}"


@functools.lru_cache(maxsize=256)
def _pattern(decimal: str, thousands: str | None, unit: str | None) -> re.Pattern[str]:
    whole = "[0-9]+"
    if thousands is not None:
        sign = _THOUSANDS[thousands]
        # 1,234,567 and, as in India, 12,34,567
        grouped = f"[1-9][0-9]{{0,2}}(?:{sign}[0-9]{{3}})+"
        indian = f"[1-9][0-9]?(?:{sign}[0-9]{{2}})+{sign}[0-9]{{3}}"
        whole = f"{grouped}|{indian}|{whole}"
    number = (
        f"(?P<inner>[+-])?(?=[0-9]|{re.escape(decimal)}[0-9])(?P<whole>{whole}|)"
        f"(?:{re.escape(decimal)}(?P<fraction>[0-9]*))?(?P<exponent>[eE][+-]?[0-9]+)?"
    )
    if unit is None:
        return re.compile(f"(?P<sign>)?{number}")
    named = re.escape(unit)
    return re.compile(
        rf"(?P<sign>[+-]{_SPACES}?)?(?:{named}{_SPACES}?)?{number}"
        rf"(?:{_SPACES}?{named})?"
    )
