"""Vectors of frozen pretrained networks, computed once per distinct cell and kept in a folder."""

import hashlib
import os
import pathlib
import sys
import time

import numpy as np

from benchmarks.presets import efficientnet_lite, minilm, whisper

# by kind of input
PRESETS = {"text": minilm, "image": efficientnet_lite, "audio": whisper}
# cells between two saves
CHUNK = 256


class FrozenVectors:
    """Unit vectors of cells, from the presets of `benchmarks.make_presets`.

    Args:
        presets: folder of the preset folders.
        folder: of the kept vectors, a file per preset and digest of its weights.
    """

    def __init__(self, presets, folder):
        self.presets, self.folder = pathlib.Path(presets), pathlib.Path(folder)

    def of(self, kind, cells):
        """The vectors of cells, and the seconds that they took.

        Args:
            kind: text, image or audio.
            cells: bytes of each, empty if it is missing.

        Returns:
            `(vectors, seconds)`: float32 `(cells, width)`, zeros for a missing cell; seconds of
            the distinct cells, as they were computed, in this run or an earlier one.
        """
        preset = PRESETS[kind]
        names = [hashlib.sha256(cell).hexdigest() if cell else "" for cell in cells]
        file = self.folder / f"{preset.NAME}-{weights_digest(self.presets / preset.NAME)}.npz"
        kept = read(file)
        wanted = {name: cell for name, cell in zip(names, cells) if cell and name not in kept}
        for start in range(0, len(wanted), CHUNK):
            part = [*wanted.items()][start : start + CHUNK]
            kept |= self._computed(preset, part)
            save(file, kept)
            print(f"{preset.NAME}: {start + len(part)} of {len(wanted)}", file=sys.stderr)
        width = len(next(iter(kept.values()))[0])
        vectors = [kept[name][0] if name else np.zeros(width, "float32") for name in names]
        return np.stack(vectors), sum(kept[name][1] for name in {*names} - {""})

    def _computed(self, preset, cells):
        began = time.perf_counter()
        # A text is embedded as a string.
        values = [cell.decode() if preset is minilm else cell for _, cell in cells]
        vectors = preset.vectors(str(self.presets / preset.NAME), values)
        seconds = (time.perf_counter() - began) / len(cells)
        return {name: (vector, seconds) for (name, _), vector in zip(cells, vectors)}


def weights_digest(preset):
    """A digest of all files of a preset folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not preset.is_dir():
        raise FileNotFoundError(
            f"there is no preset {preset}: run `python -m benchmarks.make_presets {preset.parent}`"
        )
    digest = hashlib.sha256()
    for path in sorted(path for path in preset.rglob("*") if path.is_file()):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def read(file):
    """By digest of the cell, its vector and seconds."""
    if not file.is_file():
        return {}
    with np.load(file) as kept:
        return dict(zip(kept["names"].tolist(), zip(kept["vectors"], kept["seconds"].tolist())))


def save(file, kept):
    file.parent.mkdir(parents=True, exist_ok=True)
    vectors, seconds = zip(*kept.values())
    scratch = file.with_suffix(".part.npz")
    np.savez(scratch, names=[*kept], vectors=np.stack(vectors), seconds=np.array(seconds))
    os.replace(scratch, file)
