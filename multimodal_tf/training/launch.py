"""Starts the workers of one training on this machine, and restarts all of them if one dies."""

import contextlib
import ctypes
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TextIO

# seconds
_POLL = 0.2
# seconds in which an error is taken for one that would come again
_EARLY = 60.0
# Linux' PR_SET_PDEATHSIG
_LIBC, _DIE_WITH_PARENT = ctypes.CDLL(None), 1

Echo = Callable[[str], None]


def launch(
    command: Sequence[str],
    workers: int,
    log_dir: str | pathlib.Path,
    restarts: int = 3,
    grace: float = 10.0,
    echo: Echo = print,
) -> None:
    """Runs a command as several workers on this machine, each with its `TF_CONFIG`.

    It returns when all workers have exited with code 0. If one dies, the others are ended within
    `grace` seconds, since they would wait for it. Then all are restarted, and training resumes
    from its checkpoint. However this function ends (Ctrl-C, SIGTERM, an error), no worker is left
    running; on Linux also if it is killed.

    Args:
        command: program and arguments.
        workers: int. How many.
        log_dir: gets the workers' output in `worker-0.log` and so on.
        restarts: int. How often all are restarted at most. A worker that exits with code 1 or 2 in
            the first minute is not restarted, since the error would come again.
        grace: float, seconds between SIGTERM and SIGKILL.
        echo: called with each line that worker 0 prints, and with what happens to the workers.

    Raises:
        ChildProcessError: a worker died, and there are no restarts left.
        FileNotFoundError: there is no such program.
        ValueError: `workers` is less than 1, or `restarts` negative.

    Example:
        >>> import tempfile
        >>> launch(["sh", "-c", "echo $TF_CONFIG"], 2, tempfile.mkdtemp())
        {"cluster": {"worker": ["127.0.0.1:...", "127.0.0.1:..."]}, "task": {"type": "worker",
        "index": 0}}
    """
    if workers < 1 or restarts < 0:
        raise ValueError(
            f"workers must be at least 1 and restarts at least 0, received {workers} and {restarts}"
        )
    log_dir = pathlib.Path(log_dir)
    log_dir.mkdir(parents=True, exist_ok=True)
    with _sigterm_as_interrupt():
        for attempt in range(restarts + 1):
            begun = time.monotonic()
            died = _run(command, workers, log_dir, grace, echo, attempt)
            if died is None:
                return
            early = attempt == 0 and time.monotonic() - begun < _EARLY
            message = _restart_message(*died, early, attempt, restarts, log_dir)
            echo(message)


def _restart_message(
    worker: int, code: int, early: bool, attempt: int, restarts: int, log_dir: pathlib.Path
) -> str:
    """What to print before a restart.

    Raises:
        ChildProcessError: there is no restart.
    """
    ending = f"worker {worker} {_ending(code)}"
    permanent = early and code in (1, 2)
    if permanent or attempt == restarts:
        used = "" if permanent else f", after {restarts} restarts"
        log = _log(log_dir, worker)
        raise ChildProcessError(f"{ending}{used}: {_last_line(log)}; see {log}")
    return f"{ending}: all are restarted ({attempt + 1} of {restarts})"


def commands_by_host(command: Sequence[str], hosts: Sequence[str]) -> dict[str, str]:
    """The shell command to run on each host.

    Args:
        command: program and arguments, as each host has them.
        hosts: sequence of "host:port", one for each worker; the first is the chief, which writes.

    Raises:
        ValueError: a host has no port, or is given twice.

    Example:
        >>> commands_by_host(["python", "train.py"], ["a:1234", "b:1234"])["b:1234"]
        'TF_CONFIG=\\'{"cluster": {"worker": ["a:1234", "b:1234"]}, "task": {"type": "worker",
        "index": 1}}\\' python train.py'
    """
    if len(set(hosts)) < len(hosts) or not all(map(_is_address, hosts)):
        raise ValueError(
            "--hosts takes HOST:PORT once for each worker, such as a:1234,b:1234, "
            f"received {','.join(hosts)}"
        )
    return {
        host: f"TF_CONFIG={shlex.quote(_tf_config(hosts, index))} {shlex.join(command)}"
        for index, host in enumerate(hosts)
    }


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16


def _tf_config(addresses: Sequence[str], index: int) -> str:
    return json.dumps(
        {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
    )


def _run(
    command: Sequence[str],
    workers: int,
    log_dir: pathlib.Path,
    grace: float,
    echo: Echo,
    attempt: int,
) -> tuple[int, int] | None:
    """Runs all workers once.

    Returns:
        Index and exit code of the worker that died first; None if all exited with code 0.
    """
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    running: dict[int, subprocess.Popen[bytes]] = {}
    with _log(log_dir, 0).open("a+") as chief_log:
        chief_log.seek(0, os.SEEK_END)
        try:
            for index in range(workers):
                running[index] = _start(
                    command, _tf_config(addresses, index), _log(log_dir, index), attempt
                )
            while True:
                codes = {index: process.poll() for index, process in running.items()}
                _echo_lines(chief_log, echo)
                died = [(code, index) for index, code in codes.items() if code]
                if died:
                    # a negative code: a killed worker is the reason why others gave up
                    code, index = min(died)
                    return index, code
                if all(code == 0 for code in codes.values()):
                    return None
                time.sleep(_POLL)
        finally:
            _end(list(running.values()), grace)
            _echo_lines(chief_log, echo)


def _start(
    command: Sequence[str], tf_config: str, log: pathlib.Path, attempt: int
) -> subprocess.Popen[bytes]:
    with log.open("a" if attempt else "w") as file:
        if attempt:
            print(f"--- restarted ({attempt})", file=file, flush=True)
        return subprocess.Popen(
            list(command),
            env=os.environ | {"TF_CONFIG": tf_config, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # a process group of its own can be ended as a whole; Ctrl-C does not reach it
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent() -> None:
    _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _end(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> None:
    """Ends the processes that still run.

    TensorFlow's workers ignore SIGTERM while they wait for each other, so SIGKILL follows.
    """
    try:
        for process in processes:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
            time.sleep(_POLL / 4)
    finally:
        # also after a second Ctrl-C
        for process in processes:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # suppressed: the whole process group has ended
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Within the block, SIGTERM raises KeyboardInterrupt, so that the workers are ended first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _echo_lines(log: TextIO, echo: Echo) -> None:
    for line in log.readlines():
        echo(line.rstrip("\n"))


def _log(log_dir: pathlib.Path, worker: int) -> pathlib.Path:
    return log_dir / f"worker-{worker}.log"


def _last_line(log: pathlib.Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    printed = [line for line in lines if line]
    return f"«{printed[-1][:300]}»" if printed else "it printed nothing"


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
