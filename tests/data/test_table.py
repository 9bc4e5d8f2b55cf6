"""Every kind of table is streamed with its cells as written, in memory that does not grow."""

import gzip
import json
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multimodal_tf.config import TextInput
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.table import read_table


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(table, rows=1000, columns=None):
    return [
        list(row) for chunk in table.chunks(rows, columns) for row in chunk.itertuples(index=False)
    ]


# What comes out


def test_csv_cells_are_text_as_written(tmp_path):
    path = write(
        tmp_path, "a.csv", 'code,title,price\n007,"Owl, grey\nby night",1.50\n08,,\nNA, ,nan\n'
    )
    table = read_table(path)
    assert table.columns == ["code", "title", "price"]
    assert table.root == tmp_path
    assert table.name == str(path)
    assert rows_of(table) == [
        ["007", "Owl, grey\nby night", "1.50"],
        ["08", None, None],
        ["NA", None, "nan"],
    ]


def test_bytes_that_are_not_utf8_spoil_their_cell_alone(tmp_path):
    for name, text in (
        ("a.csv", "a,b\n1,é\nü,2\n"),
        ("a.jsonl", '{"a": "1", "b": "é"}\n{"a": "ü", "b": "2"}\n'),
    ):
        # its encoding is in doubt, as so few letters could be anything
        path = write(tmp_path, name, text.encode("latin-1"))
        with pytest.raises(ValueError, match="^[^\n]*line [12] is not UTF-8.* in doubt: name it"):
            read_table(path)
        rows = rows_of(read_table(path, encoding="utf-8"))
        assert rows == [["1", "\udce9"], ["\udcfc", "2"]]
        with pytest.raises(CellError, match="^not UTF-8: byte 0xe9$"):
            read_cell(rows[0][1], TextInput())
    offsets, letters = np.array([0, 1, 2, 2], np.int32), b"a\xe9"
    texts = pyarrow.Array.from_buffers(
        pyarrow.string(),
        3,
        [None, pyarrow.py_buffer(offsets.tobytes()), pyarrow.py_buffer(letters)],
    )
    pyarrow.parquet.write_table(pyarrow.table({"a": texts}), tmp_path / "a.parquet")
    assert rows_of(read_table(tmp_path / "a.parquet")) == [["a"], ["\udce9"], [None]]


def test_a_quoted_cell_keeps_its_line_ends(tmp_path):
    assert rows_of(read_table(write(tmp_path, "a.csv", 'a,b\r\n"1\r2\r\n","x""y"\r\n'))) == [
        ["1\r2\r\n", 'x"y']
    ]


def test_index_goes_on_over_chunks(tmp_path):
    table = read_table(write(tmp_path, "a.csv", "n\n" + "".join(f"{n}\n" for n in range(7))))
    chunks = list(table.chunks(rows=3))
    assert [list(chunk.index) for chunk in chunks] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(
        isinstance(chunk.index, pd.RangeIndex) and chunk["n"].dtype == object for chunk in chunks
    )
    # readable again
    assert list(table.chunks(rows=3))[2]["n"].tolist() == ["6"]


def test_columns_are_chosen_in_the_order_asked_for(tmp_path):
    table = read_table(write(tmp_path, "a.tsv", "a\tb\tc\n1\t2\t3\n"))
    assert rows_of(table, columns=["c", "a"]) == [["3", "1"]]
    assert [len(chunk) for chunk in table.chunks(columns=[])] == [1]


def test_json_lines_keep_types_and_may_lack_keys(tmp_path):
    lines = [
        '{"a": 7, "tags": ["x", "y"]}',
        "",
        '{"b": "ö", "a": null}',
        '{"a": 0.5, "b": "", "tags": []}',
    ]
    for name in ("a.jsonl", "a.ndjson"):
        table = read_table(write(tmp_path, name, "\n".join(lines)))
        assert table.columns == ["a", "tags", "b"]
        assert rows_of(table) == [[7, ["x", "y"], None], [None, None, "ö"], [0.5, [], None]]


