"""Dates: text in ISO 8601, "" where missing."""

import datetime
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import DateInput
from multimodal_tf.data.codecs import date_formats, dates, iso8601
from multimodal_tf.data.codecs.cell import Cell
from multimodal_tf.data.column_stats import CELLS, Learner, RunningMoments
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds import scaling
from multimodal_tf.data.kinds.cell import read_text
from multimodal_tf.data.kinds.kind import Kind, Reader
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.schema import Moments

# the schema counts a date's days from it
_EPOCH = datetime.date(1970, 1, 1)


class DateKind(Kind[DateInput, Moments]):
    """ISO 8601 (`data.codecs.iso8601` lists the forms), a date of Python, pandas or NumPy, or text
    in the column's own format.
    """

    def read(self, value: Any, root: Root) -> bytes:
        """ISO 8601 in UTC."""
        read = value if isinstance(value, dates.TYPES) else read_text(value)
        return date_formats.to_iso(read, self.config.format).encode()

    def _problem(self, cell: Cell) -> str:
        return str(_problem(tf.constant(cell)).numpy().decode())

    def reader(self, stats: Moments) -> "DateReader":
        """Needs `Moments`."""
        return DateReader(self.config, stats)

    def example(self, stats: Moments) -> tf.Tensor:
        """The day of the training mean."""
        return tf.constant((_EPOCH + datetime.timedelta(days=round(stats.mean))).isoformat())

    def learner(self) -> Learner:
        """Mean and standard deviation of days since 1970-01-01."""
        return RunningMoments(_days)


class DateReader(Reader[DateInput]):
    """UTF-8 in ISO 8601, or the column's format, to days since 1970-01-01 and seconds, in UTC."""

    def __init__(self, config: DateInput, stats: Moments) -> None:
        super().__init__(config)
        self._stats = stats

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """int32 `(batch, 2)`; the training mean where missing."""
        moments, valid = date_formats.parse(cells, self.config.format)
        mean, std = self._stats.mean, self._stats.std
        present = valid & scaling.is_scalable(moments[:, 0], mean, std)
        form = self.config.format
        not_one = iso8601.NOT_A_DATE + (f", nor in the format {form}" if form else "")
        broken = tf.where(valid, scaling.TOO_FAR, not_one)
        return (
            tf.where(present[:, tf.newaxis], moments, [round(mean), 0]),
            present,
            tf.where(present | normalization.blank(cells), "", broken),
        )


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _problem(data: tf.Tensor) -> tf.Tensor:
    return iso8601.problem(data[tf.newaxis])[0]


@tf.function(input_signature=[CELLS], autograph=False)
def _days(cells: tf.Tensor) -> tf.Tensor:
    """Days since 1970-01-01 with the time of day as a fraction: float64; NaN where missing."""
    moments, valid = iso8601.parse(cells)
    days, seconds = tf.unstack(tf.cast(moments, tf.float64), axis=1)
    return tf.where(valid, days + seconds / iso8601.DAY, np.nan)
