"""Ctrl-C and SIGTERM: a training writes a checkpoint before it stops, and says how to go on."""

import contextlib
import pathlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# the handlers of a program that has none of its own
_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class TrainingStopped(KeyboardInterrupt):
    """A training that was stopped by a signal, with a checkpoint to resume from.

    Its text says how to go on. It is a `KeyboardInterrupt`, which no loop catches by mistake.

    Example:
        >>> TrainingStopped(signal.SIGTERM, 2, 5, pathlib.Path("run")).signal
        <Signals.SIGTERM: 15>
    """

    def __init__(
        self, received: signal.Signals, epoch: int, step: int, run_dir: pathlib.Path
    ) -> None:
        self.signal = received
        super().__init__(
            f"the training was stopped in epoch {epoch + 1}, after step {step}, and has a"
            f" checkpoint in {run_dir}: run the same again, and it goes on from there"
        )


class Signals:
    """Which signal came, if any: the training asks after each step.

    Example:
        >>> Signals().received is None
        True
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    @contextlib.contextmanager
    def awaited(self, waits: bool = True) -> Iterator[None]:
        """Takes the signals in the block; a second one ends it at once.

        A program that handles a signal itself, or ignores it, keeps its way, and so do threads.

        Args:
            waits: False: the signals are left as they are.
        """
        kept: dict[signal.Signals, Any] = {}
        if waits and threading.current_thread() is threading.main_thread():
            kept = {one: signal.getsignal(one) for one in _SIGNALS}
        kept = {one: handler for one, handler in kept.items() if handler in _DEFAULT}

        def note(number: int, _: FrameType | None) -> None:
            self.received = signal.Signals(number)
            for one, handler in kept.items():
                signal.signal(one, handler)

        for one in kept:
            signal.signal(one, note)
        try:
            yield
        finally:
            for one, handler in kept.items():
                signal.signal(one, handler)
