"""One spelling for one value: of categories, classes, labels, groups and strata.

pandas writes the whole numbers of a column with gaps as `1.0`, a Mac writes `é` as two characters.
`data.tokenizers.spelling` is the same rule in the graph.
"""

import re
import unicodedata
from typing import Any

# characters of a text that is brought to its normal form
LONGEST = 65_536

# 007 and +1 are codes
_PLAIN = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.([0-9]+))?")
# as Python and pandas write numbers below 0.0001 and from 10^16; other exponents are codes
EXPONENT = (
    r"-?[1-9](?:\.[0-9]*[1-9])?"
    r"e(?:-0[5-9]|-[1-9][0-9]|-[1-3][0-9][0-9]|\+1[6-9]|\+[2-9][0-9]|\+[1-3][0-9][0-9])"
)
_EXPONENT = re.compile(EXPONENT)
# as pandas writes a date: in CSV, and as text
MIDNIGHT = r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]00:00:00(?:\.0+)?"
_MIDNIGHT = re.compile(MIDNIGHT)


def canonical(text: str) -> str:
    """The form in which a target text is learned, compared and predicted.

    Example:
        >>> canonical(" A  cafe\u0301\\n")
        'A café'
    """
    return unicodedata.normalize("NFC", " ".join(text.split()))


def spelling(text: str) -> str:
    """The one spelling of a value.

    White space at the ends is dropped, and letters with accents are composed (NFC). A plain decimal
    number has no zeros behind its fraction and no exponent, 0 has no sign, and a date at midnight
    no time. Other texts stay as they are: 007, +1, 1e3 and 1,000 are codes.

    Example:
        >>> [spelling(text) for text in ("1.0", "2.50", " 007", "-0.0", "1e-05", "1e3")]
        ['1', '2.5', '007', '0', '0.00001', '1e3']
    """
    text = text.strip()
    if not text.isascii():
        return unicodedata.normalize("NFC", text) if len(text) <= LONGEST else text
    if text[:1] not in "-0123456789":
        return text
    plain = _PLAIN.fullmatch(text)
    if plain:
        fraction = (plain[2] or "").rstrip("0")
        number = f"{plain[1]}.{fraction}" if fraction else plain[1]
        return "0" if number == "-0" else number
    midnight = _MIDNIGHT.fullmatch(text)
    if midnight:
        return midnight[1]
    return _without_exponent(text) if _EXPONENT.fullmatch(text) else text


def as_text(value: Any) -> Any:
    """The spelling of a text or number, as which YAML may name a class or a word for gaps.

    Other values are unchanged.

    Example:
        >>> as_text(-999.0), as_text(" NA"), as_text(True)
        ('-999', 'NA', True)
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return spelling(str(value)) if is_number or isinstance(value, str) else value


def _without_exponent(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    digits, shift = mantissa.lstrip("-").replace(".", ""), int(exponent)
    if shift < 0:
        return f"{sign}0.{'0' * (-shift - 1)}{digits}"
    return (
        sign
        + digits[: shift + 1].ljust(shift + 1, "0")
        + (f".{digits[shift + 1 :]}" if len(digits) > shift + 1 else "")
    )
