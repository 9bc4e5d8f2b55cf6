"""What libsndfile and FFmpeg read a file through, and what becomes of their errors."""

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import av

from multimodal_tf.data.codecs.cell import CellError

# A decoder that looks for a header in what is none reads few bytes at a time, without end.
# Decoding an hour of MP3 takes as many calls.
_CALLS = 1_000_000


class DecoderFile:
    """A binary file whose end comes where reading failed or took too long.

    libsndfile's callbacks drop what `read` raises, and a decoder would take the file for a shorter
    one: `problem` says what happened.

    Args:
        file: binary and seekable.
        most: bytes that may be read in all.
    """

    def __init__(self, file: Any, most: int) -> None:
        self._file, self.most = file, most
        # MP3s are read in pieces of a hundred bytes, with three calls for each
        self.seek, self.tell = file.seek, file.tell
        self._bytes = self._calls = 0
        self.problem = ""

    def readinto(self, buffer: Any) -> int:
        """As of any binary file; 0 after a problem."""
        if self._calls >= _CALLS or self._bytes > self.most:
            self.problem = self.problem or (
                "too much of the file would have to be read to find something to decode"
            )
        if self.problem:
            return 0
        try:
            count: int = self._file.readinto(buffer)
        except OSError as error:
            self.problem = _unreadable(error)
            return 0
        self._calls += 1
        self._bytes += count
        return count

    def read(self, size: int) -> bytes:
        """As of any binary file; b"" after a problem."""
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """A file that cannot be read to its end is a `CellError`, with the system's reason."""
    try:
        yield
    except OSError as error:
        raise CellError(_unreadable(error)) from None


@contextlib.contextmanager
def decoding(file: BinaryIO, noun: str, most: int) -> Iterator[DecoderFile]:
    """The `DecoderFile` of a file. Whatever is raised while it is decoded is a `CellError`.

    Args:
        file: binary file at its start, seekable.
        noun: what it should be, such as "image".
        most: bytes that may be read in all.
    """
    guarded = DecoderFile(file, most)
    try:
        yield guarded
    except Exception as error:
        # foreign decoders raise anything
        if guarded.problem:
            raise CellError(guarded.problem) from None
        if isinstance(error, CellError):
            raise
        raise CellError(f"a broken {noun}: {_reason(error)}") from None
    if guarded.problem:
        raise CellError(guarded.problem)


def _unreadable(error: OSError) -> str:
    return f"the file cannot be read: {error.strerror or error}"


def _reason(error: Exception) -> str:
    if isinstance(error, av.FFmpegError):
        return str(error.strerror)
    # of libsndfile, without the file's address in memory
    text = getattr(error, "error_string", None) or str(error) or type(error).__name__
    return " ".join(text.split()).removesuffix(".")
