"""Checkpoint files: the whole state of a training, written atomically; the last two are kept.

A file is a `.safetensors` (https://github.com/huggingface/safetensors: numbers and names, no code)
followed by its SHA-256.
"""

import concurrent.futures
import hashlib
import json
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy

from multimodal_tf.data import atomic

# if the last file is damaged, the one before is used
_KEPT = 2
_DIGEST = hashlib.sha256().digest_size
_SUFFIX = ".checkpoint"

# dicts, lists, tuples, strings, numbers, None and arrays
State = Any
Arrays = dict[str, np.ndarray[Any, Any]]


class Checkpoints:
    """The checkpoints of one training, in a folder.

    A thread writes them while the training continues. An error there, such as a full disk, is
    raised by the next call of `save` or `check`, or by `close`.

    Args:
        folder: made with the first checkpoint.

    Example:
        >>> import tempfile
        >>> checkpoints = Checkpoints(pathlib.Path(tempfile.mkdtemp(), "checkpoints"))
        >>> checkpoints.save(7, {"step": 7, "weights": [np.ones(2)]})
        >>> checkpoints.close()
        >>> checkpoints.latest()
        {'step': 7, 'weights': [array([1., 1.])]}
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = pathlib.Path(folder)
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._writing: concurrent.futures.Future[None] | None = None

    def save(self, number: int, state: State) -> None:
        """Writes a state.

        Args:
            number: int >= 0, rising from one checkpoint to the next.
            state: dicts, lists, tuples, strings, numbers, None and arrays. They must not be changed
                afterwards, since they are written later.

        Raises:
            ValueError: the state holds something else.
            OSError: the disk is full or cannot be written.
        """
        self._settle()
        arrays: Arrays = {}
        structure = json.dumps(_to_json(state, arrays))
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._writing = self._thread.submit(self._write, number, structure, arrays)

    def check(self) -> None:
        """Raises the error of a checkpoint that could not be written, if it is known already."""
        if self._writing is not None and self._writing.done():
            self._settle()

    def close(self) -> None:
        """Waits until everything is written."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._settle()

    def latest(self) -> State:
        """The state in the last undamaged checkpoint; None if there is none."""
        for path in reversed(self._paths()):
            state = _read(path)
            if state is not None:
                return state
        return None

    def remove(self) -> None:
        """Removes all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[pathlib.Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, number: int, structure: str, arrays: Arrays) -> None:
        content = safetensors.numpy.save(arrays, metadata={"state": structure})
        with atomic.full_disk_explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic.remove_temporaries(self.folder)
            with (
                atomic.replacing(self.folder / f"{number:012}{_SUFFIX}") as temporary,
                open(temporary, "wb") as file,
            ):
                file.write(content)
                file.write(hashlib.sha256(content).digest())
        for path in self._paths()[:-_KEPT]:
            path.unlink()


def _read(path: pathlib.Path) -> State:
    """The state in a file; None if it is damaged."""
    content = path.read_bytes()
    content, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        return None
    size = int.from_bytes(content[:8], "little")
    structure = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["state"])
    return _from_json(structure, safetensors.numpy.load(content))


def _to_json(value: State, arrays: Arrays) -> Any:
    """A value as JSON; its arrays are moved to `arrays`, and referred to by their number there."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_to_json(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_to_json(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_to_json(item, arrays) for item in pair] for pair in value.items()]}
    if isinstance(value, np.ndarray | np.generic) or keras.ops.is_tensor(value):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value).reshape(np.shape(value))
        return {"array": name}
    raise ValueError(
        "a checkpoint holds dicts, lists, tuples, strings, numbers, None and arrays, "
        f"received {type(value).__name__}"
    )


def _from_json(structure: Any, arrays: Arrays) -> State:
    if isinstance(structure, list):
        return [_from_json(item, arrays) for item in structure]
    if not isinstance(structure, dict):
        return structure
    ((kind, content),) = structure.items()
    if kind == "array":
        # without dimensions: a number
        return arrays[content][()]
    items = _from_json(content, arrays)
    return tuple(items) if kind == "tuple" else dict(items)
