"""TensorFlow is imported without its lines on instruction sets and missing GPUs."""

import contextlib
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec

# lines of INFO, what is said before logging begins, and what follows a line of INFO
_NOISE = re.compile(
    rb"I\d{4} |WARNING: All log messages before absl|To enable the following instructions:"
    rb"|\d{4}-\d\d-\d\d [\d:.]+: I "
)
_NO_DRIVER = b"Could not find cuda drivers"
# said once where there is no driver, although nobody asked for a GPU
_NO_GPU = re.compile(rb"E\d{4} .*failed call to cuInit")


class _QuietImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports TensorFlow as it is, and prints what it says but for the noise."""

    def __init__(self) -> None:
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        # it looks for a module once
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return None if self._loader is None else self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        if self._loader is None:
            return
        # warnings of its kernels, such as of a PNG with an odd profile, come at any time
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with _without_noise():
            self._loader.exec_module(module)
            # otherwise the first use of a device says that there is no GPU
            module.config.list_physical_devices("GPU")


def quiet_import() -> None:
    """Lets the first import of TensorFlow print its errors alone; a level that is set stays.

    Example:
        >>> quiet_import()
    """
    if "tensorflow" not in sys.modules and "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        sys.meta_path.insert(0, _QuietImport())


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """What C++ prints on standard error in the block, without its noise, at the end."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    # a program without standard error
    except (AttributeError, OSError, ValueError):
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            with contextlib.suppress(AttributeError, OSError, ValueError):
                sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            os.write(2, heard(file.read()))


def heard(printed: bytes) -> bytes:
    r"""The lines that say something.

    Example:
        >>> heard(b"I0000 00:00:1 2 port.cc:153] oneDNN\nE0000 00:00:1 2 x.cc:1] broken\n")
        b'E0000 00:00:1 2 x.cc:1] broken\n'
    """
    no_driver = _NO_DRIVER in printed
    return b"".join(
        line
        for line in printed.splitlines(keepends=True)
        if not _NOISE.match(line) and not (no_driver and _NO_GPU.match(line))
    )
