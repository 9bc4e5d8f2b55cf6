"""The launcher: workers that end, die, hang or ignore SIGTERM; no process is left behind."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from small_table import ingested, with_parts

from multimodal_tf import cli
from multimodal_tf.training.launch import commands_by_host, launch
from multimodal_tf.training.run_dir import load_run

WORKER = """
import json, os, pathlib, signal, sys, time
folder, what = pathlib.Path(sys.argv[1]), sys.argv[2]
number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
(folder / f"pid-{number}-{os.getpid()}").touch()
starts = len(list(folder.glob(f"pid-{number}-*")))
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as TensorFlow's workers in effect do
print(f"worker {number}, start {starts}", flush=True)
while len(list(folder.glob("pid-[01]-*"))) < 2 * starts:  # both are there before anything happens
    time.sleep(0.02)
exec(what)
"""


@pytest.fixture
def worker(tmp_path):
    """Makes a command whose workers record their process ids, and then run some code."""
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "pids").mkdir()
    return lambda what: [sys.executable, str(tmp_path / "worker.py"), str(tmp_path / "pids"), what]


def started(tmp_path):
    return [int(path.name.rpartition("-")[2]) for path in (tmp_path / "pids").iterdir()]


def alive(pids):
    """Those that run; a zombie does not."""
    running = []
    for pid in pids:
        stat = pathlib.Path(f"/proc/{pid}/stat")
        try:
            running += [pid] if stat.read_text().rpartition(")")[2].split()[0] not in "ZX" else []
        except OSError:
            continue
    return running


def test_each_worker_gets_its_index_and_its_log(tmp_path):
    printed_lines = []
    launch(["sh", "-c", "echo $TF_CONFIG"], 3, tmp_path / "logs", echo=printed_lines.append)
    given = [
        json.loads((tmp_path / "logs" / f"worker-{number}.log").read_text()) for number in range(3)
    ]
    assert [one["task"] for one in given] == [
        {"type": "worker", "index": number} for number in range(3)
    ]
    assert given[0]["cluster"] == given[1]["cluster"] == given[2]["cluster"]
    assert len(set(given[0]["cluster"]["worker"])) == 3
    assert [json.loads(line) for line in printed_lines] == [given[0]]


def test_a_killed_worker_ends_the_others_and_all_are_restarted(tmp_path, worker):
    printed_lines = []
    command = worker(
        "if starts == 1: time.sleep(0.3); os.kill(os.getpid(), 9) if number == 1 else "
        "time.sleep(600)"
    )
    begun = time.monotonic()
    launch(command, 2, tmp_path / "logs", grace=0.5, echo=printed_lines.append)
    assert time.monotonic() - begun < 30
    assert "worker 1 was ended by SIGKILL: all are restarted (1 of 3)" in printed_lines
    assert len(started(tmp_path)) == 4
    assert alive(started(tmp_path)) == []
    log = (tmp_path / "logs" / "worker-0.log").read_text()
    assert log.split("\n") == [
        "worker 0, start 1",
        "--- restarted (1)",
        "worker 0, start 2",
        "",
    ]


def test_after_the_last_restart_the_error_says_how_it_ended(tmp_path, worker):
    with pytest.raises(
        ChildProcessError,
        match=r"worker 1 ended with exit code 3, after 2 restarts: «no memory»; see "
        r".*worker-1\.log",
    ):
        launch(
            worker("if number: print('no memory'); sys.exit(3)\ntime.sleep(600)"),
            2,
            tmp_path,
            restarts=2,
            grace=0.2,
            echo=str,
        )
    assert len(started(tmp_path)) == 6
    assert alive(started(tmp_path)) == []


def test_an_error_at_the_start_is_not_retried(tmp_path, worker):
    with pytest.raises(
        ChildProcessError, match="worker 0 ended with exit code 1: «error: no such table»; see"
    ):
        launch(
            worker(
                "print('error: no such table') if number == 0 else time.sleep(600); sys.exit(1)"
            ),
            2,
            tmp_path,
            grace=0.2,
            echo=str,
        )
    assert len(started(tmp_path)) == 2


def test_a_killed_worker_is_reported_and_not_one_that_gave_up_because_of_it(tmp_path, worker):
    command = worker(
        "time.sleep(0.5)\nif number: os.kill(os.getpid(), 9)\ntime.sleep(0.5)\nsys.exit(1)"
    )
    with pytest.raises(ChildProcessError, match="worker 1 was ended by SIGKILL"):
        launch(command, 2, tmp_path, restarts=0, grace=0.2, echo=str)


def test_child_processes_of_a_worker_are_ended_too(tmp_path, worker):
    child = (
        "import subprocess; child = subprocess.Popen(['sleep', '600']); "
        "(folder / f'pid-c-{child.pid}').touch()"
    )
    with pytest.raises(ChildProcessError):
        launch(worker(f"{child}\ntime.sleep(0.5)\nsys.exit(2)"), 2, tmp_path, grace=0.2, echo=str)
    assert len(started(tmp_path)) == 4
    wait_until(lambda: not alive(started(tmp_path)))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_launcher_ends_no_worker_is_left(tmp_path, worker, end):
    code = (
        "import sys; from multimodal_tf.training.launch import launch; "
        "launch(sys.argv[2:], 2, sys.argv[1], grace=0.3)"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *worker("time.sleep(600)")],
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(started(tmp_path)) == 2)
    assert len(alive(started(tmp_path))) == 2
    os.kill(launcher.pid, end)
    launcher.wait(timeout=20)
    wait_until(lambda: not alive(started(tmp_path)))


def wait_until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- several hosts, and the command line


def test_each_host_gets_its_own_command():
    lines = commands_by_host(
        [sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])"], ["a:1", "b:2"]
    )
    printed = subprocess.run(
        ["sh", "-c", lines["b:2"]], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed) == {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 1},
    }


@pytest.mark.parametrize("hosts", ["a,b:1", "a:1,a:1", "a:0", ":1", "a:x"])
def test_a_wrong_host_is_refused(hosts):
    with pytest.raises(
        ValueError,
        match=f"--hosts takes HOST:PORT once for each worker, such as a:1234,b:1234, "
        f"received {hosts}",
    ):
        commands_by_host(["true"], hosts.split(","))


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code, capsys.readouterr()
    return 0, capsys.readouterr()


def test_with_hosts_the_command_line_only_prints(monkeypatch, capsys):
    code, printed = run(
        monkeypatch, capsys, "launch", "--hosts", "a:1,b:2", "--", "python", "train.py"
    )
    assert code == 0
    assert printed.out.count("python train.py") == 2
    assert printed.out.splitlines()[0] == "On a, with the same files:"


def test_the_command_line_launches_any_program(monkeypatch, capsys, tmp_path, worker):
    code, printed = run(
        monkeypatch,
        capsys,
        "launch",
        "--workers",
        2,
        "--logs",
        tmp_path / "logs",
        "--",
        *worker(""),
    )
    assert code == 0
    assert "worker 0, start 1" in printed.out
    assert f"Their output: {tmp_path / 'logs'}" in printed.out


def test_a_missing_program_is_one_sentence(monkeypatch, capsys, tmp_path):
    code, printed = run(
        monkeypatch, capsys, "launch", "--logs", tmp_path / "logs", "--", "no-such-program"
    )
    assert code == 1
    assert printed.err.strip() == "error: no-such-program: No such file or directory"


@pytest.mark.slow
def test_train_is_launched_on_two_workers(monkeypatch, capsys, tmp_path):
    """Two workers write one run, as one process would."""
    schema = ingested(tmp_path / "records", with_parts(["price"], ["age"]))
    words = [
        "--workers",
        2,
        "--logs",
        tmp_path / "logs",
        "--",
        "train",
        tmp_path / "records",
        "--epochs",
        1,
        "--out",
        tmp_path / "run",
    ]
    code, printed = run(monkeypatch, capsys, "launch", *words)
    assert code == 0, printed.err
    assert f"Model: {tmp_path / 'run' / 'model.keras'}" in printed.out
    trained = load_run(tmp_path / "run")
    assert (trained.record.strategy, trained.record.replicas, trained.schema) == (
        "multi_worker",
        2,
        schema,
    )


def test_commands_of_other_hosts_name_the_strategy(monkeypatch, capsys):
    code, printed = run(
        monkeypatch,
        capsys,
        "launch",
        "--hosts",
        "a:1,b:2",
        "--",
        "train",
        "records",
        "--out",
        "run",
    )
    assert code == 0
    assert printed.out.count("multimodal-tf train records --out run --strategy multi_worker") == 2
