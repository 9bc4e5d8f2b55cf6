"""Ingest: a worker process that dies is one sentence that names the cell it was at."""

import os
import signal
import subprocess
import sys
import warnings

import pytest
from dying_worker import Kill, Rows, Work, start

from multimodal_tf.config import CategoryInput, ClassificationHead, Config
from multimodal_tf.data.ingest import positions, processes
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table

COLUMNS = ("clip", "title")
JOBS = [
    Rows(COLUMNS, [(0, ("a.wav", "A")), (2, ("b.wav", "B"))]),
    Rows(COLUMNS, [(5, ("c.wav", "C"))]),
]
ENDS = {
    "SIGSEGV": (signal.SIGSEGV, "(SIGSEGV)"),
    "SIGABRT": (signal.SIGABRT, "(SIGABRT)"),
    "SIGKILL": (signal.SIGKILL, "(SIGKILL, as where memory is short)"),
}


def death(work, jobs=JOBS):
    with pytest.raises(ChildProcessError) as caught:
        list(processes.results(work, iter(jobs), 2))
    return str(caught.value)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(processes.worker, "start", start)


@pytest.mark.parametrize("name", ENDS)
def test_the_cell_is_named(name):
    number, how = ENDS[name]
    assert death(Work("b.wav", Kill(number))) == (
        f"a worker process died {how} at row 2, column 'clip', 'b.wav': make that cell empty, or"
        " replace its file, and run it again, with fewer processes if memory is short; finished"
        " shards are kept"
    )


def test_outside_of_a_cell_no_cell_is_named():
    message = death(os._exit, [9])
    assert message.startswith("a worker process died (exit status 9) outside of a cell, perhaps")


def test_where_none_dies_all_rows_are_counted():
    assert sum(processes.results(Work("none", os.abort), iter(JOBS * 3), 2)) == 9


ALONE = """
import os, pathlib, sys
from multimodal_tf.data.ingest import shards

read = shards._read_input

def dying(value, config, root):
    if value == "b":
        os.abort()
    return read(value, config, root)

shards._read_input = dying
from multimodal_tf.config import CategoryInput, ClassificationHead, Config
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table

config = Config(inputs={"a": CategoryInput()}, heads={"y": ClassificationHead()})
way = {"beam": ["--runner=DirectRunner"]} if sys.argv[3] == "beam" else {"processes": 1}
ingest(read_table(sys.argv[1]), config, sys.argv[2], **way)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["alone", "beam"])
def test_the_next_ingest_names_the_cell_at_which_a_process_alone_died(tmp_path, way):
    if way == "beam":
        pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    table, out = tmp_path / "t.csv", tmp_path / "records"
    table.write_text("a,y\n" + "a,0\na,1\nb,0\na,1\n" * 3)
    died = subprocess.run([sys.executable, "-c", ALONE, table, out, way], capture_output=True)
    assert died.returncode == -signal.SIGABRT
    config = Config(inputs={"a": CategoryInput()}, heads={"y": ClassificationHead()})
    # the first row of the shard that has it
    said = (
        rf"an earlier ingest into {out} ended without an error at row (2|6|10), column 'a': if this"
        " one ends, too, make that cell empty, or replace its file"
    )
    with pytest.warns(UserWarning, match=said):
        ingest(read_table(table), config, out, processes=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ingest(read_table(table), config, out, processes=1)
    assert list((out / "parts").glob("*.at")) == []


def test_an_error_leaves_no_cell_behind(tmp_path):
    part = tmp_path / "train-00000.json"

    def broken():
        with positions.recorded(part):
            positions.at(3, 1)
            assert part.with_suffix(".at").is_file()
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert positions.left(tmp_path) == []
    (tmp_path / "other.at").write_bytes(b"short")
    assert positions.left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
