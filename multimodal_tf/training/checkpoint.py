"""Checkpoint files: all of a training's state, whole or not at all, the last two kept.

A file is a `.safetensors` (https://github.com/huggingface/safetensors: numbers and names, no code)
with its SHA-256 behind it.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import shutil

import keras
import numpy as np
import safetensors
import safetensors.numpy

from multimodal_tf.data import atomic

# so that one is whole, whatever happens to the other
_KEPT = 2
_DIGEST = hashlib.sha256().digest_size
_ENDING = ".checkpoint"


class Checkpoints:
    """The checkpoints of one training, in a directory.

    They are written in a thread of their own while the training goes on. What goes wrong there,
    such as a full disk, is raised by the next call of `save` or `check`, or by `close`.

    Args:
        directory: path; made with the first checkpoint.

    Example:
        >>> import tempfile
        >>> checkpoints = Checkpoints(pathlib.Path(tempfile.mkdtemp(), "checkpoints"))
        >>> checkpoints.save(7, {"step": 7, "weights": [np.ones(2)]})
        >>> checkpoints.close()
        >>> checkpoints.latest()
        {'step': 7, 'weights': [array([1., 1.])]}
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = pathlib.Path(directory)
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._writing: concurrent.futures.Future | None = None

    def save(self, number: int, state) -> None:
        """Writes a state: dicts, lists, tuples, strings, numbers, None and arrays, which must not
        change any more.

        Args:
            number: int, at least 0; higher for later ones.
            state: what `latest` will give.

        Raises:
            ValueError: the state holds something else.
            OSError: the disk is full or cannot be written.
        """
        self._settle()
        arrays: dict[str, np.ndarray] = {}
        described = json.dumps(_described(state, arrays))
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._writing = self._thread.submit(self._write, number, described, arrays)

    def check(self) -> None:
        """Raises what went wrong while a checkpoint was written, if that is known already."""
        if self._writing is not None and self._writing.done():
            self._settle()

    def close(self) -> None:
        """Waits until all is written."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._settle()

    def latest(self):
        """The state in the last checkpoint that is whole; None where there is none."""
        for path in reversed(self._paths()):
            state = _read(path)
            if state is not None:
                return state
        return None

    def remove(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _paths(self):
        return sorted(self.directory.glob(f"*{_ENDING}"))

    def _settle(self):
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, number, described, arrays):
        content = safetensors.numpy.save(arrays, metadata={"state": described})
        with atomic.full_disk_explained(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            atomic.remove_temporaries(self.directory)
            with (
                atomic.replacing(self.directory / f"{number:012}{_ENDING}") as temporary,
                open(temporary, "wb") as file,
            ):
                file.write(content)
                file.write(hashlib.sha256(content).digest())
        for path in self._paths()[:-_KEPT]:
            path.unlink()


def _read(path):
    """The state in a file; None where it is torn."""
    content = path.read_bytes()
    content, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    size = int.from_bytes(content[:8], "little")
    described = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["state"])
    return _restored(described, safetensors.numpy.load(content))


def _described(value, arrays):
    """A value as JSON; its arrays go into `arrays`, and are there under their number."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_described(part, arrays) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [_described(part, arrays) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[_described(part, arrays) for part in pair] for pair in value.items()]}
    if isinstance(value, np.ndarray | np.generic) or keras.ops.is_tensor(value):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value).reshape(np.shape(value))
        return {"array": name}
    raise ValueError(
        f"a checkpoint holds dicts, lists, tuples, strings, numbers, None and arrays, received {type(value).__name__}"
    )


def _restored(described, arrays):
    if isinstance(described, list):
        return [_restored(part, arrays) for part in described]
    if not isinstance(described, dict):
        return described
    ((kind, content),) = described.items()
    if kind == "array":
        # a number, where it has no dimensions
        return arrays[content][()]
    parts = _restored(content, arrays)
    return tuple(parts) if kind == "tuple" else dict(parts)
