"""Where files lie: on this machine's disks, or on any file system that fsspec knows, such as
`gs://`, `s3://` and `hdfs://`.
"""

import pathlib
import shutil

import fsspec
import upath


def place(path) -> pathlib.Path | upath.UPath:
    """A path of this machine as a `pathlib.Path`; an address with a protocol as a `UPath`, which is
    used like one.

    Args:
        path: str or path. `UPath` carries along what its file system must be told
            (`UPath("s3://bucket/records", profile="shop")`).

    Raises:
        ValueError: the protocol is not known, or the Python package that reads it is not installed.
        OSError: its server cannot be reached.

    Example:
        >>> place("records/train-00000.tfrecord").name, place("memory://records").joinpath("train-00000.tfrecord").name
        ('train-00000.tfrecord', 'train-00000.tfrecord')
    """
    if not isinstance(path, upath.UPath) and "://" not in str(path):
        return pathlib.Path(path)
    try:
        remote = upath.UPath(path)
        _ = remote.fs
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{path} must be on a file system that fsspec can read here: {' '.join(str(error).split())}"
        ) from error
    except OSError as error:
        raise OSError(f"{path} cannot be reached: {error.strerror or error}") from error
    return remote


def is_local(path) -> bool:
    """Whether a path that `place` gave is one of this machine, where files have locks and take each
    other's place.
    """
    return isinstance(path, pathlib.Path)


def readable(path) -> str:
    """The name under which TensorFlow opens a file: its own, or that of a copy on this machine
    where TensorFlow does not know the protocol.

    The copy is kept as long as the process lives, and made anew where the file has changed.

    Raises:
        FileNotFoundError: there is no such file to copy.
    """
    # here, not above: who reads a manifest need not wait for it
    import tensorflow as tf

    if is_local(path) or path.protocol in tf.io.gfile.get_registered_schemes():
        return str(path)
    options = {path.protocol: dict(path.storage_options)}
    return fsspec.open_local(f"filecache::{path}", filecache={"check_files": True}, **options)


def make_directory(path):
    """Makes a directory and those above it, where they are not there."""
    if is_local(path):
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.fs.makedirs(path.path, exist_ok=True)


def remove_directory(path):
    """Removes a directory and all in it, where it is there."""
    if not path.is_dir():
        return
    if is_local(path):
        shutil.rmtree(path)
    else:
        path.fs.rm(path.path, recursive=True)


def forget_listings(path):
    """Makes a file system forget what it remembers of its folders; to be called where other
    processes wrote.
    """
    if not is_local(path):
        path.fs.invalidate_cache()
