"""Reproducing a run from its record: the same rows, settings, threads and bits."""

import json
import pathlib
import subprocess

import pytest
import small_table

from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.reproduce import compare_metrics, prepare
from multimodal_tf.training.run_dir import load_record, load_run

# as `multimodal-tf`, which need not be on the path
COMMAND = "from multimodal_tf import cli; cli.main()"


@pytest.mark.slow
def test_the_command_line_reproduces_a_run(small_run, new_process, tmp_path):
    """In another process, without the path of the records: the same bits.

    The process of the run has run other tests before; the other one has not.
    """
    printed = new_process(
        COMMAND, "train", "--reproduce", small_run / "run.json", "--out", tmp_path / "again"
    )
    assert f"metrics equal those of {small_run / 'run.json'}, bit for bit" in printed.replace(
        "\n", ""
    )
    again, trained = load_run(tmp_path / "again"), load_run(small_run)
    assert (again.history, again.config) == (trained.history, small_table.CONFIG)
    assert all(
        (one == other).all()
        for one, other in zip(again.model.get_weights(), trained.model.get_weights(), strict=True)
    )


def test_the_record_has_what_is_needed(small_run, small_records):
    record = load_record(small_run / "run.json")
    assert prepare(small_run / "run.json") == (str(small_records), small_table.CONFIG)
    assert (record.seed, record.arguments, record.resumed) == (small_table.CONFIG.seed, [], 0)
    assert runs.environment_differences(record) == []


def test_the_state_of_the_code_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert runs._git() == ""
    who = ("-c", "user.name=x", "-c", "user.email=x@y.z")
    pathlib.Path("code.py").write_text("1")
    for words in (("init", "-q"), ("add", "code.py"), (*who, "commit", "-q", "-m", "x")):
        subprocess.run(["git", *words], check=True)
    commit = runs._git()
    assert len(commit) == 40
    pathlib.Path("code.py").write_text("2")
    assert runs._git() == f"{commit} with changes"


def test_other_metrics_are_reported(small_run, tmp_path):
    record = json.loads((small_run / "run.json").read_text())
    record["metrics"]["val_loss"] += 1
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert compare_metrics(tmp_path / "run.json", load_run(small_run)).startswith(
        f"1 of {len(record['metrics'])} metrics differ from "
    )


def changed(run, tmp_path, **fields):
    record = json.loads((run / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | fields))
    return tmp_path / "run.json"


def test_what_cannot_be_reproduced(small_run, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no record of a run"):
        prepare(tmp_path / "run.json")
    with pytest.raises(
        ValueError,
        match="was passed its model and callbacks, which no record holds: train it as before",
    ):
        prepare(changed(small_run, tmp_path, arguments=["model", "callbacks"]))
    data = json.loads((small_run / "run.json").read_text())["data"]
    with pytest.raises(
        ValueError, match=r"must hold the rows of the run \(hash 0000\), received others"
    ):
        prepare(changed(small_run, tmp_path, data=data | {"hash": "0000"}))
    with pytest.raises(ValueError, match="the new run needs another folder than the run's own"):
        prepare(small_run / "run.json", run_dir=small_run)


def test_other_threads_warn(small_run, tmp_path):
    machine = json.loads((small_run / "run.json").read_text())["machine"]
    with pytest.warns(UserWarning, match=r"here is cores \d+ instead of 999: results may differ"):
        prepare(changed(small_run, tmp_path, machine=machine | {"cores": 999}))
