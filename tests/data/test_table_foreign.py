"""What a file or a DataFrame may hold besides texts and numbers is at worst a cell's reason."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from multimodal_tf.config import ClassificationHead, Config, DateInput, NumberInput, TextInput
from multimodal_tf.data.codecs.cell import BrokenCell, CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.table import read_table

ROWS = 12


class NoZone(datetime.tzinfo):
    """A time zone that raises."""


class Unseen:
    """An object that cannot be shown."""

    def __repr__(self):
        raise RuntimeError("hidden")


def moments(values, unit, zone=None):
    return pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone))


def deep(levels):
    value = [1]
    for _ in range(levels):
        value = [value]
    return value


OUTSIDE = [10**18] + [0] * (ROWS - 1)
PARQUET = {
    "year": moments(OUTSIDE, "us"),
    "milliseconds": moments([10**15] * ROWS, "ms"),
    "zone": moments([0] * ROWS, "us", "Mars/Base"),
    "offset": moments([0] * ROWS, "ns", "+99:00"),
    "date32": pa.array([2**30] * ROWS, pa.int32()).cast(pa.date32()),
    "date64": pa.array([86_400_000 * 10**10] * ROWS, pa.int64()).cast(pa.date64()),
    "time": pa.array(OUTSIDE, pa.int64()).cast(pa.time64("us")),
    "duration": pa.array([2**62] * ROWS, pa.int64()).cast(pa.duration("s")),
    "decimal": pa.array([decimal.Decimal(10) ** 60] * ROWS, pa.decimal256(70)),
    "struct": pa.StructArray.from_arrays([moments(OUTSIDE, "us")], ["t"]),
    "map": pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
    "not UTF-8": pa.Array.from_buffers(
        pa.string(), ROWS, pa.array([b"\xff"] * ROWS, pa.binary()).buffers()
    ),
    "lists not UTF-8": pa.ListArray.from_arrays(
        pa.array(range(ROWS + 1), pa.int32()),
        pa.Array.from_buffers(pa.string(), ROWS, pa.array([b"\xff"] * ROWS).buffers()),
    ),
    "half": pa.array(np.array([np.inf] * ROWS, np.float16)),
    "unsigned": pa.array([2**64 - 1] * ROWS, pa.uint64()),
    "deep": pa.array([deep(100)] * ROWS),
}
JSON = {
    **{f"deep {levels}": "[" * levels + "]" * levels for levels in (200, 900, 5_000)},
    **{f"maps {levels}": '{"a":' * levels + "1" + "}" * levels for levels in (900, 5_000)},
    "infinite": "1e999",
    "digits": "9" * 5_000,
    "digits in a list": f"[{'9' * 5_000}]",
    "surrogate": '"\\ud800"',
    "surrogate key": '{"\\ud800": 1}',
    "mixed": '[1, "a", null, {"b": [1]}]',
}
OBJECTS = {
    "no zone": datetime.datetime(2024, 1, 1, tzinfo=NoZone()),
    "signaling": decimal.Decimal("sNaN"),
    "digits": 10**5000,
    "unseen": Unseen(),
    "no axes": np.array(3),
    "masked": np.ma.masked,
    "masked array": np.ma.array([1, 2], mask=[1, 0]),
    "attoseconds": np.datetime64(5, "as"),
    "record": np.array([(1, 2.0)], dtype=[("a", int), ("b", float)])[0],
    "view": memoryview(bytearray(b"ab")),
    "tuple of lists": (1, [2]),
    "deep": deep(5_000),
}


def object_column(value):
    cells = np.empty(ROWS, object)
    for row in range(ROWS):
        cells[row] = value
    return pd.Series(cells, dtype=object)


def frame_of(**columns):
    labels = {"title": "owl", "label": ["a", "b"] * (ROWS // 2)}
    return pd.DataFrame({name: object_column(value) for name, value in columns.items()} | labels)


def write_parquet(path, **columns):
    labels = {"title": ["owl"] * ROWS, "label": ["a", "b"] * (ROWS // 2)}
    pa.parquet.write_table(pa.table(columns | labels), path)


def check(table, tmp_path):
    """Every row is kept, and what was refused has a reason."""
    describe(table).render()
    kinds = {"date": DateInput, "number": NumberInput, "text": TextInput}
    inputs = {
        f"{kind}_{index}": kinds[kind](column=column)
        for index, column in enumerate(table.columns)
        for kind in kinds
        if column != "label"
    }
    config = Config(inputs=inputs, heads={"label": ClassificationHead()}, max_unreadable=1)
    manifest = ingest(table, config, tmp_path / "records", processes=1)
    assert manifest.kept == ROWS
    refused = pd.read_csv(tmp_path / "records" / "rejected.csv")
    assert refused["reason"].str.len().min() > 5
    return set(refused["column"])


def test_every_type_of_parquet_is_read_or_has_a_reason(tmp_path):
    write_parquet(tmp_path / "a.parquet", **PARQUET)
    assert check(read_table(tmp_path / "a.parquet"), tmp_path) == {*PARQUET, "title"}


def test_every_value_of_json_is_read_or_has_a_reason(tmp_path):
    values = ", ".join(f'"{name}": {value}' for name, value in JSON.items())
    lines = [f'{{"title": "owl", "label": "{label}", {values}}}' for label in "ab"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines * (ROWS // 2)))
    assert check(read_table(tmp_path / "a.jsonl"), tmp_path) == {*JSON, "title"}


def test_every_object_is_read_or_has_a_reason(tmp_path):
    refused = check(read_table(frame_of(**OBJECTS)), tmp_path)
    assert refused == {*OBJECTS, "title"} - {"masked"}


def test_a_moment_out_of_range_spoils_its_cell_alone(tmp_path):
    write_parquet(tmp_path / "a.parquet", x=moments(OUTSIDE, "us"))
    table = read_table(tmp_path / "a.parquet")
    (chunk,) = table.chunks()
    assert read_cell(chunk["x"][1], DateInput()) == b"1970-01-01T00:00:00Z"
    with pytest.raises(CellError, match="33658-09-27.*outside the years 1 to 9999"):
        read_cell(chunk["x"][0], DateInput())
    # and no cell at all where the column is not used
    assert [*next(table.chunks(columns=["title"]))["title"]] == ["owl"] * ROWS


def test_a_moment_of_an_unknown_zone_is_the_same_moment(tmp_path):
    write_parquet(tmp_path / "a.parquet", x=PARQUET["zone"])
    (chunk,) = read_table(tmp_path / "a.parquet").chunks()
    assert read_cell(chunk["x"][0], DateInput()) == b"1970-01-01T00:00:00Z"


def test_a_row_group_without_rows(tmp_path):
    rows = pa.table({"x": [1, 2, 3], "title": ["owl"] * 3, "label": ["a", "b", "a"]})
    for parts in ([0, 3], [3, 0], [0, 3, 0, 0, 3, 0]):
        with pa.parquet.ParquetWriter(tmp_path / "a.parquet", rows.schema) as writer:
            for part in parts:
                writer.write_table(rows.slice(0, part))
        table = read_table(tmp_path / "a.parquet")
        assert describe(table).rows == sum(parts)
        for size in (1, 2, 1000):
            chunks = list(table.chunks(size, ["x"]))
            assert [x for chunk in chunks for x in chunk["x"]] == [1, 2, 3] * (sum(parts) // 3)
            assert all(len(chunk) for chunk in chunks)
        assert sum(len(chunk) for chunk in table.chunks(columns=[])) == sum(parts)


def test_the_same_cell_is_broken_for_a_client():
    for value in (deep(5_000), 10**5000, OBJECTS["no zone"], Unseen()):
        with pytest.raises(CellError, match="^[^\n]{10,}$"):
            read_cell(value, TextInput())


def test_a_broken_cell_says_why():
    (chunk,) = read_table(frame_of(x=deep(40))).chunks()
    assert chunk["x"][0] == BrokenCell("lists or maps in one another, more than 32 deep")
    # the pixels of a video
    pixels = np.zeros((2, 3, 4, 3)).tolist()
    (chunk,) = read_table(frame_of(x=pixels)).chunks()
    assert chunk["x"][0] == pixels
