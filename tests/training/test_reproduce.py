"""Reproducing a run from its record: the same rows, settings, threads and bits."""

import json
import pathlib
import subprocess
import sys

import pytest
import small_table as case

from multimodal_tf.config import Config, Training
from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.fit import fit
from multimodal_tf.training.reproduce import compare_metrics, prepare
from multimodal_tf.training.run_dir import load_record, load_run

CONFIG = Config(
    inputs={name: case.CONFIG.inputs[name] for name in ("price", "colour")},
    heads={"label": case.CONFIG.heads["label"]},
    fusion={"hidden": [4], "dropout": 0.2},
    split=case.CONFIG.split,
    training=Training(epochs=2, batch_size=16),
    seed=3,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def schema(folder):
    return case.ingested(folder / "records")


@pytest.fixture(scope="module")
def trained(folder, schema):
    return fit(CONFIG, schema, folder / "records", folder / "run", verbose=0)


def test_the_command_line_reproduces_a_run(trained, folder):
    """In another process, without the path of the records."""
    command = [
        sys.executable,
        "-m",
        "multimodal_tf.cli",
        "train",
        "--reproduce",
        folder / "run" / "run.json",
        "--out",
        folder / "again",
    ]
    printed = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=True, cwd=case.ROOT
    ).stdout
    assert f"metrics equal those of {folder / 'run' / 'run.json'}, bit for bit" in printed.replace(
        "\n", ""
    )
    again = load_run(folder / "again")
    assert (again.history, again.config) == (trained.history, CONFIG)
    assert all(
        (one == other).all()
        for one, other in zip(again.model.get_weights(), trained.model.get_weights(), strict=True)
    )


def test_the_record_has_what_is_needed(trained, folder):
    record = load_record(folder / "run" / "run.json")
    assert prepare(folder / "run" / "run.json") == (str(folder / "records"), CONFIG)
    assert (record.seed, record.arguments, record.resumed) == (3, [], 0)
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


def test_other_metrics_are_reported(trained, folder, tmp_path):
    record = json.loads((folder / "run" / "run.json").read_text())
    record["metrics"]["val_loss"] += 1
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert compare_metrics(tmp_path / "run.json", trained).startswith(
        f"1 of {len(record['metrics'])} metrics differ from "
    )


def changed(folder, tmp_path, **fields):
    record = json.loads((folder / "run" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | fields))
    return tmp_path / "run.json"


def test_what_cannot_be_reproduced(trained, folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no record of a run"):
        prepare(tmp_path / "run.json")
    with pytest.raises(
        ValueError,
        match="was passed its model and callbacks, which no record holds: train it as before",
    ):
        prepare(changed(folder, tmp_path, arguments=["model", "callbacks"]))
    data = json.loads((folder / "run" / "run.json").read_text())["data"]
    with pytest.raises(
        ValueError, match=r"must hold the rows of the run \(hash 0000\), received others"
    ):
        prepare(changed(folder, tmp_path, data=data | {"hash": "0000"}))
    with pytest.raises(ValueError, match="the new run needs another folder than the run's own"):
        prepare(folder / "run" / "run.json", run_dir=folder / "run")


def test_other_threads_warn(trained, folder, tmp_path):
    machine = json.loads((folder / "run" / "run.json").read_text())["machine"]
    with pytest.warns(UserWarning, match=r"here is cores \d+ instead of 999: results may differ"):
        prepare(changed(folder, tmp_path, machine=machine | {"cores": 999}))
