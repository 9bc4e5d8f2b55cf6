"""Ingest: what it refuses before it reads the table, in one sentence."""

import fcntl
import os
import pathlib
import sys
import tempfile

import numpy as np
import pytest
from ingest_table import FOUR_CONFIG, FOUR_ROWS

from multimodal_tf.config import Split, TextInput
from multimodal_tf.data import atomic
from multimodal_tf.data.ingest import table_ingest
from multimodal_tf.data.table import read_table


def run(directory, config=FOUR_CONFIG, **options):
    return table_ingest.ingest(read_table(FOUR_ROWS), config, directory, **options)


def test_a_column_that_does_not_exist(tmp_path):
    config = FOUR_CONFIG.model_copy(update={"inputs": {"text": TextInput(column="titel")}})
    with pytest.raises(
        ValueError,
        match="the DataFrame has no column 'titel', which text reads: did you mean 'title'\\?",
    ):
        run(tmp_path / "out", config)
    config = FOUR_CONFIG.model_copy(update={"split": Split(group="zzzz")})
    with pytest.raises(
        ValueError,
        match="no column 'zzzz', which split.group reads: it has 'title', 'tags', 'price'",
    ):
        run(tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"processes": 0}, {"rows_per_shard": 0}])
def test_numbers(tmp_path, options):
    with pytest.raises(ValueError, match="must be at least 1.*, received 0"):
        run(tmp_path, **options)


def test_beam_without_beam(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(
        ValueError,
        match="needs Apache Beam, which is not installed .*pip install 'multimodal_tf\\[beam",
    ):
        run(tmp_path / "out", beam=["--runner=DirectRunner"])
    assert not (tmp_path / "out").exists()


def test_beam_with_processes(tmp_path):
    with pytest.raises(
        ValueError, match="processes must be None where Beam has workers of its own, received 2"
    ):
        run(tmp_path / "out", processes=2, beam=[])


def test_the_directory_is_a_file(tmp_path):
    (tmp_path / "out").touch()
    for name in ("out", "out/deeper"):
        with pytest.raises(NotADirectoryError, match="the output directory .*out"):
            run(tmp_path / name)


def test_the_directory_cannot_be_written(tmp_path):
    user = os.geteuid()
    (tmp_path / "out").mkdir(mode=0o555)
    # root may write everywhere
    if user == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if pathlib.Path(tempfile.gettempdir()) in folder.parents:
                folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(
            PermissionError,
            match="the output directory .*out cannot be written: Permission denied",
        ):
            run(tmp_path / "out")
    finally:
        os.seteuid(user)


def test_two_at_a_time(tmp_path):
    with open(tmp_path / atomic.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process is writing into"):
            run(tmp_path)
    run(tmp_path, processes=1)


def test_a_table_that_changes_meanwhile(tmp_path, monkeypatch):
    for rows in (3, 5):
        monkeypatch.setattr(
            table_ingest,
            "assign_splits",
            lambda table, config, rows=rows: np.zeros(rows, np.int8),
        )
        with pytest.raises(ValueError, match=f"changed while it was read: it had {rows} rows"):
            run(tmp_path, processes=1)
