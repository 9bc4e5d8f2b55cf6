"""A search over several processes: no trial is lost if one is killed, and none is left running."""

import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import pandas as pd
import psutil
import pytest
from tune_space import over

from multimodal_tf import cli
from multimodal_tf.config import Config
from multimodal_tf.training.tune import Choice, Float, processes, tune

SPACE = over(
    {
        "fusion": Choice(
            [
                {"type": "concatenation", "hidden": Choice([[], [4]])},
                {"type": "sum", "dim": Choice([4, 8])},
            ]
        ),
        "training.learning_rate": Float(1e-3, 1e-1, sampling="log"),
    },
)
TRIALS = 6
SETTINGS = types.SimpleNamespace(project=None)


def children(process, role):
    """The processes of a search that have this role."""
    return [one for one in psutil.Process(process).children(recursive=True) if role in log_of(one)]


def log_of(process):
    """The log that a process of a search writes to, where it writes to one."""
    try:
        return pathlib.Path(f"/proc/{process.pid}/fd/1").readlink().name
    except OSError:
        return ""


def wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def ended(directory):
    return len(list((directory / "outcomes").glob("*.json")))


def start(records, directory):
    """The command in a process of its own."""
    (directory.parent / "space.yaml").write_text(SPACE.to_yaml())
    words = [
        "tune",
        directory.parent / "space.yaml",
        records,
        "--out",
        directory,
        "--trials",
        TRIALS,
        "--workers",
        2,
        "--tuner",
        "random",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "multimodal_tf.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_worker_the_chief_and_all_are_killed_and_the_search_is_completed(tune_records, tmp_path):
    directory = tmp_path / "search"
    command = start(tune_records, directory)
    wait_for(lambda: ended(directory) >= 1)
    everyone = psutil.Process(command.pid).children(recursive=True)
    # it has no time to end the others
    command.kill()
    command.wait()
    _, alive = psutil.wait_procs(everyone, timeout=20)
    assert alive == []

    before = ended(directory)
    command = start(tune_records, directory)
    wait_for(lambda: children(command.pid, "worker"))
    wait_for(lambda: ended(directory) >= before + 1)
    children(command.pid, "worker")[0].send_signal(signal.SIGKILL)
    wait_for(lambda: ended(directory) >= before + 2)
    for chief in children(command.pid, "chief"):
        chief.send_signal(signal.SIGKILL)
    everyone = psutil.Process(command.pid).children(recursive=True)
    printed, _ = command.communicate(timeout=300)
    assert command.returncode == 0
    assert "best.yaml" in printed
    assert psutil.wait_procs(everyone, timeout=20)[1] == []
    table = pd.read_csv(directory / "trials.csv")
    assert table["trial"].tolist() == list(range(TRIALS))
    assert table["status"].tolist() == ["completed"] * TRIALS
    assert Config.load(directory / "best.yaml").fusion.type in ("concatenation", "sum")


@pytest.mark.slow
def test_ctrl_c_leaves_no_process(tune_records, tmp_path):
    directory = tmp_path / "search"
    command = start(tune_records, directory)
    wait_for(lambda: children(command.pid, "worker"))
    everyone = psutil.Process(command.pid).children(recursive=True)
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode != 0
    assert psutil.wait_procs(everyone, timeout=20)[1] == []


def the_chief_alone_ends(name, *others):
    if name != processes.CHIEF:
        time.sleep(600)


@pytest.mark.slow
def test_a_worker_that_the_chief_did_not_wait_for_is_ended(tmp_path, monkeypatch):
    """It was restarted when no trial was left."""
    monkeypatch.setattr(processes, "_work", the_chief_alone_ends)
    settings = types.SimpleNamespace(out=tmp_path, project=None)
    processes.run(settings, 1, ("127.0.0.1", 1), chief=True)
    assert multiprocessing.active_children() == []


def test_processes_that_die_again_and_again_end_the_search_in_one_sentence(tmp_path, monkeypatch):
    # each child dies, since it is called with wrong arguments
    monkeypatch.setattr(processes, "_work", os.abort)
    settings = types.SimpleNamespace(out=tmp_path, project=None)
    with pytest.raises(
        ChildProcessError,
        match=r"died with exit code .* after 3 restarts in this search: see .*\.log; .* run "
        r"it again",
    ):
        processes.run(settings, 2, ("127.0.0.1", 8000), chief=True)


def test_a_port_in_use_is_refused_before_anything_begins(tune_records, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"the chief cannot listen on {where}"):
            tune(SPACE, tune_records, tmp_path / "search", workers=2, listen=where)
    assert not (tmp_path / "search").exists()


def command(monkeypatch, folder, records, *options):
    """Makes `multimodal-tf tune` with these options the command line of this process."""
    (folder / "space.yaml").write_text(SPACE.to_yaml())
    words = ["tune", folder / "space.yaml", records, "--out", folder / "search", *options]
    monkeypatch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])


def test_without_a_chief_workers_end_in_one_sentence(tune_records, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "_ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command(monkeypatch, tmp_path, tune_records, "--chief", f"127.0.0.1:{port}")
    with pytest.raises(SystemExit):
        cli.main()
    assert f"no chief answers at 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_for_other_hosts_is_printed(tune_records, tmp_path, monkeypatch, capsys):
    def run(_, workers, address, chief):
        seen.append((workers, address, chief))
        raise ChildProcessError("enough")

    seen: list = []
    monkeypatch.setattr(processes, "run", run)
    command(monkeypatch, tmp_path, tune_records, "--workers", "2", "--listen", "0.0.0.0")
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr().err.replace("\n", "")
    [(_, (host, port), chief)] = seen
    assert (host, chief) == ("0.0.0.0", True)
    assert (
        f"--out {tmp_path / 'search'} --workers 2 --chief {socket.gethostname()}:{port}" in printed
    )
    assert "--listen" not in printed


def test_listening_beyond_this_machine_warns(monkeypatch):
    monkeypatch.setattr(processes, "_Processes", _Nothing)
    with pytest.warns(
        UserWarning, match=r"the chief listens on 0.0.0.0 by unencrypted gRPC, without a password"
    ):
        processes.run(SETTINGS, 1, ("0.0.0.0", 8000), chief=True)
    processes.run(SETTINGS, 1, ("127.0.0.1", 8000), chief=True)


def test_the_chief_waits_for_trials_of_other_hosts_and_not_for_ever(tmp_path, monkeypatch):
    trial = tmp_path / "trial_0" / "trial.json"
    trial.parent.mkdir()
    trial.write_text('{"status": "RUNNING"}')
    monkeypatch.setattr(processes, "_FAREWELL", 1.0)
    started = time.monotonic()
    threading.Timer(2.0, lambda: trial.write_text('{"status": "COMPLETED"}')).start()
    processes._wait_for_others(tmp_path, _Running())
    assert 2.5 < time.monotonic() - started < 30


class _Nothing:
    """Processes that have ended already."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def start(self, name):
        pass

    def any_alive(self, names):
        return False


class _Running:
    """The chief never ends by itself."""

    def any_alive(self, names):
        return True

    def restart_dead(self):
        pass


def test_workers_wait_for_a_chief_that_is_late():
    with socket.create_server(("127.0.0.1", 0)) as late:
        where = late.getsockname()
    server = threading.Timer(1.0, lambda: socket.create_server(where).accept())
    server.start()
    processes._wait_for_chief(where)
    server.join()
