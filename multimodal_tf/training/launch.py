"""Starts the workers of one training on this machine, watches them, ends all when one dies, and
starts them again.
"""

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
from collections.abc import Callable, Sequence

# seconds
_POLL = 0.2
# seconds, in which an error is taken for one that would come again
_EARLY = 60.0
# Linux' PR_SET_PDEATHSIG
_LIBC, _DIE_WITH_PARENT = ctypes.CDLL(None), 1


def launch(
    command: Sequence[str],
    workers: int,
    logs: str | pathlib.Path,
    restarts: int = 3,
    grace: float = 10.0,
    say: Callable[[str], None] = print,
):
    """Runs a command as several workers on this machine, each with its `TF_CONFIG`, until all have
    ended well.

    When one dies, so do the others within `grace` seconds, as they would wait for it; then all are
    started again, and training goes on from its checkpoint. However this function ends (Ctrl-C,
    SIGTERM, an error), no worker is left; and on Linux none if it is killed.

    Args:
        command: program and arguments.
        workers: int. How many.
        logs: a folder, for `worker-0.log` and so on, which hold what the workers print.
        restarts: int. How often all are started again at most. Not where a worker ends by itself,
            with exit code 1 or 2, in the first minute of the first start: what is wrong then is
            wrong again.
        grace: float, seconds between SIGTERM and SIGKILL.
        say: gets what worker 0 prints, line by line, and what happens to the workers.

    Raises:
        ChildProcessError: a worker died, and there is no further start.
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
    logs = pathlib.Path(logs)
    logs.mkdir(parents=True, exist_ok=True)
    with _terminated_as_interrupted():
        for attempt in range(restarts + 1):
            begun = time.monotonic()
            died = _run(command, workers, logs, grace, say, attempt)
            if died is None:
                return
            number, code = died
            hopeless = attempt == 0 and code in (1, 2) and time.monotonic() - begun < _EARLY
            ending = f"worker {number} {_ended(code)}"
            if hopeless or attempt == restarts:
                used = "" if hopeless else f", after {restarts} restarts"
                raise ChildProcessError(
                    f"{ending}{used}: {_last_line(logs, number)}; see {_log(logs, number)}"
                )
            say(f"{ending}: all are started again ({attempt + 1} of {restarts})")


def commands_by_host(command: Sequence[str], hosts: Sequence[str]) -> dict[str, str]:
    """What to run on each host, as a line of shell.

    Args:
        command: program and arguments, as each host has them.
        hosts: sequence of "host:port", one for each worker; the first is the chief, which writes.

    Raises:
        ValueError: a host has no port, or one is there twice.

    Example:
        >>> commands_by_host(["python", "train.py"], ["a:1234", "b:1234"])["b:1234"]
        'TF_CONFIG=\\'{"cluster": {"worker": ["a:1234", "b:1234"]}, "task": {"type": "worker",
        "index": 1}}\\' python train.py'
    """
    for host in hosts:
        name, colon, port = host.rpartition(":")
        if (
            not name
            or not colon
            or not port.isdigit()
            or not 0 < int(port) < 2**16
            or list(hosts).count(host) > 1
        ):
            raise ValueError(
                f"--hosts takes HOST:PORT once for each worker, such as a:1234,b:1234, received {','.join(hosts)}"
            )
    return {
        host: f"TF_CONFIG={shlex.quote(_tf_config(hosts, number))} {shlex.join(command)}"
        for number, host in enumerate(hosts)
    }


def _tf_config(addresses, number):
    return json.dumps(
        {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": number}}
    )


def _run(command, workers, logs, grace, say, attempt):
    """Runs all workers once. None where all ended well, else `(number, exit code)` of the one that
    died first.
    """
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    running: dict[int, subprocess.Popen] = {}
    with _log(logs, 0).open("a+") as chief:
        chief.seek(0, os.SEEK_END)
        try:
            for number in range(workers):
                running[number] = _start(
                    command, _tf_config(addresses, number), _log(logs, number), attempt
                )
            while True:
                codes = {number: process.poll() for number, process in running.items()}
                _repeat(chief, say)
                died = {number: code for number, code in codes.items() if code}
                # one that was killed is the cause of those that gave up
                if died:
                    return min(died.items(), key=lambda ended: ended[1])
                if all(code == 0 for code in codes.values()):
                    return None
                time.sleep(_POLL)
        finally:
            _end(list(running.values()), grace)
            _repeat(chief, say)


def _start(command, tf_config, log, attempt):
    with log.open("a" if attempt else "w") as file:
        if attempt:
            print(f"--- started again ({attempt})", file=file, flush=True)
        return subprocess.Popen(
            list(command),
            env=os.environ | {"TF_CONFIG": tf_config, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # a group of its own, which is ended as a whole, and which Ctrl-C does not reach by
            # itself
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent():
    _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _end(processes, grace):
    """Ends what is left of them: TensorFlow's workers do not heed SIGTERM while they wait for each
    other.
    """
    try:
        for process in processes:
            _signal(process, signal.SIGTERM)
        end = time.monotonic() + grace
        while any(process.poll() is None for process in processes) and time.monotonic() < end:
            time.sleep(_POLL / 4)
    finally:
        # also at a second Ctrl-C
        for process in processes:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process, number):
    # its whole group has ended
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in bound]


@contextlib.contextmanager
def _terminated_as_interrupted():
    """SIGTERM, too, ends the workers before this process."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _repeat(log, say):
    for line in log.readlines():
        say(line.rstrip("\n"))


def _log(logs, number):
    return logs / f"worker-{number}.log"


def _last_line(logs, number):
    lines = [
        line.strip()
        for line in _log(logs, number).read_text(errors="replace").splitlines()
        if line.strip()
    ]
    return f"«{lines[-1][:300]}»" if lines else "it printed nothing"


def _ended(code):
    return (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    )