def test_parquet_keeps_types_and_integers_with_gaps(tmp_path):
    cells = {
        "n": [7, None],
        "photo": [b"\x89PNG", b""],
        "tags": [["x"], None],
        "a.b": ["u", "v"],
        "a": [True, None],
    }
    pyarrow.parquet.write_table(pyarrow.table(cells), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert rows_of(table, rows=1) == [
        [7, b"\x89PNG", ["x"], "u", True],
        [None, None, None, "v", None],
    ]
    assert rows_of(table, columns=["a"]) == [[True], [None]]


def test_data_frame_gives_python_objects(tmp_path):
    photo = np.zeros((2, 2))
    frame = pd.DataFrame(
        {
            "n": [1, 2],
            "x": [1.5, np.nan],
            "c": pd.Categorical(["u", None]),
            "t": [pd.NaT, pd.NA],
            5: [photo, photo],
        }
    )
    frame.index = [10, 10]
    table = read_table(frame, root=tmp_path)
    assert table.columns == ["n", "x", "c", "t", "5"]
    assert table.root == tmp_path
    rows = rows_of(table, rows=1)
    assert [row[:4] for row in rows] == [[1, 1.5, "u", None], [2, None, None, None]]
    assert type(rows[0][0]) is int
    assert rows[1][4] is photo


def test_folder_by_class(tmp_path):
    for name in (
        "owl/b.png",
        "owl/a.png",
        "owl/deep/c.png",
        "cat 1/é.wav",
        "owl/.hidden",
        ".git/x",
        "owl/.thumbs/y",
        "README.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    table = read_table(tmp_path)
    assert table.root == tmp_path
    expected = [
        ["cat 1/é.wav", "cat 1"],
        ["owl/a.png", "owl"],
        ["owl/b.png", "owl"],
        ["owl/deep/c.png", "owl"],
    ]
    assert rows_of(table) == expected
    assert rows_of(table, columns=["label"]) == [[label] for _, label in expected]


def test_root_can_be_given(tmp_path):
    assert (
        read_table(write(tmp_path, "a.csv", "a\n1\n"), root=tmp_path / "photos").root
        == tmp_path / "photos"
    )


def test_gzip_and_byte_order_mark(tmp_path):
    assert rows_of(
        read_table(write(tmp_path, "A.CSV.gz", gzip.compress(b"\xef\xbb\xbfa,b\r\n1,2\r\n")))
    ) == [["1", "2"]]
    assert read_table(tmp_path / "A.CSV.gz").columns == ["a", "b"]


def test_one_row_and_odd_names(tmp_path):
    names = ["present", "two words", "a/b", "图片", "valid"]
    frame = pd.DataFrame([["1"] * 5], columns=names)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    for source in (tmp_path / "a.csv", tmp_path / "a.jsonl", tmp_path / "a.parquet", frame):
        table = read_table(source)
        assert table.columns == names
        assert rows_of(table, columns=["图片", "a/b"]) == [["1", "1"]]


def test_the_index_that_pandas_writes_has_the_name_that_pandas_gives(tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_csv(tmp_path / "a.csv")
    assert (
        read_table(tmp_path / "a.csv").columns == pd.read_csv(tmp_path / "a.csv").columns.tolist()
    )


def test_a_cell_of_two_megabytes(tmp_path):
    table = read_table(write(tmp_path, "a.csv", "a,b\n" + "x" * 2_000_000 + ",1\n"))
    assert len(rows_of(table)[0][0]) == 2_000_000


def test_a_table_can_be_sent_to_another_process(tmp_path):
    table = pickle.loads(pickle.dumps(read_table(write(tmp_path, "a.csv", "a\n1\n"))))
    assert rows_of(table) == [["1"]]


# Without NUL, which Python 3.10's csv refuses, and without the carriage return, which pandas writes
# outside quotes.
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), size=st.integers(1, 7))
def test_what_pandas_writes_is_read_back(tmp_path, rows, size):
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    expected = [[cell if cell.strip() else None for cell in row] for row in rows]
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\n" for a, b in rows),
        encoding="utf-8",
    )
    for source in (
        tmp_path / "a.csv",
        tmp_path / "a.tsv",
        tmp_path / "a.parquet",
        tmp_path / "a.jsonl",
        frame,
    ):
        assert rows_of(read_table(source), rows=size) == expected


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=60),
    suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".csv.gz", ".parquet"]),
)
def test_random_bytes_are_a_table_or_one_error(tmp_path, data, suffix):
    path = write(tmp_path, "a" + suffix, data)
    message = None
    try:
        rows = rows_of(read_table(path))
    except ValueError as error:
        message = str(error)
    assert rows if message is None else message.startswith(str(path))


def peak(path):
    tracemalloc.start()
    rows = sum(len(chunk) for chunk in read_table(path).chunks(rows=100))
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return rows, size


@pytest.mark.parametrize(
    ("suffix", "head", "line"),
    [
        ("csv", "a,b,c\n", "{0},the text of row {0},x\n"),
        ("jsonl", "", '{{"a": {0}, "b": "text"}}\n'),
    ],
)
def test_memory_does_not_grow_with_rows(tmp_path, suffix, head, line):
    small, large = (
        write(
            tmp_path, f"{count}.{suffix}", head + "".join(line.format(row) for row in range(count))
        )
        for count in (1_000, 20_000)
    )
    # what is loaded once is loaded here
    peak(small)
    rows, size = peak(small)
    many_rows, many_size = peak(large)
    assert many_rows == 20 * rows
    # the larger file alone is 500,000 bytes
    assert many_size < 1.1 * size + 50_000
    assert large.stat().st_size > 500_000


def test_parquet_memory_does_not_grow_with_rows(tmp_path):
    most = []
    for count in (2_000, 6_000):
        cells = np.random.default_rng(0).bytes(10_000 * count)
        photos = [cells[start : start + 10_000] for start in range(0, len(cells), 10_000)]
        # one row group
        pyarrow.parquet.write_table(
            pyarrow.table({"photo": photos}), tmp_path / "a.parquet", use_dictionary=False
        )
        before = pyarrow.total_allocated_bytes()
        most.append(
            max(
                pyarrow.total_allocated_bytes() - before
                for _ in read_table(tmp_path / "a.parquet").chunks(rows=20)
            )
        )
    assert most[0] > 0
    assert most[1] < 1.1 * most[0]
