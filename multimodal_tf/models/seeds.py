"""The random numbers from which the seeds of initialisers, dropout and drawing layers come."""

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

from keras.src.random import seed_generator


class _OfThread(threading.local):
    """Python's generator, or within `seeded` one of this thread alone."""

    own: random.Random | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(random if self.own is None else self.own, name)


generator: Any = _OfThread()
# Keras draws seeds from Python's generator, which other threads use, too
seed_generator.python_random = generator


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, seeds that this thread draws follow from `seed`.

    Python's own generator and the blocks of other threads neither change them nor are changed.
    """
    before, generator.own = generator.own, random.Random(seed)
    try:
        yield
    finally:
        generator.own = before
