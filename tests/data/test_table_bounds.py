"""A table has bounded rows and columns, and its description costs what its cells cost."""

import gzip
import time

import pandas as pd
import pytest

from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table
from multimodal_tf.data.table_formats import reader


@pytest.fixture
def small_rows(monkeypatch):
    monkeypatch.setattr(reader, "MAX_ROW", 2**20)


def write_gzip(path, head, megabytes, tail=b""):
    """A small file of one long cell."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(megabytes):
            file.write(b"a" * 2**20)
        file.write(tail)
    return path


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.csv.gz", b"a,b\n"),
        ("quoted.csv.gz", b'a,b\n"'),
        ("header.csv.gz", b""),
        ("a.tsv.gz", b"a\tb\n"),
        ("a.jsonl.gz", b'{"a": "'),
    ],
)
def test_a_long_row_is_refused_before_it_is_in_memory(tmp_path, small_rows, name, head):
    path = write_gzip(tmp_path / name, head, 64)
    with pytest.raises(
        ValueError, match=f"^{path}: a row must have at most 1,048,576 bytes.*quote not closed"
    ):
        list(read_table(path).chunks())


def test_a_quote_that_is_not_closed_is_found_within_the_bound(tmp_path, small_rows):
    (tmp_path / "a.csv").write_text('a,b\n1,"2\n' + "3,4\n" * 500_000)
    with pytest.raises(ValueError, match="a quote not closed"):
        list(read_table(tmp_path / "a.csv").chunks())


def test_rows_up_to_the_bound_are_read(tmp_path, small_rows):
    long = "a" * 1_000_000
    (tmp_path / "a.csv").write_text("a\n" + f'"{long}"\n"{long[:-9]}\n"\n' * 3)
    cells = [cell for chunk in read_table(tmp_path / "a.csv").chunks() for cell in chunk["a"]]
    assert [len(cell) for cell in cells] == [1_000_000, 999_992] * 3


def test_too_many_columns_are_refused(tmp_path):
    names = [f"c{number}" for number in range(10_001)]
    (tmp_path / "a.csv").write_text(f"{','.join(names)}\n{','.join('1' * 10_001)}\n")
    (tmp_path / "a.jsonl").write_text("".join(f'{{"{name}": 1}}\n' for name in names))
    frame = pd.DataFrame([[1] * 10_001], columns=names)
    frame.to_parquet(tmp_path / "a.parquet")
    for source in (tmp_path / "a.csv", tmp_path / "a.jsonl", tmp_path / "a.parquet", frame):
        with pytest.raises(ValueError, match="must have at most 10,000 columns, received 10,001"):
            read_table(source)


def test_many_columns_are_described_in_seconds():
    columns = {f"c{number}": [number, 1.5, 2.5, 7] for number in range(1_500)}
    frame = pd.DataFrame(columns | {"label": ["a", "b", "a", "b"]})
    started = time.process_time()
    description = describe(read_table(frame))
    assert len(description.config().inputs) == 1_500
    # 0.5 ms a column where nothing else runs
    assert time.process_time() - started < 8


def test_fewer_rows_of_many_columns_are_looked_at():
    frame = pd.DataFrame({f"c{number}": range(350) for number in range(600)} | {"label": "a"})
    assert describe(read_table(frame)).sampled == 332


@pytest.mark.parametrize(
    ("name", "row", "blank"),
    [("a.csv.gz", b"a,b\n", b"\n"), ("a.jsonl.gz", b'{"a": 1}\n', b" \r\n")],
)
def test_blank_lines_without_end_are_refused(tmp_path, monkeypatch, name, row, blank):
    monkeypatch.setattr(reader, "MAX_BLANK", 1000)
    with gzip.open(tmp_path / name, "wb") as file:
        file.write((row + 1000 * blank) * 3)
    assert sum(map(len, read_table(tmp_path / name).chunks())) >= 2
    with gzip.open(tmp_path / name, "wb") as file:
        file.write(row * 3 + 1001 * blank)
    with pytest.raises(ValueError, match="at most 1,000 blank lines may follow one another"):
        list(read_table(tmp_path / name).chunks())
