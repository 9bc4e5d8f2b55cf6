"""A date as features: elapsed time, and day, week, month and year as points on a circle."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from multimodal_tf.models.layer import Layer

# features of a date
PARTS = 9

# seconds
_DAY = 86_400
# days from 0000-03-01 to 1970-01-01
_SHIFT = 719_468
# 1970-01-01 was a Thursday, three days after a Monday.
_WEEKDAY_OF_EPOCH = 3
# days
_ERA, _CENTURY, _FOUR_YEARS, _YEAR = 146_097, 36_524, 1_460, 365


@keras.saving.register_keras_serializable("multimodal_tf")
class DateParts(Layer):
    """Turns days and seconds into features.

    The circles turn once a day, a week (from Monday), a month and a year, whatever the length of
    that month or year, so that its last day is beside the first of the next. All is computed in
    float32, under mixed precision too.

    Args:
        mean: float, days since 1970-01-01, from which elapsed time is counted.
        std: float > 0, days. The unit of elapsed time.

    Call:
        `x` is int32 `(batch, 2)`, days since 1970-01-01 and seconds of the day
        (`data.codecs.iso8601`). Returns float32 `(batch, 9)`: elapsed time; then sine and cosine of
        the position in the day, the week, the month, the year.

    Example:
        >>> noon = ops.convert_to_tensor([[2, 43200]])          # a Saturday
        >>> elapsed, _, cosine, *_ = DateParts(mean=2.0, std=0.25)(noon)[0].numpy().tolist()
        >>> elapsed, cosine
        (2.0, -1.0)

    Source: Hinnant 2013, «chrono-Compatible Low-Level Date Algorithms», `civil_from_days`.
    """

    def __init__(self, mean: float, std: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = float(mean), float(std)

    def call(self, x: KerasTensor) -> KerasTensor:
        days, seconds = x[:, 0], x[:, 1]
        time = ops.cast(seconds, "float32") / _DAY
        of_month, month_length, of_year, year_length = _calendar(days)
        # Whole days are subtracted as integers, which loses no precision.
        whole = math.floor(self.mean)
        elapsed = (ops.cast(days - whole, "float32") + (time - (self.mean - whole))) / self.std
        weekday = ops.mod(days + _WEEKDAY_OF_EPOCH, 7)
        circles = [
            time,
            _fraction(weekday, time, 7),
            _fraction(of_month, time, month_length),
            _fraction(of_year, time, year_length),
        ]
        points = [curve(turn * (2 * math.pi)) for turn in circles for curve in (ops.sin, ops.cos)]
        return ops.stack([elapsed, *points], axis=1)

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        return KerasTensor((x.shape[0], PARTS), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std}


def _fraction(days: KerasTensor, time: KerasTensor, length: KerasTensor | int) -> KerasTensor:
    """Elapsed fraction of a circle of `length` days."""
    return (ops.cast(days, "float32") + time) / ops.cast(length, "float32")


def _calendar(days: KerasTensor) -> tuple[KerasTensor, KerasTensor, KerasTensor, KerasTensor]:
    """Day of the month from 0, length of the month, day of the year from 0, length of the year.

    All are int32 `(batch,)`. Years are counted from March on, so that the leap day is the last, and
    400 years are an era.
    """
    days = days + _SHIFT
    era = ops.floor_divide(days, _ERA)
    day = days - era * _ERA
    year = ops.floor_divide(day - day // _FOUR_YEARS + day // _CENTURY - day // (_ERA - 1), _YEAR)
    day = day - (year * _YEAR + year // 4 - year // 100)
    # 0 is March.
    month = (5 * day + 2) // 153
    # January and February belong to the next year.
    since_january = month >= 10
    year = year + ops.cast(since_january, "int32")
    leap = ops.cast(
        ops.logical_and(year % 4 == 0, ops.logical_or(year % 100 != 0, year % 400 == 0)), "int32"
    )
    length = ops.where(month == 11, 28 + leap, _month_start(month + 1) - _month_start(month))
    of_year = ops.where(since_january, day - 306, day + 59 + leap)
    return day - _month_start(month), length, of_year, _YEAR + leap


def _month_start(month: KerasTensor) -> KerasTensor:
    return (153 * month + 2) // 5
