"""A date of a table -> ISO 8601 in UTC, one spelling for one moment."""

import datetime
import re
from typing import Any

import numpy as np

from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.iso8601 import NOT_A_DATE, PATTERN

# pandas' Timestamp and Python's datetime are subclasses
TYPES = (datetime.date, np.datetime64)

_PATTERN = re.compile(PATTERN)


def looks_like_date(text: str) -> bool:
    """Whether a text has the form of a date with a month, even if no such day exists."""
    found = _PATTERN.fullmatch(text)
    return found is not None and "-" in text


def to_iso(value: Any) -> str:
    """Converts a date to one spelling.

    Args:
        value: Python date or datetime, pandas Timestamp, NumPy datetime64, or text that
            `codecs.iso8601` reads.

    Returns:
        `2024-05-17`, or `2024-05-17T08:30:00Z` where the source has a time of day. A fraction of a
        second is dropped.

    Raises:
        CellError: it is no date, or not in the years 1 to 9999 in UTC.

    Example:
        >>> to_iso("2024-05-17 08:30+02:00"), to_iso("2024-05"), to_iso(np.datetime64("2024-05-17"))
        ('2024-05-17T06:30:00Z', '2024-05-01', '2024-05-17')
    """
    moment = _of_text(value) if isinstance(value, str) else _of_object(value)
    if not isinstance(moment, datetime.datetime):
        return moment.isoformat()
    try:
        moment = moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except OverflowError:
        raise CellError(
            f"a date must lie in the years 1 to 9999 in UTC, received {str(value)!r:.60}"
        ) from None
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _of_object(value: Any) -> datetime.date:
    if isinstance(value, np.datetime64):
        value = _of_numpy(value)
    # a Timestamp calculates in nanoseconds, for fewer years
    if isinstance(value, datetime.datetime):
        return datetime.datetime(*value.timetuple()[:6], tzinfo=value.tzinfo, fold=value.fold)
    date: datetime.date = value
    return date


def _of_numpy(value: np.datetime64) -> datetime.date:
    day = np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D")
    try:
        date: Any = value.astype("datetime64[D]" if day else "datetime64[s]").item()
    # of units from femtoseconds down
    except OverflowError:
        date = None
    # NumPy returns a number for a year that Python does not support
    if not isinstance(date, datetime.date):
        raise CellError(f"{NOT_A_DATE}: {str(value)!r:.60} (outside the years 1 to 9999)")
    found: datetime.date = date
    return found


def _of_text(text: str) -> datetime.date:
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise CellError(f"{NOT_A_DATE}: {text!r:.60}")
    year, month, day, hour, minute, second, minus, zone_hours, zone_minutes = found.groups()
    try:
        date = datetime.date(int(year), int(month or 1), int(day or 1))
        if hour is None:
            return date
        time = datetime.time(
            int(hour), int(minute), int(second or 0), tzinfo=_zone(minus, zone_hours, zone_minutes)
        )
    except ValueError as error:
        # a day, an hour or a minute that does not exist
        raise CellError(f"{NOT_A_DATE}: {text!r:.60} ({error})") from None
    return datetime.datetime.combine(date, time)


def _zone(minus: str | None, hours: str | None, minutes: str | None) -> datetime.timezone:
    if int(minutes or 0) > 59:
        raise ValueError("minute of the zone must be in 0..59")
    east = datetime.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return datetime.timezone(-east if minus else east)
