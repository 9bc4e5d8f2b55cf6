"""Dates in a column's own format: rewritten to ISO 8601 by the same rules in Python and in graphs.

A format is `config.date_format.DateFormat`. A text that is not of the format stays as it is, so ISO
8601 is read in every column.
"""

import datetime
import functools
import re
from typing import Any

import tensorflow as tf

from multimodal_tf.config.date_format import UNIX
from multimodal_tf.data.codecs import dates, iso8601
from multimodal_tf.data.codecs.cell import CellError

# a pattern that means the same in `re` and in RE2, and what takes its place
Rule = tuple[str, str]

_SPACE = "[ \t\u00a0\u202f]"
_TWO = "([0-9]{1,2})"
_GROUPS = {"Y": "([0-9]{4})", "y": "([0-9]{2})", "b": r"([A-Za-z]{3,9})\.?"}
_GROUPS |= {"B": _GROUPS["b"], "M": "([0-9]{2})", "S": "([0-9]{2})"}
_GROUPS |= {"p": r"([AaPp])\.?[Mm]\.?"} | dict.fromkeys("mdHI", _TWO)
_MONTHS = ["jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?"] + [
    "aug(?:ust)?",
    "sept?(?:ember)?",
    "oct(?:ober)?",
    "nov(?:ember)?",
    "dec(?:ember)?",
]
_NUMBER = r"[ \t]*(-?[0-9]{1,15})(?:\.[0-9]*)?[ \t]*"
_EPOCH = datetime.datetime(1970, 1, 1)


@functools.lru_cache(maxsize=1024)
def rules(form: str) -> tuple[str, list[Rule]]:
    """The pattern of a whole text in a format, and the rules that make it ISO 8601."""
    found = re.findall(r"%(.)|([^%])", form)
    pattern = ""
    place: dict[str, str] = {}
    for index, (directive, literal) in enumerate(found):
        if directive:
            place[directive] = f"\\{len(place) + 1}"
            # without a sign between them, all have two digits
            close = any(
                found[beside][0] for beside in (index - 1, index + 1) if 0 <= beside < len(found)
            )
            group = _GROUPS[directive]
            pattern += group.replace("{1,2}", "{2}") if close and directive not in "p" else group
        elif literal.isspace():
            # 5 pm and 5pm
            follows = found[index + 1][0] if index + 1 < len(found) else ""
            pattern += _SPACE + ("*" if follows == "p" else "+")
        else:
            pattern += re.escape(literal)
    month = next(place[one] for one in "mbB" if one in place)
    iso = f"{place.get('Y') or place['y']}-{month}-{place['d']}"
    if "H" in place or "I" in place:
        clock = [place.get("H") or place["I"], place.get("M", "00"), place.get("S", "00")]
        iso += "T" + ":".join(clock) + place.get("p", "")
    whole = f"{_SPACE}*{pattern}{_SPACE}*"
    return whole, [(f"^{whole}$", iso), *_steps(place)]


def _steps(place: dict[str, str]) -> list[Rule]:
    steps: list[Rule] = []
    if "b" in place or "B" in place:
        steps += [(f"-(?i:{name})-", f"-{number:02}-") for number, name in enumerate(_MONTHS, 1)]
    if "y" in place:
        # as POSIX
        steps += [("^(6[0-8]|[0-5][0-9])-", r"20\1-"), ("^(69|[7-9][0-9])-", r"19\1-")]
    steps += [("^([0-9]{4})-([0-9])-", r"\1-0\2-"), ("-([0-9])(T|$)", r"-0\1\2")]
    if "H" in place or "I" in place:
        steps.append(("T([0-9]):", r"T0\1:"))
    if "p" in place:
        steps += [("T12(:[0-9:]*)[Aa]$", r"T00\1"), ("T12(:[0-9:]*)[Pp]$", r"T12\1")]
        steps += [(f"T{hour:02}(:[0-9:]*)[Pp]$", rf"T{hour + 12}\1") for hour in range(1, 12)]
        steps.append(("T(0[1-9]|1[01])(:[0-9:]*)[Aa]$", r"T\1\2"))
    return steps


def to_iso(value: Any, form: str | None) -> str:
    """As `dates.to_iso`, of a text in the column's format, too, or a number of seconds.

    Raises:
        CellError: it is neither of the format, nor in ISO 8601.

    Example:
        >>> to_iso("31.12.2024", "%d.%m.%Y"), to_iso(1_700_000_000, "unix")
        ('2024-12-31', '2023-11-14T22:13:20Z')
        >>> to_iso("12/31/2024 5 pm", "%m/%d/%Y %I %p"), to_iso("2024-12-31", "%d.%m.%Y")
        ('2024-12-31T17:00:00Z', '2024-12-31')
    """
    if form is None or isinstance(value, dates.TYPES):
        return dates.to_iso(value)
    text = value
    if form in UNIX:
        found = re.fullmatch(_NUMBER, str(value), re.ASCII)
        if found is not None:
            return dates.to_iso(_moment(int(found[1]), form, str(value)))
    else:
        text = _rewritten(value, form)
    try:
        return dates.to_iso(text)
    except CellError:
        raise CellError(
            f"not a date in the format {form}, nor in ISO 8601: {value!r:.60}"
        ) from None


def _moment(number: int, form: str, text: str) -> datetime.datetime:
    try:
        return _EPOCH + datetime.timedelta(seconds=number // UNIX[form])
    except OverflowError:
        raise CellError(f"a date must lie in the years 1 to 9999, received {text!r:.60}") from None


def _rewritten(text: str, form: str) -> str:
    for number, (pattern, iso) in enumerate(rules(form)[1]):
        # TensorFlow reads one digit behind a backslash
        text, found = re.subn(pattern, re.sub(r"\\([0-9])", r"\\g<\1>", iso), text, flags=re.ASCII)
        if number == 0 and not found:
            break
    return text


def parse(texts: tf.Tensor, form: str | None) -> tuple[tf.Tensor, tf.Tensor]:
    """As `iso8601.parse`, of texts in the column's format, too.

    Example:
        >>> moments, valid = parse(["2. Jan 1970", "1970-01-02", "2/1/1970"], "%d. %b %Y")
        >>> moments.numpy().tolist(), valid.numpy().tolist()
        ([[1, 0], [1, 0], [0, 0]], [True, True, False])
    """
    texts = tf.convert_to_tensor(texts)
    if form is None:
        return iso8601.parse(texts)
    if form in UNIX:
        return _parse_unix(texts, form)
    whole, steps = rules(form)
    rewritten = texts
    for pattern, iso in steps:
        rewritten = tf.strings.regex_replace(rewritten, pattern, iso, replace_global=False)
    return iso8601.parse(tf.where(tf.strings.regex_full_match(texts, whole), rewritten, texts))


def _parse_unix(texts: tf.Tensor, form: str) -> tuple[tf.Tensor, tf.Tensor]:
    is_number = tf.strings.regex_full_match(texts, _NUMBER)
    whole = tf.strings.regex_replace(tf.where(is_number, texts, "0"), f"^{_NUMBER}$", r"\1")
    seconds = tf.strings.to_number(whole, tf.int64) // UNIX[form]
    days = seconds // iso8601.DAY
    fits = is_number & (days >= iso8601.FIRST) & (days <= iso8601.LAST)
    days = tf.where(fits, days, 0)
    found = tf.cast(tf.stack([days, seconds % iso8601.DAY], axis=1), tf.int32)
    moments, valid = iso8601.parse(tf.where(is_number, "", texts))
    return tf.where(fits[:, tf.newaxis], found, moments), fits | valid
