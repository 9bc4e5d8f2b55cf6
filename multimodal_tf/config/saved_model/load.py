"""Loads a SavedModel whose graph has been checked."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from multimodal_tf.config.saved_model.check import GRAPH, check, check_files, parse

# what means other than itself in a pattern of TensorFlow's
_PATTERN = frozenset("*?[]\\")


def load(path: pathlib.Path) -> Any:
    """What `tf.saved_model.load` gives; the graph is checked before TensorFlow runs a part of it.

    Args:
        path: the SavedModel's folder.

    Raises:
        ValueError: it is damaged, holds a link, or does what `check` refuses.
    """
    check_own_files(path)
    try:
        graph = parse((path / GRAPH).read_bytes())
    except (ValueError, OSError) as error:
        raise _damaged(path, error) from error
    try:
        check(graph, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    try:
        with _plainly_named(path) as folder:
            return tf.saved_model.load(str(folder))
    # TensorFlow may raise anything on a damaged file.
    except Exception as error:  # noqa: BLE001
        raise _damaged(path, error) from error


@contextlib.contextmanager
def _plainly_named(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folder under a name that TensorFlow, which looks for patterns, finds."""
    if not _PATTERN.intersection(str(path.absolute())):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = pathlib.Path(folder, "saved_model")
        link.symlink_to(path.absolute(), target_is_directory=True)
        yield link


def check_own_files(path: pathlib.Path) -> None:
    """Refuses a SavedModel with links, as `check_files`, before any of its files is read."""
    try:
        check_files(path)
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}: copy the folder with `cp -rL` if you trust where it leads"
        ) from error


def _damaged(path: pathlib.Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged, export it again: {' '.join(str(error).split())}")
