"""Paths of this machine, and addresses of any file system that fsspec knows, such as `gs://`."""

import os
import pathlib
import shutil

import fsspec
import upath
from typing_extensions import TypeIs

# what `to_path` returns
Path = pathlib.Path | upath.UPath
# what callers pass
PathLike = str | os.PathLike[str] | upath.UPath
# where relative paths in cells start from; None: a cell must not name a file
Root = PathLike | None


def to_path(path: PathLike) -> Path:
    """A path of this machine as a `pathlib.Path`, an address with a protocol as a `UPath`.

    Args:
        path: a `UPath` may carry options of its file system, such as
            `UPath("s3://bucket/records", profile="shop")`.

    Raises:
        ValueError: the protocol is unknown, or the Python package for it is not installed.
        OSError: the server cannot be reached.

    Example:
        >>> to_path("records/train-00000.tfrecord").name
        'train-00000.tfrecord'
        >>> to_path("memory://records").joinpath("train-00000.tfrecord").name
        'train-00000.tfrecord'
    """
    if not isinstance(path, upath.UPath) and "://" not in str(path):
        return pathlib.Path(path)
    try:
        remote = upath.UPath(path)
        _ = remote.fs
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{path} must be on a file system that fsspec can read here:"
            f" {' '.join(str(error).split())}"
        ) from error
    except OSError as error:
        raise OSError(f"{path} cannot be reached: {error.strerror or error}") from error
    return remote


def is_local(path: Path) -> TypeIs[pathlib.Path]:
    """Whether a path from `to_path` is on this machine, where files can be locked and renamed."""
    return isinstance(path, pathlib.Path)


def readable(path: Path) -> str:
    """The name under which TensorFlow opens a file.

    A file whose protocol TensorFlow does not know is copied to this machine. The copy lives as
    long as the process, and is renewed when the file changes.

    Raises:
        FileNotFoundError: the file to copy does not exist.
    """
    # here, so that reading a manifest does not import TensorFlow
    import tensorflow as tf

    if not is_local(path) and path.protocol in tf.io.gfile.get_registered_schemes():
        return str(path)
    return str(local_copy(path))


def local_copy(path: Path) -> pathlib.Path:
    """The path itself, or a copy on this machine, which lives as long as the process.

    Raises:
        FileNotFoundError: the file to copy does not exist.
    """
    if is_local(path):
        return path
    options = {path.protocol: dict(path.storage_options)}
    copy = fsspec.open_local(f"filecache::{path}", filecache={"check_files": True}, **options)
    return pathlib.Path(copy)


def make_directory(path: Path) -> None:
    """Makes a directory and its parents, unless they exist."""
    if is_local(path):
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.fs.makedirs(path.path, exist_ok=True)


def remove_directory(path: Path) -> None:
    """Removes a directory and its content, if it exists."""
    if not path.is_dir():
        return
    if is_local(path):
        shutil.rmtree(path)
    else:
        path.fs.rm(path.path, recursive=True)


def forget_listings(path: Path) -> None:
    """Clears cached directory listings; call it after other processes wrote there."""
    if not is_local(path):
        path.fs.invalidate_cache()
