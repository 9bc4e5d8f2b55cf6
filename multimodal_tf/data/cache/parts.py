"""Parts: files of fixed-size entries by the digest of a cell, memory-mapped; and their lookup.

A part is a NumPy array file, followed by the SHA-256 of its bytes.
"""

import hashlib
import io
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from multimodal_tf.data import atomic, filesystem
from multimodal_tf.data.filesystem import Path

# bytes of a digest of a cell
DIGEST = 16
_SUFFIX = ".npy"
# parts of at most so many bytes are checked whole when they are opened
_CHECKED = 256 << 20
_CHECK = hashlib.sha256().digest_size

# by digest, a cell's part and its row there
Places = dict[bytes, tuple[int, int]]


class Spec(NamedTuple):
    """One output of a frozen tower for one cell."""

    shape: tuple[int, ...]
    dtype: str


class Parts:
    """The parts in a folder. An entry is a cell's digest, its presence flag, and its outputs.

    Args:
        folder: of this input and key.
        specs: of the outputs, by key.
    """

    def __init__(self, folder: Path, specs: Mapping[str, Spec]) -> None:
        self.folder, self._specs = folder, dict(specs)
        fields = [(key, np.dtype(one.dtype), one.shape) for key, one in self._specs.items()]
        self.dtype = np.dtype([("cell", "u1", (DIGEST,)), ("present", "f4"), *fields])
        self._files: dict[str, np.ndarray] = {}
        self.places: Places = {}
        self._order: list[np.ndarray] = []

    def refresh(self) -> None:
        """Opens parts that other processes, or this one, have written since.

        A damaged part is removed, and a warning says so. Of a large one only the size is checked.
        """
        filesystem.forget_listings(self.folder)
        for name in sorted(one.name for one in self.folder.glob(f"*{_SUFFIX}")):
            if name in self._files:
                continue
            path = self.folder / name
            entries = self._open(path)
            if entries is None:
                warnings.warn(
                    f"{path} is damaged, or of another version: its cells are computed anew",
                    stacklevel=2,
                )
                path.unlink(missing_ok=True)
                continue
            self._files[name] = entries
            number = len(self._order)
            self._order.append(entries)
            for row, digest in enumerate(np.ascontiguousarray(entries["cell"])):
                self.places.setdefault(digest.tobytes(), (number, row))

    def write(self, entries: np.ndarray) -> None:
        """Writes entries as one part, there whole or not at all.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        filesystem.make_directory(self.folder)
        name = hashlib.sha256(entries["cell"].tobytes()).hexdigest()[: 2 * DIGEST] + _SUFFIX
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, np.lib.format.header_data_from_array_1_0(entries)
        )
        check = hashlib.sha256(header.getvalue())
        check.update(entries.data)
        with atomic.replacing(self.folder / name) as temporary, open(temporary, "wb") as file:
            file.write(header.getvalue())
            file.write(entries.data)
            file.write(check.digest())

    def positions(self, digests: Iterable[bytes]) -> np.ndarray:
        """The part of each cell and its row there, int64 `(cells, 2)`.

        Raises:
            KeyError: a cell has no entry.
        """
        places = [self.places[digest] for digest in digests]
        return np.array(places, np.int64).reshape(-1, 2)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """The entries at some positions, an array of `dtype`."""
        found = np.empty(len(positions), self.dtype)
        for number in np.unique(positions[:, 0]):
            ours = positions[:, 0] == number
            found[ours] = self._order[number][positions[ours, 1]]
        return found

    def entries(self, digests: Iterable[bytes]) -> np.ndarray:
        """The entries of some cells, an array of `dtype`."""
        return self.read(self.positions(digests))

    def _open(self, path: Path) -> np.ndarray | None:
        """The entries of a part, memory-mapped; None if it is damaged."""
        try:
            local = filesystem.local_copy(path)
            entries: Any = np.load(local, mmap_mode="r")
        except (ValueError, EOFError, OSError, TypeError):
            return None
        if not isinstance(entries, np.memmap) or entries.dtype != self.dtype:
            return None
        size = entries.offset + entries.nbytes + _CHECK
        if local.stat().st_size != size:
            return None
        if size <= _CHECKED and not _is_whole(local.read_bytes()):
            return None
        return entries


def _is_whole(content: bytes) -> bool:
    return hashlib.sha256(content[:-_CHECK]).digest() == content[-_CHECK:]
