"""`predict` on a disk that is full, and a page whose writer is killed, by the system itself."""

import contextlib
import resource
import signal
import subprocess
import sys

import pandas as pd
import pytest

from multimodal_tf.data.table import read_table
from multimodal_tf.report import page
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.predict_table import predict_table

# bytes of a file; the predictions are more, packed or not
_MOST = 3_000


@contextlib.contextmanager
def _small_disk():
    """No file of this process gets larger, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.slow
def test_predict_is_one_sentence_and_leaves_nothing_behind(exported, tmp_path):
    client = Client(exported)
    table = read_table(pd.DataFrame({"price": range(192)}, dtype=object))
    for name in ("out.csv", "out.parquet"):
        with _small_disk(), pytest.raises(OSError, match=r"^no space left for \S*/out\.") as error:
            predict_table(client, table, tmp_path / name)
        assert str(error.value) == (
            f"no space left for {tmp_path / name} (File too large): free some space and run it"
            " again"
        )
    assert list(tmp_path.iterdir()) == []
    predict_table(client, table, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


KILLED = """
import os, signal, sys
from multimodal_tf.report import page

count = 0

def kill(descriptor, sync=os.fsync):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(descriptor)

os.fsync = kill
page.save(page.Page("New", ["All is new."], [page.Section("One", "One.", [])], {}), sys.argv[1])
"""


@pytest.mark.slow
def test_a_page_whose_writer_was_killed_is_the_earlier_one_until_the_next_is_written(tmp_path):
    """`report`, `compare` and `evaluate --page` write their pages so."""
    out = tmp_path / "page"

    def save(title):
        sections = [page.Section("One", "One.", [])]
        page.save(page.Page(title, ["All is well."], sections, {}), out)

    save("Earlier")
    died = subprocess.run([sys.executable, "-c", KILLED, out], capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert "Earlier" in (out / "index.html").read_text()
    assert len(list(tmp_path.iterdir())) == 2
    save("Later")
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    assert "Later" in (out / "index.html").read_text()
