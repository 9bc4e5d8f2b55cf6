"""Ingest: a worker process that dies is one sentence that names the cell it was at."""

import os
import signal

import pytest
from dying_worker import Kill, Rows, Work, start

from multimodal_tf.data.ingest import processes

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
