"""Dates in ISO 8601 to whole days since 1970-01-01 and seconds of the day, in UTC.

It reads `2024-05-17`, also with a time of day (`2024-05-17T08:30`, seconds, a fraction, `T` or a
space between) and with a zone (`Z`, `+02:00`, `+0200`, `+02`; the default is UTC), and `2024-05`
and `2024`, which mean their first day. The calendar is the proleptic Gregorian one, years 1 to
9999, as in Python's `datetime`. A fraction of a second is dropped.
"""

import tensorflow as tf

# with the same meaning in Python's `re` and in TensorFlow's RE2
PATTERN = (
    r"[ \t\r\n]*([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?"
    r"(?: ?(?:[Zz]|(?:\+|(-))([0-9]{2})(?::?([0-9]{2}))?))?)?)?)?[ \t\r\n]*"
)
NOT_A_DATE = "not a date in ISO 8601"
# seconds
DAY = 86_400

# 0001-01-01 and 9999-12-31, in days since 1970-01-01
FIRST, LAST = -719_162, 2_932_896
_EPOCH = "1970-01-01"
# days of a common year
_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads dates.

    Args:
        texts: string `(batch,)`, also of invalid dates.

    Returns:
        `(moments, valid)`: int32 `(batch, 2)`, days since 1970-01-01 (negative before) and seconds
        of the day, and bool `(batch,)`. Invalid dates are zeros.

    Example:
        >>> moments, valid = parse(["1970-01-02T00:00:30", "2024-02-29 23:30-01:00", "2023-02-30"])
        >>> moments.numpy().tolist(), valid.numpy().tolist()
        ([[1, 30], [19783, 1800], [0, 0]], [True, True, False])
    """
    texts = tf.convert_to_tensor(texts)
    written = tf.strings.regex_full_match(texts, PATTERN)
    parts = _parts(tf.where(written, texts, _EPOCH))
    year, month, day, hour, minute, second, zone_sign, zone_hours, zone_minutes = tf.unstack(
        parts, axis=1
    )
    clock = (hour < 24) & (minute < 60) & (second < 60) & (zone_hours < 24) & (zone_minutes < 60)
    calendar = (
        (year >= 1)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (day <= _month_length(year, month))
    )
    seconds = (
        hour * 3600 + minute * 60 + second - zone_sign * (zone_hours * 3600 + zone_minutes * 60)
    )
    days = _days(year, month, day) + seconds // DAY
    valid = written & clock & calendar & (days >= FIRST) & (days <= LAST)
    return tf.where(valid[:, tf.newaxis], tf.stack([days, seconds % DAY], axis=1), 0), valid


def problem(texts: tf.Tensor) -> tf.Tensor:
    """Why a text is no date: string `(batch,)`, "" for dates."""
    return tf.where(parse(texts)[1], "", NOT_A_DATE)


def _parts(texts: tf.Tensor) -> tf.Tensor:
    """The numbers in texts of the form `PATTERN`: int32 `(batch, 9)`.

    Where they are left out, month and day are 1, times 0 and the zone's sign 1.
    """
    whole = tf.strings.regex_replace(texts, r"^[ \t\r\n]*([0-9]{4})[ \t\r\n]*$", r"\1-01-01")
    whole = tf.strings.regex_replace(whole, r"^[ \t\r\n]*([0-9]{4}-[0-9]{2})[ \t\r\n]*$", r"\1-01")
    # an unmatched group is "" here, so a zero before it, or a one behind the sign, makes a number
    numbers = tf.strings.regex_replace(whole, PATTERN, r"\1,\2,\3,0\4,0\5,0\6,\71,0\8,0\9")
    return tf.reshape(
        tf.strings.to_number(tf.strings.split(numbers, ",").values, tf.int32), [-1, 9]
    )


def _days(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    before = year - 1
    leap_days = (
        before // 4 - before // 100 + before // 400 + tf.cast(_leap(year) & (month > 2), tf.int32)
    )
    return (
        before * 365 + leap_days + tf.gather(_BEFORE_MONTH, _month_index(month)) + day - 1 + FIRST
    )


def _month_length(year: tf.Tensor, month: tf.Tensor) -> tf.Tensor:
    return tf.gather(_LENGTHS, _month_index(month)) + tf.cast(_leap(year) & (month == 2), tf.int32)


def _month_index(month: tf.Tensor) -> tf.Tensor:
    # a wrong month is reported elsewhere, but must not fail a batch
    return tf.clip_by_value(month - 1, 0, 11)


def _leap(year: tf.Tensor) -> tf.Tensor:
    return (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
