"""Files that are there whole or not at all, and a directory with one writer at a time."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
import tempfile

from multimodal_tf.data import filesystem

LOCK = ".lock"
_SUFFIX = ".tmp"
_BLOCK = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path beside `path`; what is written there takes the place of `path`, on the
    disk, when the block ends well.

    A file that has these bytes already is left alone. Whatever ends the block otherwise, short of
    the process' death, nothing stays. For a `path` on another file system the temporary path is
    local, and what is written there is sent as a whole: object stores show nothing of it before its
    end; others may show part of it if the process dies meanwhile.

    Example:
        >>> import tempfile
        >>> place = pathlib.Path(tempfile.mkdtemp(), "a.txt")
        >>> with replacing(place) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> place.read_text(), [file.name for file in place.parent.iterdir()]
        ('whole', ['a.txt'])
    """
    if not filesystem.is_local(path):
        with tempfile.TemporaryDirectory() as folder:
            beside = pathlib.Path(folder, path.name)
            yield beside
            path.fs.put_file(str(beside), path.path)
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


def temporary(path):
    """The temporary path of `replacing` beside a local path: another for each process of each host,
    as several may share the directory.
    """
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{_SUFFIX}")


def write_text(path, text):
    """Writes UTF-8 text to `path` as `replacing` does."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def remove_temporaries(directory):
    """Removes what a killed process left of `replacing`."""
    for path in filesystem.place(directory).glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(directory):
    """Makes `directory` and holds its lock; the lock ends with the process, however that ends. Only
    local directories have locks.

    Raises:
        OSError: it is a file, cannot be made or written, or another process holds the lock; one
        sentence.
    """
    directory = filesystem.place(directory)
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"the output directory {directory} is a file")
    try:
        filesystem.make_directory(directory)
        lock = open(directory / LOCK, "a") if filesystem.is_local(directory) else None  # noqa: SIM115  closed below, or when the process dies
    except OSError as error:
        raise type(error)(
            f"the output directory {directory} cannot be written: {error.strerror or error}"
        ) from error
    if lock is None:
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"another process is writing into {directory}: wait until it ends, or choose another directory"
            ) from None
        yield


@contextlib.contextmanager
def full_disk_explained(directory):
    """Turns the error of a full disk into one sentence that names the directory.

    Raises:
        OSError: the disk, the quota or the allowed file size is used up; its `errno` says which.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        sentence = OSError(
            f"no space left for {directory} ({os.strerror(error.errno)}): make room and run it again, it will go on where it stopped"
        )
        sentence.errno = error.errno
        raise sentence from error


def _same(path, other):
    """Whether both files hold the same bytes. (`filecmp` remembers answers by time and size, and
    clocks tick too slowly for that.)
    """
    if not other.is_file() or path.stat().st_size != other.stat().st_size:
        return False
    with open(path, "rb") as one, open(other, "rb") as two:
        while (block := one.read(_BLOCK)) == two.read(_BLOCK):
            if not block:
                return True
    return False


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
