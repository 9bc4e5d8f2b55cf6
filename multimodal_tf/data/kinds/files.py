"""A cell that stands for a file: a path, bytes, a data URI, base64 or an array."""

import base64
import binascii
import errno
import io
import os
import pathlib
import re
import stat
import unicodedata
import urllib.parse
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.filesystem import PathLike, Root
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.data.kinds.path_hints import path_hint

# a larger file is refused: a record holds less than 2 GiB, and a cell is read into memory
MAX_BYTES = 2**30
# PATH_MAX of Linux: longer text is no path
_LONGEST_PATH = 4096
# a longer text may be broken base64 as well as a path
_LONGEST_NAME = 255
# says nothing of any file, so that nobody learns from it which ones there are
_NO_PATHS = "must be bytes, a data URI, base64 or an array: paths are not taken here"
_DATA_URI = re.compile(r"data:(?P<type>[^,]*?)(?P<base64>;base64)?,", re.IGNORECASE)


def file_of(value: Any, root: PathLike = ".") -> pathlib.Path | None:
    """The path that a cell names, whether or not the file exists.

    Letters with accents are one or two characters (NFC, NFD): where nothing exists under the name
    as it is written, it is the other one.

    None for bytes, arrays, data URIs and text that is too long for a path.
    """
    name = _name_of(value)
    return None if name is None else pathlib.Path(str(root), _existing(name, root))


def _existing(name: str, root: PathLike) -> str:
    """The name as it is written, or in the normal form in which something exists."""
    if name.isascii():
        return name
    return next(
        (one for one in _forms(name) if os.path.lexists(os.path.join(str(root), one))), name
    )


def _forms(name: str) -> list[str]:
    return [name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)]


def _name_of(value: Any) -> str | None:
    if isinstance(value, dict) and is_missing(value.get("bytes")):
        value = value.get("path")
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if (
        not isinstance(value, str)
        or is_missing(value)
        or len(value) > _LONGEST_PATH
        or "\0" in value
        or _DATA_URI.match(value)
    ):
        return None
    return value


def may_be_file(value: Any, root: PathLike, magics: Iterable[re.Pattern[bytes]]) -> bool:
    """Whether `open_file` may find a file of some kind in a cell; False for other texts.

    Args:
        value, root: as `open_file` takes them.
        magics: how files of each kind begin.

    Example:
        >>> png = [re.compile(b"\\x89PNG")]
        >>> cells = ("no such file", "data:,x", "blue", "iVBORw==")
        >>> [may_be_file(cell, ".", png) for cell in cells]
        [False, True, False, True]
    """
    if not isinstance(value, str) or _DATA_URI.match(value):
        return True
    name = _name_of(value)
    # a `pathlib.Path` takes several times as long
    if name is not None and os.path.lexists(os.path.join(str(root), _existing(name, root))):
        return True
    data = _base64(value)
    return bool(data) and any(magic.match(data) for magic in magics)


def open_file(value: Any, root: Root, magic: re.Pattern[bytes]) -> BinaryIO:
    """Opens the bytes of a cell as a binary file.

    Args:
        value: a path, bytes, a data URI, base64, or `{"bytes": ..., "path": ...}` as in the tables
            of Hugging Face.
        root: directory that relative paths start from; None: paths are refused, and none is looked
            at.
        magic: how files of this kind begin. Base64 of other bytes is refused.

    Raises:
        CellError: there is no such file, or it cannot be opened, or paths are refused.
    """
    if isinstance(value, dict):
        value = value.get("path") if is_missing(value.get("bytes")) else value["bytes"]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return io.BytesIO(value)
    if root is None:
        return io.BytesIO(_without_paths(value, magic))
    path = file_of(value, root)
    if path is None and not isinstance(value, str):
        raise CellError(f"neither a path nor bytes nor an array, but {type(value).__name__}")
    data = _data_uri(value)
    if data is not None:
        return io.BytesIO(data)
    file = None if path is None else _open_path(path)
    if file is not None:
        return file
    data = _base64(value)
    if not magic.match(data):
        if len(str(value)) > _LONGEST_NAME:
            raise CellError("neither a file's path nor base64 of a known format")
        name = _name_of(value)
        hint = "" if name is None else path_hint(name, root)
        raise CellError(f"no such file: {hint}" if hint else "no such file")
    return io.BytesIO(data)


def read_bytes(file: BinaryIO) -> bytes:
    """All bytes of a file.

    Raises:
        CellError: it is empty, larger than `MAX_BYTES`, or cannot be read.
    """
    try:
        data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CellError(f"the file cannot be read: {error.strerror}") from None
    if not data:
        raise CellError("an empty file (0 bytes)")
    if len(data) > MAX_BYTES:
        raise CellError(f"larger than {MAX_BYTES} bytes")
    return data


def array_of(value: Any) -> npt.NDArray[Any] | None:
    """The cell as an array of numbers, where it is an array or a nested list; otherwise None.

    Nested lists come from JSON, arrays of arrays from Parquet.

    Raises:
        CellError: the array is ragged, empty, or holds no numbers.
    """
    if not isinstance(value, (np.ndarray, list, tuple)):
        return None
    try:
        array = np.array(
            value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
        )
        # a list of lists of lists in Parquet: one level more
        if array.dtype == object:
            array = np.array([np.stack(row) for row in array])
    except (ValueError, TypeError):
        raise CellError("not an array: its rows differ in length") from None
    if array.dtype.kind not in "buif":
        raise CellError(f"not an array of numbers, but of {array.dtype}")
    if not array.size:
        raise CellError("an empty array")
    return array


def _open_path(path: pathlib.Path) -> BinaryIO | None:
    """The regular file at `path`, opened; None where there is none or the text is no path."""
    try:
        # a blocking open of a named pipe would wait for its writer for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):
        return None
    except PermissionError:
        raise CellError("no permission to read the file") from None
    except OSError as error:
        # base64, or no path at all
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise CellError(f"the file cannot be opened: {error.strerror}") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise CellError("a directory, not a file" if stat.S_ISDIR(mode) else "not a regular file")


def _without_paths(value: Any, magic: re.Pattern[bytes]) -> bytes:
    """The bytes of a data URI or of base64."""
    data = None
    if isinstance(value, str):
        data = _data_uri(value)
        if data is None and magic.match(packed := _base64(value)):
            data = packed
    if data is None:
        raise CellError(_NO_PATHS)
    return data


def _base64(value: Any) -> bytes:
    """The bytes; none of them where it is no base64."""
    try:
        return base64.b64decode("".join(str(value).split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _data_uri(value: Any) -> bytes | None:
    """The bytes of a data URI; None: it is something else."""
    uri = _DATA_URI.match(value) if isinstance(value, str) else None
    if uri is None:
        return None
    payload = value[uri.end() :]
    try:
        data = (
            base64.b64decode("".join(payload.split()), validate=True)
            if uri["base64"]
            else urllib.parse.unquote_to_bytes(payload)
        )
    except (binascii.Error, ValueError):
        raise CellError("a data URI whose base64 is broken") from None
    if not data:
        raise CellError("an empty data URI")
    return data
