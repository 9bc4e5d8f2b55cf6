"""A date as a model sees it: time passed, and the places in the day, week, month and year, each as
a point on a circle.
"""

import math

import keras
from keras import layers, ops

# numbers that a date becomes
PARTS = 9

# seconds
_DAY = 86_400
# days from 0000-03-01 to 1970-01-01
_SHIFT = 719_468
# 1970-01-01 was a Thursday, three days after a Monday
_WEDNESDAY = 3
# days
_ERA, _CENTURY, _FOUR_YEARS, _YEAR = 146_097, 36_524, 1_460, 365


@keras.saving.register_keras_serializable("multimodal_tf")
class DateParts(layers.Layer):
    """Days and seconds to what a network can use of a date.

    The circles turn once a day, once a week from Monday on, once a month and once a year, whatever
    the length of that month or year, so that its last day is beside the next one's first. All is
    computed in float32, also under mixed precision.

    Args:
        mean: float, days since 1970-01-01. Moment from which time passed is counted.
        std: float > 0, days. Its unit.

    Call:
        `x` is int32 `(batch, 2)`, days since 1970-01-01 and seconds of the day
        (`data.codecs.iso8601`). Returns float32 `(batch, 9)`: time passed; then sine and cosine of
        the place in the day, the week, the month, the year.

    Example:
        >>> noon = ops.convert_to_tensor([[2, 43200]])          # a Saturday
        >>> passed, _, at_noon, *_ = DateParts(mean=2.0, std=0.25)(noon)[0].numpy().tolist()
        >>> passed, at_noon
        (2.0, -1.0)

    Source: Hinnant 2013, «chrono-Compatible Low-Level Date Algorithms», `civil_from_days`.
    """

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.std = float(mean), float(std)

    def call(self, x):
        days, seconds = x[:, 0], x[:, 1]
        day = ops.cast(seconds, "float32") / _DAY
        of_month, in_month, of_year, in_year = _places(days)
        # subtracted among whole numbers, where nothing is lost
        whole = math.floor(self.mean)
        passed = (ops.cast(days - whole, "float32") + (day - (self.mean - whole))) / self.std
        weekday = ops.mod(days + _WEDNESDAY, 7)
        circles = [
            day,
            _turn(weekday, day, 7),
            _turn(of_month, day, in_month),
            _turn(of_year, day, in_year),
        ]
        points = [curve(turn * (2 * math.pi)) for turn in circles for curve in (ops.sin, ops.cos)]
        return ops.stack([passed, *points], axis=1)

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], PARTS), "float32")

    def get_config(self):
        return super().get_config() | {"mean": self.mean, "std": self.std}


def _turn(whole, day, length):
    """Share of a circle that has passed: `whole` days and a part of one, of `length`."""
    return (ops.cast(whole, "float32") + day) / ops.cast(length, "float32")


def _places(days):
    """Days passed in the month, days of the month, days passed in the year, days of the year; int32
    `(batch,)`.

    Years are counted from March on, so that the leap day is the last, and 400 years are a round.
    """
    days = days + _SHIFT
    era = ops.floor_divide(days, _ERA)
    day = days - era * _ERA
    year = ops.floor_divide(day - day // _FOUR_YEARS + day // _CENTURY - day // (_ERA - 1), _YEAR)
    day = day - (year * _YEAR + year // 4 - year // 100)
    # 0 is March
    month = (5 * day + 2) // 153
    # of the next year by our count
    since_january = month >= 10
    year = year + ops.cast(since_january, "int32")
    leap = ops.cast(
        ops.logical_and(year % 4 == 0, ops.logical_or(year % 100 != 0, year % 400 == 0)), "int32"
    )
    in_month = ops.where(month == 11, 28 + leap, _month_start(month + 1) - _month_start(month))
    of_year = ops.where(since_january, day - 306, day + 59 + leap)
    return day - _month_start(month), in_month, of_year, _YEAR + leap


def _month_start(month):
    return (153 * month + 2) // 5
