"""Keras Tuner's chief and workers as processes of this machine, none of which outlives this one."""

import contextlib
import ipaddress
import multiprocessing
import os
import socket
import threading
import time
import warnings

from multimodal_tf.training.tune import report, tuners

CHIEF = "chief"
# of all processes of a search together
_RESTARTS = 3
# seconds in which a process ends that is asked to
_DEADLINE = 5.0
# seconds in which a chief must answer
_ANSWER = 60.0
# seconds, after the last trial, in which workers of other hosts ask for another and hear that there
# is none
_FAREWELL = 60.0


def run(settings: tuners.Settings, workers: int, address: tuple[str, int], chief: bool):
    """Runs a search, or this machine's part of it, to its end.

    A process that dies is started again, at most three of them; a worker then runs its trial again.
    What they print goes to `logs`.

    Args:
        settings: `Settings`.
        workers: int. Their number here.
        address: host and port of the chief.
        chief: whether it is started here.

    Raises:
        ChildProcessError: a process died once more; the others are ended.
        ConnectionError: there is no chief at `address`.
    """
    if not chief:
        _wait_for_chief(address)
    elif not loopback(address[0]):
        warnings.warn(
            f"the chief listens on {address[0]} by unencrypted gRPC, without a password: who reaches it can read and change the search",
            stacklevel=3,
        )
    # Keras Tuner takes who is called so for a chief
    host = socket.gethostname().replace(CHIEF, "host")
    names = ([CHIEF] if chief else []) + [f"worker-{host}-{number}" for number in range(workers)]
    threads = max(1, (os.cpu_count() or 1) // workers)
    with _Processes(settings, address, threads, chief) as processes:
        for name in names:
            processes.start(name)
        while processes.alive(names[-workers:]):
            processes.mend()
            time.sleep(0.1)
        if chief and not loopback(address[0]):
            _wait_for_others(settings.project, processes)


def _wait_for_others(project, processes):
    """Keeps the chief until workers of other hosts have ended, too: it ends by itself when all that
    it knows have heard that there is no more to do, and one that has died never hears."""
    deadline = time.monotonic() + _FAREWELL
    while processes.alive([CHIEF]) and time.monotonic() < deadline:
        processes.mend()
        if report.running(project):
            deadline = time.monotonic() + _FAREWELL
        time.sleep(0.5)


class _Processes:
    """Those of a search, by name."""

    def __init__(self, settings, address, threads, chief):
        self._arguments = settings, address, threads
        self._chief = chief
        self._logs = settings.directory / "logs"
        self._running: dict = {}
        self._restarts = 0

    def __enter__(self):
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_):
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.join(_DEADLINE)
            if process.is_alive():
                process.kill()
                process.join()

    def start(self, name):
        # TensorFlow's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=_work, args=(name, self._log(name), *self._arguments), name=name, daemon=True
        )
        process.start()
        self._running[name] = process

    def alive(self, names):
        """Whether any of them has not ended well."""
        return any(self._running[name].exitcode != 0 for name in names)

    def mend(self):
        """Starts those again that died."""
        for name, process in list(self._running.items()):
            if process.exitcode in (None, 0):
                continue
            if self._restarts == _RESTARTS:
                raise ChildProcessError(
                    f"{name} died with exit code {process.exitcode}, after {_RESTARTS} restarts in this search: see {self._log(name)}; "
                    "finished trials are kept: run it again"
                )
            self._restarts += 1
            if not self._chief:
                # Keras Tuner would wait for an hour
                _wait_for_chief(self._arguments[1])
            self.start(name)

    def _log(self, name):
        return self._logs / f"{name}.log"


def _work(name, log, settings, address, threads):
    """What a process does; in the process itself."""
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
        tuners.search(settings, name == CHIEF)


def _end_with_parent():
    """Also where the parent is killed and can tell nobody."""

    def wait():
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def listening(text: str) -> tuple[str, int]:
    """The address that a chief is to listen on: `HOST` or `HOST:PORT`; without a port, one that is
    free.

    Raises:
        OSError: the port is in use, or is not to be had; one sentence.
        ValueError: it is no address.
    """
    host, port = address(text if ":" in text else f"{text}:0")
    try:
        with socket.create_server((host, port)) as server:
            return host, server.getsockname()[1]
    except OSError as error:
        raise type(error)(
            f"the chief cannot listen on {host}:{port}: {error.strerror or error}; choose another port or host"
        ) from error


def address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`.

    Raises:
        ValueError: it is no address.

    Example:
        >>> address("127.0.0.1:8000")
        ('127.0.0.1', 8000)
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"an address must be HOST:PORT, received {text!r}")
    return host, int(port)


def loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _wait_for_chief(where):
    deadline = time.monotonic() + _ANSWER
    while True:
        try:
            with socket.create_connection(where, timeout=_DEADLINE):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                host, port = where
                raise ConnectionError(
                    f"no chief answers at {host}:{port} ({error.strerror or error}): start the search there, with --listen, first"
                ) from error
        time.sleep(0.5)
