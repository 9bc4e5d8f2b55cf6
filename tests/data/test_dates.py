"""Dates in a table, in the graph and in the model, compared with Python's `datetime`."""

import calendar
import datetime
import math

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multimodal_tf.config import DateInput
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.dates import to_iso
from multimodal_tf.data.codecs.iso8601 import parse
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.models.towers.date_parts import DateParts

EPOCH = datetime.datetime(1970, 1, 1)
graph = tf.function(parse, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)


def reference(text):
    """[days, seconds] by Python."""
    moment = datetime.datetime.fromisoformat(text.strip())
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    passed = moment - EPOCH
    return [passed.days, passed.seconds]


zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(
    lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
)
moments = st.datetimes(
    datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30), timezones=st.none() | zones
)
texts = st.one_of(
    st.dates().map(datetime.date.isoformat),
    st.builds(
        datetime.datetime.isoformat,
        moments,
        sep=st.sampled_from("T "),
        timespec=st.sampled_from(["minutes", "seconds", "auto"]),
    ),
    st.datetimes().map(lambda moment: f" {moment.isoformat()}Z\n"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=20))
def test_the_graph_and_the_cell_agree_with_python(written):
    expected = [reference(text) for text in written]
    found, valid = graph(tf.constant(written))
    assert valid.numpy().all()
    assert found.numpy().tolist() == expected
    stored = tf.constant([read_cell(text, DateInput()) for text in written])
    assert graph(stored)[0].numpy().tolist() == expected


@settings(max_examples=100, deadline=None)
@given(
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?([+-][0-9]{2}:?[0-9]{2})?)?",
        fullmatch=True,
    )
)
@example("0001-01-01T00:00+00:01")
@example("9999-12-31T23:59-00:01")
@example("2024-02-29T24:00")
def test_the_graph_refuses_what_the_cell_refuses(text):
    try:
        stored = to_iso(text)
    except CellError:
        stored = None
    found, valid = graph(tf.constant([text]))
    assert bool(valid[0]) == (stored is not None)
    assert (kind_of(DateInput()).problem(text.encode()) == "") == (stored is not None)
    if stored is not None:
        assert found[0].numpy().tolist() == reference(stored)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40) | st.text("0123456789-:TZ+. ", max_size=30).map(str.encode))
def test_no_bytes_fail_a_batch_nor_touch_another_row(data):
    found, valid = graph(tf.constant([data, b"1970-01-02"]))
    assert found[1].numpy().tolist() == [1, 0]
    assert valid[1]
    assert valid[0] or not found[0].numpy().any()


def test_every_day_of_400_years():
    days = [datetime.date(1799, 1, 1) + datetime.timedelta(days=n) for n in range(146_097)]
    found, valid = graph(tf.constant([day.isoformat() for day in days]))
    assert valid.numpy().all()
    np.testing.assert_array_equal(
        found[:, 0], [day.toordinal() - EPOCH.toordinal() for day in days]
    )


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("2024", "2024-01-01"),
        (2024, "2024-01-01"),
        # as pandas holds the years of a column with gaps
        (2024.0, "2024-01-01"),
        ("2024-05", "2024-05-01"),
        (" 2024-05-17 ", "2024-05-17"),
        (b"2024-05-17", "2024-05-17"),
        ("2024-05-17T08:30", "2024-05-17T08:30:00Z"),
        ("2024-05-17 08:30:01.999999", "2024-05-17T08:30:01Z"),
        ("2024-05-17t08:30:01,5z", "2024-05-17T08:30:01Z"),
        ("2024-05-17T00:30:00+02:00", "2024-05-16T22:30:00Z"),
        ("2024-05-17 00:30:00 -0230", "2024-05-17T03:00:00Z"),
        ("2024-05-17 00:30:00+02", "2024-05-16T22:30:00Z"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 1, 2, 3, 4), "2024-02-29T01:02:03Z"),
        (datetime.datetime(1, 1, 1), "0001-01-01T00:00:00Z"),
        (pd.Timestamp("2024-07-01 12:00", tz="Europe/Berlin"), "2024-07-01T10:00:00Z"),
        (np.datetime64("2024-05"), "2024-05-01"),
        (np.datetime64("2024-05-17T08:30:00.123456789"), "2024-05-17T08:30:00Z"),
        (np.datetime64("1969-12-31T23:59:59.5"), "1969-12-31T23:59:59Z"),
    ],
)
def test_cells(value, stored):
    assert read_cell(value, DateInput()) == stored.encode()
    # the graph reads the cell itself in the same way
    if isinstance(value, str):
        np.testing.assert_array_equal(*(graph(tf.constant([text]))[0] for text in (value, stored)))


@pytest.mark.parametrize("value", [None, "", " ", pd.NaT, np.datetime64("NaT"), float("nan")])
def test_missing_cells(value):
    assert read_cell(value, DateInput()) is None


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "17.05.2024",
        "05/17/2024",
        "20240517",
        "2024-5-7",
        "0000-01-01",
        "2024-05-17T8:30",
        "2024-05-17T08:30+25:00",
        24,
        0.5,
        True,
        [1],
    ],
)
def test_no_dates(value):
    with pytest.raises(CellError):
        read_cell(value, DateInput())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2023-02-30", "not a date in ISO 8601: '2023-02-30' (day"),
        ("2024-05-17T24:00", "not a date in ISO 8601: '2024-05-17T24:00' (hour"),
        (
            "0001-01-01T00:00+02:00",
            "a date must lie in the years 1 to 9999 in UTC, received '0001-01-01T00:00+02:00'",
        ),
        (np.datetime64("20000-01-01"), "not a date in ISO 8601: "),
    ],
)
def test_the_reason(value, reason):
    with pytest.raises(CellError) as caught:
        read_cell(value, DateInput())
    assert str(caught.value).startswith(reason)


def parts_of(moment, mean, std):
    """`DateParts` by Python's calendar, in float64."""
    passed = moment - EPOCH
    day = passed.seconds / 86_400
    turns = [
        day,
        (moment.weekday() + day) / 7,
        (moment.day - 1 + day) / calendar.monthrange(moment.year, moment.month)[1],
        (moment.timetuple().tm_yday - 1 + day) / (366 if calendar.isleap(moment.year) else 365),
    ]
    return [
        (passed.days + day - mean) / std,
        *(curve(2 * math.pi * turn) for turn in turns for curve in (math.sin, math.cos)),
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.datetimes(), min_size=1, max_size=30), st.floats(-1e5, 1e5), st.floats(0.1, 1e5))
@example(
    [
        datetime.datetime(2024, 2, 29, 23, 59, 59),
        datetime.datetime(2023, 12, 31),
        datetime.datetime(1900, 2, 28),
    ],
    19_000.5,
    0.1,
)
def test_the_parts_of_a_date_are_those_of_python(written, mean, std):
    x = np.array([[(moment - EPOCH).days, (moment - EPOCH).seconds] for moment in written], "int32")
    expected = np.array([parts_of(moment, mean, std) for moment in written])
    found = DateParts(mean, std)(x).numpy()
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=3e-7, atol=1e-6 / std)
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=2e-6)


def test_the_parts_are_float32_under_mixed_precision():
    layer = DateParts(19_000.25, 400.0, dtype="mixed_float16")
    x = np.array([[19_000, 21_600], [19_800, 21_600]], "int32")
    assert layer(x).dtype == "float32"
    np.testing.assert_allclose(layer(x)[:, 0], [0, 2], atol=1e-6)
    assert DateParts.from_config(layer.get_config()).get_config() == layer.get_config()
    assert layer(keras.Input((2,), dtype="int32")).shape == (None, 9)
