"""Runs `fuzz.child` and watches it: its crash, hang or appetite belongs to the file it was at."""

import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
from typing import Any

import psutil

TESTS = pathlib.Path(__file__).parents[1]
# a child that says nothing for so long waits for something: wall seconds
_SILENCE = 120
# on a busy machine TensorFlow takes minutes to import
_START = 1200
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of a file.

    Attributes:
        outcome: "accepted" or "refused"; or a finding: "crashed", "hung", "memory", "error",
            "disagreement", "wrong".
        reason: one line.
        seconds: CPU seconds.
        megabytes: peak of the memory, above what the process had before any file.
    """

    outcome: str
    reason: str
    seconds: float
    megabytes: float

    @property
    def is_finding(self) -> bool:
        """Whether it is a fault of the package."""
        return self.outcome not in ("accepted", "refused")


class Watched:
    """A child process for one target, started anew whenever it has ended.

    `spent` is the time that all files took, in seconds; starts of the process do not count.

    Args:
        target: key of `fuzz.targets.TARGETS`.
        first: a good file, which the child reads before it is ready.
        package: the folder that holds the package to test.
        seconds: CPU seconds for a file; more is "hung".
        megabytes: for a file; more is "memory".
        environment: more variables of the child.
        program: of the child.
    """

    def __init__(
        self,
        target: str,
        first: pathlib.Path,
        package: pathlib.Path = TESTS.parent,
        seconds: float = 5,
        megabytes: float = 2000,
        environment: dict[str, str] | None = None,
        program: str = "from fuzz import child, targets; child.main(targets.TARGETS)",
    ) -> None:
        self._target, self._first, self._package = target, first, package
        self._seconds, self._megabytes = seconds, megabytes
        self._environment, self._program = environment or {}, program
        self._process: Any = None
        self._answers: Any = None
        self._log = open(os.memfd_create("log"), "r+b")  # noqa: SIM115
        self.spent, self._ready, self._is_new = 0.0, 0.0, True

    def attempt(self, path: pathlib.Path) -> Trial:
        """Gives the child a file and waits for what comes of it."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        trial = self._timed(path)
        # several files may have done it together
        if trial.outcome == "memory" and not self._is_new:
            self._start()
            trial = self._timed(path)
        self._is_new = False
        return trial

    def _timed(self, path: pathlib.Path) -> Trial:
        start = time.monotonic()
        trial = self._tried(path)
        self.spent += time.monotonic() - start
        return trial

    def _tried(self, path: pathlib.Path) -> Trial:
        watched = psutil.Process(self._process.pid)
        cpu = _cpu(watched)
        self._log.seek(0)
        self._log.truncate()
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        started = time.monotonic()
        while not select.select([self._answers], [], [], 0.05)[0]:
            try:
                used, grown = _cpu(watched) - cpu, watched.memory_info().rss / 2**20 - self._ready
            except psutil.Error:
                continue
            if grown > 1.5 * self._megabytes:
                return self._killed("memory", used, grown)
            if used > 2 * self._seconds or time.monotonic() - started > _SILENCE:
                return self._killed("hung", used, grown)
        answer = self._answers.readline()
        if not answer:
            return self._crashed(time.monotonic() - started)
        trial = Trial(**json.loads(answer))
        if trial.is_finding:
            return trial
        if trial.megabytes > self._megabytes:
            return dataclasses.replace(trial, outcome="memory")
        if trial.seconds > self._seconds:
            return dataclasses.replace(trial, outcome="hung")
        return trial

    def close(self) -> None:
        """Ends the child."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._answers.close()
            self._process = None
        self._log.close()

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._answers.close()
        self._is_new = True
        reading, writing = os.pipe()
        paths = os.pathsep.join(map(str, (self._package, TESTS)))
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._program, self._target, str(writing), str(self._first)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[writing],
            cwd=self._package,
            env=os.environ | _QUIET | {"PYTHONPATH": paths} | self._environment,
            text=True,
        )
        os.close(writing)
        self._answers = os.fdopen(reading)
        if not select.select([self._answers], [], [], _START)[0] or not self._answers.readline():
            self._process.kill()
            raise RuntimeError(f"the process for {self._target!r} did not start: {self._logged()}")
        self._ready = psutil.Process(self._process.pid).memory_info().rss / 2**20

    def _killed(self, outcome: str, seconds: float, megabytes: float) -> Trial:
        # SIGABRT makes faulthandler write where the process is
        self._process.send_signal(signal.SIGABRT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return Trial(outcome, self._place(), seconds, megabytes)

    def _crashed(self, seconds: float) -> Trial:
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return Trial("crashed", f"{name} {self._place()}", seconds, 0)

    def _place(self) -> str:
        """The first line of the stack that faulthandler wrote that lies in the package."""
        lines = [line.strip() for line in self._logged().splitlines() if 'File "' in line]
        package = f'"{self._package}/multimodal_tf'
        return next((line for line in lines if package in line), "").replace(
            f"{self._package}/", ""
        )

    def _logged(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-20_000:]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
