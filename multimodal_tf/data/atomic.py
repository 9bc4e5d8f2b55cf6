"""Atomic files, and a lock for one writer per directory."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator

import filelock

from multimodal_tf.data import filesystem
from multimodal_tf.data.filesystem import Path, PathLike

LOCK = ".lock"
SUFFIX = ".tmp"
_BLOCK = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path whose file replaces `path` when the block ends without an error.

    The new file is synced to disk. A file with the same bytes is left alone. After an error
    nothing remains, unless the process was killed. For a `path` on another file system the
    temporary file is local and is uploaded in one request: object stores show it only when it is
    complete; other file systems may show a part of it if the process dies during the upload.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
        >>> with replacing(path) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> path.read_text(), [file.name for file in path.parent.iterdir()]
        ('whole', ['a.txt'])
    """
    if not filesystem.is_local(path):
        with tempfile.TemporaryDirectory() as folder:
            local = pathlib.Path(folder, path.name)
            yield local
            path.fs.put_file(str(local), path.path)
        return
    beside = temporary(path)
    try:
        yield beside
        _sync(beside)
        if not _same(beside, path):
            os.replace(beside, path)
            _sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def temporary(path: pathlib.Path) -> pathlib.Path:
    """The temporary path that `replacing` uses beside a local path, unique to host and process."""
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{SUFFIX}")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text to `path` as `replacing` does."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def remove_temporaries(directory: PathLike) -> None:
    """Removes the temporary files of `replacing` that a killed process left in a directory.

    Keras' own file beside one of them ends in `.keras`.
    """
    for ending in (SUFFIX, f"{SUFFIX}.keras"):
        for path in filesystem.to_path(directory).glob(f"*{ending}"):
            path.unlink(missing_ok=True)


def remove_abandoned(path: pathlib.Path) -> None:
    """Removes the temporary files and folders for `path` of processes that have ended.

    For a directory that others may write into at the same time: those of running processes, and of
    other hosts, stay.
    """
    name = re.escape(f"{path.name}.{socket.gethostname()}-")
    ours = re.compile(rf"{name}(?P<process>\d+){re.escape(SUFFIX)}")
    for left in path.parent.iterdir() if path.parent.is_dir() else ():
        found = ours.fullmatch(left.name)
        if found is None or _runs(int(found["process"])):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether a process of this host runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    # another user's
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def locked(directory: PathLike) -> Iterator[None]:
    """Makes `directory` and holds its lock during the block.

    The lock ends with the process, however that ends. Only local directories are locked.

    Raises:
        OSError: `directory` is a file, cannot be made or written, or another process holds the
            lock.
    """
    path = filesystem.to_path(directory)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"the output directory {path} is a file")
    with contextlib.ExitStack() as stack:
        try:
            filesystem.make_directory(path)
            if filesystem.is_local(path):
                stack.enter_context(filelock.FileLock(path / LOCK, timeout=0))
        except filelock.Timeout:
            raise BlockingIOError(
                f"another process is writing into {path}: wait until it ends, or choose another"
                " directory"
            ) from None
        except OSError as error:
            raise type(error)(
                f"the output directory {path} cannot be written: {error.strerror or error}"
            ) from error
        yield


class _FullDiskError(OSError):
    """The error of a full disk, explained."""


@contextlib.contextmanager
def full_disk_explained(directory: PathLike, resumes: bool = True) -> Iterator[None]:
    """Replaces the error of a full disk by one that names the directory.

    Args:
        directory: what could not be written.
        resumes: whether the work goes on where it stopped, if it is run again.

    Raises:
        OSError: the disk, the quota or the allowed file size is used up; its `errno` says which.
    """
    try:
        yield
    except Exception as error:
        code = full_disk(error)
        # an inner block may have explained it
        if code is None or isinstance(error, _FullDiskError):
            raise
        explained = _FullDiskError(
            f"no space left for {directory} ({os.strerror(code)}): free some space and run it again"
            + (", it resumes where it stopped" if resumes else "")
        )
        explained.errno = code
        raise explained from error


def full_disk(error: Exception) -> int | None:
    """The number of the error that says that a disk is full; None of another error.

    TensorFlow and HDF5 say it in words only.
    """
    number = getattr(error, "errno", None)
    if number is not None:
        return number if number in _FULL else None
    return next((code for code in _FULL if os.strerror(code) in str(error)), None)


def _same(path: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether both files hold the same bytes.

    `filecmp` caches results by size and modification time, and clocks are too coarse for that.
    """
    if not other.is_file() or path.stat().st_size != other.stat().st_size:
        return False
    with open(path, "rb") as one, open(other, "rb") as two:
        while (block := one.read(_BLOCK)) == two.read(_BLOCK):
            if not block:
                return True
    return False


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
