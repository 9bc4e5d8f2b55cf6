"""Opens a file of text that may be compressed, as its first bytes say."""

import bz2
import contextlib
import gzip
import io
import lzma
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import pyarrow

from multimodal_tf.data.table_formats.reader import first_line

# endings of names that say that a file is compressed
SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
# after three letters and a digit, the first block of bzip2
_BZIP2 = b"1AY&SY"
# of Excel and its like, which are zip files
_OFFICE = "[Content_Types].xml"
_ERRORS = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    pyarrow.ArrowException,
    zipfile.BadZipFile,
    # a zip file with a password, or packed in a way that Python does not know
    RuntimeError,
    NotImplementedError,
)


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it is compressed.

    Raises:
        ValueError: (while reading, too) it is damaged, or a zip file of several files.
    """
    kind = _compression(path)
    if kind is None:
        with open(path, "rb") as file:
            yield file
        return
    try:
        with _OPEN[kind](path) as file:
            yield file
    except _ERRORS as error:
        # of the operating system, such as a missing permission
        if getattr(error, "errno", None) is not None:
            raise
        raise ValueError(f"{path} is not a readable {kind} file: {first_line(error)}") from error


def _compression(path: pathlib.Path) -> str | None:
    with open(path, "rb") as file:
        head = file.read(10)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic) and (kind != "bzip2" or head[4:] == _BZIP2):
            return kind
    return SUFFIXES.get(path.suffix.lower())


@contextlib.contextmanager
def _open_zstd(path: pathlib.Path) -> Iterator[BinaryIO]:
    with pyarrow.OSFile(str(path)) as file, pyarrow.CompressedInputStream(file, "zstd") as stream:
        # Arrow's stream reads no lines
        yield cast(BinaryIO, io.BufferedReader(stream))


@contextlib.contextmanager
def _open_zip(path: pathlib.Path) -> Iterator[BinaryIO]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if _OFFICE in names:
            raise ValueError(f"{path} is a workbook: name it .xlsx to read its sheets")
        tables = [
            name
            for name in names
            if not name.endswith("/")
            and not name.startswith("__MACOSX/")
            and not pathlib.PurePosixPath(name).name.startswith(".")
        ]
        if len(tables) != 1:
            raise ValueError(
                f"{path} must hold one file, received {len(tables)}: unpack it, and name the table"
            )
        with archive.open(tables[0]) as file:
            yield cast(BinaryIO, file)


_OPEN: dict[str, Callable[[pathlib.Path], Any]] = {
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "zstd": _open_zstd,
    "zip": _open_zip,
}
