"""Dates in other forms than ISO 8601: the same in Python, in the graph and in `describe`."""

import datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import Config, DateInput
from multimodal_tf.data.codecs import date_formats, iso8601
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Moments

DAYS = ["%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%Y%m%d"]
TIMES = ["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"]


@settings(max_examples=40, deadline=None)
@given(
    st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)),
    st.sampled_from(DAYS),
    st.sampled_from(TIMES),
)
def test_what_is_written_is_read(moment: datetime.datetime, day: str, time: str) -> None:
    form = day + time
    # strftime writes the year 1 without zeros
    text = moment.strftime(form.replace("%Y", f"{moment.year:04}"))
    wanted = datetime.datetime.strptime(text, form).isoformat()
    iso = read_cell(text, DateInput(format=form))
    assert isinstance(iso, bytes)
    assert iso.decode() == (f"{wanted}Z" if time else wanted[:10])
    found, valid = date_formats.parse([text, iso], form)
    assert valid.numpy().all()
    assert (found.numpy() == iso8601.parse([iso])[0].numpy()).all()


@pytest.mark.parametrize(
    ("form", "text", "iso"),
    [
        ("%m/%d/%Y %I %p", "12/31/2024 5 pm", "2024-12-31T17:00:00Z"),
        ("%m/%d/%Y %I:%M %p", "1/2/2024 12:05am", "2024-01-02T00:05:00Z"),
        ("%m/%d/%Y %I:%M %p", "1/2/2024 12:05\u202fP.M.", "2024-01-02T12:05:00Z"),
        ("%b %d, %Y", "sept. 3, 2024", "2024-09-03"),
        ("%d-%b-%y", "3-JAN-69", "1969-01-03"),
        ("%d-%b-%y", "3-Jan-68", "2068-01-03"),
        ("%d.%m.%Y", "2024-05-17T08:30+02:00", "2024-05-17T06:30:00Z"),
        ("unix", "1700000000", "2023-11-14T22:13:20Z"),
        ("unix", 1_700_000_000.0, "2023-11-14T22:13:20Z"),
        ("unix", "2024-05-17", "2024-05-17"),
        ("unix_ms", 1_700_000_000_123, "2023-11-14T22:13:20Z"),
        ("unix", -1, "1969-12-31T23:59:59Z"),
    ],
)
def test_forms(form: str, text: str | float, iso: str) -> None:
    assert read_cell(text, DateInput(format=form)) == iso.encode()
    moments, valid = date_formats.parse([str(text).removesuffix(".0")], form)
    assert valid.numpy().all()
    assert (moments.numpy() == iso8601.parse([iso])[0].numpy()).all()


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d.%m.%Y", "30.02.2024"),
        ("%d.%m.%Y", "1/2/2024"),
        ("%m/%d/%Y %I %p", "12/31/2024 13 pm"),
        ("%m/%d/%Y %I %p", "12/31/2024 0 am"),
        ("%b %d, %Y", "Decx 31, 2024"),
        ("%Y%m%d", "2024111"),
        ("unix", "999999999999999"),
        ("unix", "soon"),
    ],
)
def test_other_texts_are_broken(form: str, text: str) -> None:
    with pytest.raises(CellError, match=r"date"):
        read_cell(text, DateInput(format=form))
    kind = kind_of(DateInput(format=form))
    _, present, reason = kind.reader(Moments(mean=19_000.0, std=500.0)).read([text, ""])
    assert present.numpy().tolist() == [False, False]
    assert reason.numpy().tolist() == [
        f"not a date in ISO 8601, nor in the format {form}".encode(),
        b"",
    ]


@pytest.mark.parametrize("form", ["%d.%m", "%Y", "%d.%m.%Y %p", "%d.%m.%Y %Q", "%d %d.%m.%Y", "x"])
def test_formats_that_cannot_be(form: str) -> None:
    with pytest.raises(ValueError, match=r"must be unix, unix_ms, or a year, .* received"):
        DateInput(format=form)


MOMENTS = [
    datetime.datetime(2012, 1, 1) + datetime.timedelta(hours=977 * n % 90_000) for n in range(60)
]


@pytest.mark.parametrize("form", [*DAYS, *("%d.%m.%Y" + time for time in TIMES), "%m/%d/%y"])
def test_describe_finds_the_format(form: str) -> None:
    texts = [moment.strftime(form) for moment in MOMENTS]
    texts[7] = "NA"
    frame = pd.DataFrame({"when": texts, "label": ["a", "b"] * 30})
    described = describe(read_table(frame), presets=False)
    column, config = described.columns[0], described.config()
    assert (column.type, column.rejected, column.missing) == ("date", 0, 1)
    assert "dates, written as" in column.why
    found = config.inputs["when"]
    assert isinstance(found, DateInput)
    for text, moment in zip(texts, MOMENTS):
        if text != "NA":
            wanted = datetime.datetime.strptime(moment.strftime(form), form).isoformat()
            read = read_cell(text, found)
            assert isinstance(read, bytes)
            assert read.decode().rstrip("Z") == (wanted if b"T" in read else wanted[:10])
    assert Config.from_yaml(config.to_yaml()) == config


def described_alone(name: str, cells: list[object], **types: str) -> tuple[str, str, object]:
    frame = pd.DataFrame({name: cells, "label": ["a", "b"] * (len(cells) // 2)})
    column = describe(read_table(frame), types, presets=False).columns[0]
    return column.type, column.why, column.format


def test_what_may_be_two_dates_is_said_and_not_guessed() -> None:
    cells: list[object] = [f"{n % 12 + 1:02}/{n * 5 % 12 + 1:02}/2024" for n in range(60)]
    kind, why, _ = described_alone("when", cells)
    assert kind != "date"
    assert "'02/06/2024' may be 2024-06-02 or 2024-02-06: give the type date and its format" in why
    assert described_alone("when", [*cells, "31/01/2024", "07/08/2024"])[2] == "%d/%m/%Y"


def test_seconds_are_dates_where_the_name_says_so() -> None:
    seconds: list[object] = [int(moment.timestamp()) for moment in MOMENTS]
    assert described_alone("createdAt", seconds)[::2] == ("date", "unix")
    assert described_alone("event_time", [f"{one}000" for one in seconds])[2] == "unix_ms"
    kind, why, _ = described_alone("population", seconds)
    assert kind == "number"
    assert "may be dates such as" in why
    assert described_alone("population", seconds, population="date")[2] == "unix"


@pytest.mark.parametrize(
    "cells",
    [
        [f"10.{n % 9}.{n}.{n % 7}" for n in range(60)],
        [f"{n % 9}.{n % 13}.{n}" for n in range(60)],
        [f"555-{n + 100}-{n + 1000}" for n in range(60)],
        [str(n * 13_579 + 10_000_000) for n in range(60)],
        [f"{n} of {n + 7}" for n in range(60)],
    ],
)
def test_other_columns_are_no_dates(cells: list[object]) -> None:
    assert described_alone("x", cells)[0] != "date"
