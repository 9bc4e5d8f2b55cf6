"""A folder of files by class, and by split where its first level says train and test."""

import functools
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from multimodal_tf.config.split import SPLIT_WORDS
from multimodal_tf.data.table_formats.reader import Reader, record_cells

# the columns of a folder of files by class
FILE, LABEL, SPLIT = "file", "label", "split"
# folders that links may lead to several times
_MOST_FOLDERS = 1_000_000


def open_folder(root: pathlib.Path) -> tuple[list[str], Reader]:
    """The columns and the reader of a folder.

    Raises:
        ValueError: its first level says train and test, and holds no classes; (while reading) a
            link leads to a folder that holds it.
    """
    names = _folders(root)
    splits = {SPLIT_WORDS.get(name.strip().lower()) for name in names}
    # other folders have a word of their own, which ingest asks about
    by_split = 0 in splits and len(splits - {None}) > 1
    # of training rows alone, the classes are below all the same
    below = by_split or splits == {0}
    if below:
        training = [name for name in names if SPLIT_WORDS.get(name.strip().lower()) == 0]
        if not any(_folders(root / name) for name in training):
            if not by_split:
                return _opened(root, [FILE, LABEL], False)
            raise ValueError(
                f"{root} has the folders {', '.join(names[:10])}, which are names of splits: each"
                " must hold one folder of files for each class"
            )
    return _opened(root, [FILE, LABEL, SPLIT] if by_split else [FILE, LABEL], below)


def _opened(root: pathlib.Path, columns: list[str], below: bool) -> tuple[list[str], Reader]:
    records = functools.partial(_records, root, below)
    return columns, functools.partial(record_cells, records, [FILE, LABEL, SPLIT])


def _records(root: pathlib.Path, below: bool) -> Iterator[list[Any]]:
    """File, class and first level; sorted, so that the table is the same on every machine."""
    for name in _folders(root):
        if not below:
            for path in _files(root, root / name):
                yield [path.relative_to(root).as_posix(), name, name]
            continue
        # a file without a class is one without a label, which ingest lists
        for path in _files(root, root / name):
            parts = path.relative_to(root).parts
            yield [path.relative_to(root).as_posix(), parts[1] if len(parts) > 2 else None, name]


def _files(root: pathlib.Path, folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """All files below a folder; links to folders are followed.

    Raises:
        ValueError: a link leads to a folder that holds it, or links to too many folders.
    """
    waiting: list[tuple[pathlib.Path, tuple[tuple[int, int], ...]]]
    waiting = [(folder, (_identity(root),))]
    visited = 0
    while waiting:
        folder, above = waiting.pop()
        identity = _identity(folder)
        if identity in above:
            raise ValueError(f"{folder} is a link to a folder that holds it: remove the link")
        visited += 1
        if visited > _MOST_FOLDERS:
            raise ValueError(
                f"{root} must have at most {_MOST_FOLDERS:,} folders, received more: do links lead"
                " to one folder many times?"
            )
        with os.scandir(folder) as entries:
            shown = sorted(
                (entry for entry in entries if not entry.name.startswith(".")),
                key=lambda entry: entry.name,
            )
        inner = [entry.name for entry in shown if entry.is_dir()]
        yield from (folder / entry.name for entry in shown if not entry.is_dir())
        waiting.extend((folder / name, (*above, identity)) for name in reversed(inner))


def _identity(folder: pathlib.Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _folders(root: pathlib.Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )
