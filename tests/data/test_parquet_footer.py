"""The schema of a Parquet file is measured before Arrow reads it, which would end the process."""

import datetime
import decimal
import struct

import pyarrow as pa
import pyarrow.parquet
import pytest

from multimodal_tf.data import parquet_footer
from multimodal_tf.data.table import read_table


def _varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _element(name, *, children=None):
    """Of a schema: a group of some children, or an int64."""
    kind = b"" if children is not None else b"\x15\x04"
    repetition = (b"\x35" if children is not None else b"\x25") + b"\x02"
    count = b"" if children is None else b"\x15" + _varint(2 * children)
    return kind + repetition + b"\x18" + _varint(len(name)) + name + count + b"\0"


def nested(levels):
    """A file without rows, whose only column has some levels."""
    elements = [_element(b"a", children=1)] * levels + [_element(b"x")]
    schema = b"\x19\xfc" + _varint(len(elements)) + b"".join(elements)
    footer = b"\x15\x02" + schema + b"\x16\0\x19\x0c\0"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def test_a_schema_of_many_levels_is_one_sentence(tmp_path):
    path = tmp_path / "a.parquet"
    for levels in (501, 20_000, 200_000):
        path.write_bytes(nested(levels))
        with pytest.raises(ValueError, match=r"a\.parquet .*: its columns have more than 500"):
            read_table(path)
    path.write_bytes(nested(400))
    assert parquet_footer.problem(path) == ""
    with pytest.raises(ValueError, match=r"a\.parquet has no rows"):
        read_table(path)


def test_every_type_of_column_is_passed(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pa.table(
        {
            "whole": pa.array([1, None], pa.int8()),
            "money": [decimal.Decimal("1.50"), None],
            "moment": pa.array([0, None], pa.timestamp("us", "Europe/Madrid")),
            "day": [datetime.date(2020, 1, 1), None],
            "time": pa.array([1, None], pa.time64("ns")),
            "text": ["é", None],
            "data": [b"\0", None],
            "fixed": pa.array([b"ab", None], pa.binary(2)),
            "flag": [True, None],
            "list": [[1, 2], None],
            "lists": [[[1], []], None],
            "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
            "both": [{"a": 1, "b": {"c": "d"}}, None],
            "word": pa.array(["a", None]).dictionary_encode(),
            "half": pa.array([1, None], pa.float16()),
        }
    )
    for options in ({}, {"version": "1.0"}, {"compression": "zstd", "row_group_size": 1}):
        pa.parquet.write_table(frame, path, **options)
        assert parquet_footer.problem(path) == ""
    assert read_table(path).columns == frame.column_names


def test_a_damaged_footer_is_one_sentence(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"a": [1, 2], "b": [[1], [2]]}), path)
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for at in range(start, start + 120):
        for octet in (0x00, 0x7F, 0xFF):
            path.write_bytes(data[:at] + bytes([octet]) + data[at + 1 :])
            assert isinstance(parquet_footer.problem(path), str)
    for size in (0, 3, 11, len(data) - 1):
        path.write_bytes(data[:size])
        assert parquet_footer.problem(path) == ""
        with pytest.raises(ValueError, match=r"a\.parquet"):
            read_table(path)
