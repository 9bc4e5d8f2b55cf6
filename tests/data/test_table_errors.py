"""A bad table is one clear error."""

import gzip
import os

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from multimodal_tf.data.table import read_table


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BAD = {
    "zero.csv": (b"", "has no header"),
    "blank.csv": (b"\n\n", "has no header"),
    "nameless.csv": (b",,\n1,2,3\n", "has no header"),
    "header.csv": (b"a,b\n", "has no rows"),
    "twice.csv": (b"a,b,a\n1,2,3\n", "two columns named 'a'"),
    "short.csv": (
        b'a,b,c\n1,"2\n2",3\n\n4,5\n',
        "line 5: every line must have 3 cells as the header has, received 2",
    ),
    "long.csv": (
        b"a,b,c\n1,2,3,4\n",
        "line 2: every line must have 3 cells as the header has, received 4",
    ),
    "quote.csv": (b'a,b\n1,2\n3,"4\n5,6\n', "line 3: unexpected end of data"),
    "mac.csv": (b"a,b\n1,2\r3,4\n", "line 2: a carriage return outside quotes"),
    "latin.csv": (
        "a,é\n1,2\n".encode("latin-1"),
        "line 1 is not UTF-8, and what it is",
    ),
    "broken.csv.gz": (b"a,b\n1,2\n", "not a readable gzip file"),
    "cut.csv.gz": (gzip.compress(b"a,b\n1,2\n")[:-9], "not a readable gzip file"),
    "table.xls": (b"PK", "must be a folder or end in one of .csv, .tsv, .jsonl"),
    "zero.jsonl": (b"", "has no columns"),
    "empty.jsonl": (b"{}\n", "has no columns"),
    "broken.jsonl": (b'{"a": 1}\n\n{"a": 1\n', "line 3: not JSON: Expecting ',' delimiter"),
    "list.jsonl": (b"[1, 2]\n", "line 1: every line must be a JSON object, received [1, 2]"),
    "deep.jsonl": (b"[" * 100_000, "line 1: not JSON"),
    "twice.jsonl": (b'{"a": 1, "a": 2}\n', "line 1: not JSON: the key 'a' is repeated"),
    "latin.jsonl": (
        '{"é": 1}\n'.encode("latin-1"),
        "line 1 is not UTF-8, and what it is is in doubt: name it, such as encoding=",
    ),
    "broken.parquet": (b"PAR1PAR1", "not a readable Parquet file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_one_error(tmp_path, name):
    content, message = BAD[name]
    path = write(tmp_path, name, content)
    with pytest.raises(ValueError, match="^[^\n]*$") as error:
        list(read_table(path).chunks(1000))
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_torn_parquet_file_is_one_error(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": [f"text {row}" for row in range(9_000)]}).to_parquet(path)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"^{path} is not a readable Parquet file: [^\n]*$"):
        list(read_table(path).chunks(1000))


def test_bad_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no table .*gone.csv"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(
        ValueError, match="has no rows: a folder must hold one folder of files for each class"
    ):
        read_table(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match=r"pipe\.csv must be a folder or a regular file"):
        read_table(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="the DataFrame has no rows"):
        read_table(pd.DataFrame({"a": []}))
    with pytest.raises(ValueError, match="the DataFrame has no columns"):
        read_table(pd.DataFrame(index=range(3)))
    with pytest.raises(ValueError, match="two columns named '1'"):
        read_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    with pytest.raises(ValueError, match="received list"):
        read_table([1])


def test_a_table_without_permission(tmp_path, monkeypatch):
    write(tmp_path, "a.csv", "a\n1\n").chmod(0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    user = os.geteuid()
    # root may read everything, so be somebody else for a moment
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match=r"a\.csv"):
            read_table("a.csv")
    finally:
        os.seteuid(user)


def test_duplicate_parquet_columns(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="two columns named 'a'"):
        read_table(tmp_path / "a.parquet")


def test_a_column_that_does_not_exist(tmp_path):
    table = read_table(write(tmp_path, "a.csv", "title,price\n1,2\n"))
    with pytest.raises(ValueError, match="has no column 'titel': did you mean 'title'"):
        # at once, not at the first chunk
        table.chunks(columns=["titel"])
    with pytest.raises(ValueError, match="has no column 'zzz': its columns are 'title', 'price'"):
        table.column("zzz")
    with pytest.raises(ValueError, match="rows=0"):
        table.chunks(rows=0)
