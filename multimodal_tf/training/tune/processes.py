"""Keras Tuner's chief and workers as processes of this machine; none outlives this process."""

import contextlib
import ipaddress
import multiprocessing
import multiprocessing.context
import os
import pathlib
import socket
import threading
import time
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from multimodal_tf.training.tune import report, tuners

CHIEF = "chief"
# of all processes of a search together
_RESTARTS = 3
# seconds for a process to end after it is asked to
_DEADLINE = 5.0
# seconds in which a chief must answer
_ANSWER = 60.0
# seconds, after the last trial, for workers of other hosts to hear that there is no other trial
_FAREWELL = 60.0

# host and port
Address = tuple[str, int]


def run(settings: tuners.Settings, workers: int, address: Address, chief: bool) -> None:
    """Runs a search, or this machine's part of it, to its end.

    A process that dies is restarted, three times at most; a worker then runs its trial again. The
    processes' output goes to `logs`.

    Args:
        settings: `Settings`.
        workers: int. Number of workers here.
        address: of the chief.
        chief: whether it is started here.

    Raises:
        ChildProcessError: a process died once more; the others are ended.
        ConnectionError: there is no chief at `address`.
    """
    if not chief:
        _wait_for_chief(address)
    elif not is_loopback(address[0]):
        warnings.warn(
            f"the chief listens on {address[0]} by unencrypted gRPC, without a password: who can "
            "reach it can read and change the search",
            stacklevel=4,
        )
    # Keras Tuner takes a process with this word in its name for the chief
    host = socket.gethostname().replace(CHIEF, "host")
    names = ([CHIEF] if chief else []) + [f"worker-{host}-{index}" for index in range(workers)]
    threads = max(1, (os.cpu_count() or 1) // workers)
    with _Processes(settings, address, threads, chief) as processes:
        for name in names:
            processes.start(name)
        while processes.any_alive(names[-workers:]):
            processes.restart_dead()
            if chief and not processes.any_alive([CHIEF]):
                # It ends when no trial is left; a worker restarted since would wait for it.
                processes.join(names[-workers:])
                break
            time.sleep(0.1)
        if chief and not is_loopback(address[0]):
            _wait_for_others(settings.project, processes)


class _Processes:
    """The processes of a search, by name."""

    def __init__(
        self, settings: tuners.Settings, address: Address, threads: int, chief: bool
    ) -> None:
        self._settings, self._address, self._threads = settings, address, threads
        self._chief = chief
        self._logs = settings.out / "logs"
        self._running: dict[str, multiprocessing.context.SpawnProcess] = {}
        self._restarts = 0

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.join(_DEADLINE)
            if process.is_alive():
                process.kill()
                process.join()

    def start(self, name: str) -> None:
        """Starts a process."""
        # TensorFlow's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        arguments = (name, self._log(name), self._settings, self._address, self._threads)
        process = context.Process(target=_work, args=arguments, name=name, daemon=True)
        process.start()
        self._running[name] = process

    def any_alive(self, names: Iterable[str]) -> bool:
        """Whether any of them has not ended with exit code 0."""
        return any(self._running[name].exitcode != 0 for name in names)

    def join(self, names: Iterable[str]) -> None:
        """Gives them a few seconds to end."""
        deadline = time.monotonic() + _DEADLINE
        for name in names:
            self._running[name].join(max(0.0, deadline - time.monotonic()))

    def restart_dead(self) -> None:
        """Restarts processes that died; raises ChildProcessError after the last restart."""
        for name, process in list(self._running.items()):
            if process.exitcode in (None, 0):
                continue
            if self._restarts == _RESTARTS:
                raise ChildProcessError(
                    f"{name} died with exit code {process.exitcode}, after {_RESTARTS} restarts in "
                    f"this search: see {self._log(name)}; finished trials are kept: run it again"
                )
            self._restarts += 1
            if not self._chief:
                # Keras Tuner would wait for an hour
                _wait_for_chief(self._address)
            self.start(name)

    def _log(self, name: str) -> pathlib.Path:
        return self._logs / f"{name}.log"


def _wait_for_others(project: pathlib.Path, processes: _Processes) -> None:
    """Keeps the chief running until workers of other hosts have ended, too.

    It ends by itself when all workers that it knows have heard that there are no more trials. One
    that has died never hears.
    """
    deadline = time.monotonic() + _FAREWELL
    while processes.any_alive([CHIEF]) and time.monotonic() < deadline:
        processes.restart_dead()
        if report.running_trials(project):
            deadline = time.monotonic() + _FAREWELL
        time.sleep(0.5)


def _work(
    name: str, log: pathlib.Path, settings: tuners.Settings, address: Address, threads: int
) -> None:
    """The main function of a process."""
    _end_with_parent()
    with open(log, "a", buffering=1, encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os.environ.update(
            KERASTUNER_TUNER_ID=name,
            KERASTUNER_ORACLE_IP=address[0],
            KERASTUNER_ORACLE_PORT=str(address[1]),
        )
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tuners.search(settings, keeps_trials=name == CHIEF)


def _end_with_parent() -> None:
    """Ends this process when its parent ends, even if the parent is killed."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def listen_address(text: str) -> Address:
    """The address for a chief to listen on: `HOST:PORT`, or `HOST` with a free port.

    Raises:
        OSError: the port is in use or cannot be used.
        ValueError: it is no address.
    """
    host, port = parse_address(text if ":" in text else f"{text}:0")
    try:
        with socket.create_server((host, port)) as server:
            return host, int(server.getsockname()[1])
    except OSError as error:
        raise type(error)(
            f"the chief cannot listen on {host}:{port}: {error.strerror or error}; choose another "
            "port or host"
        ) from error


def parse_address(text: str) -> Address:
    """Host and port of `HOST:PORT`.

    Raises:
        ValueError: it is no address.

    Example:
        >>> parse_address("127.0.0.1:8000")
        ('127.0.0.1', 8000)
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"an address must be HOST:PORT, received {text!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _wait_for_chief(address: Address) -> None:
    deadline = time.monotonic() + _ANSWER
    while True:
        try:
            with socket.create_connection(address, timeout=_DEADLINE):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                host, port = address
                raise ConnectionError(
                    f"no chief answers at {host}:{port} ({error.strerror or error}): start the "
                    "search there, with --listen, first"
                ) from error
        time.sleep(0.5)
