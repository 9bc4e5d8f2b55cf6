"""The lines of a file of text: unpacked, decoded, and bounded by `MAX_ROW`."""

import io
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from multimodal_tf.data.table_formats import reader
from multimodal_tf.data.table_formats.compression import opened

UTF8 = "utf-8"


class Lines:
    """Lines with their ends, and without a byte order mark.

    In UTF-8, a byte that is not UTF-8 becomes a lone surrogate, which no text may hold: `ingest`
    rejects its cell, not the table. In other encodings it is an error.

    Args:
        encoding: a name that Python knows.

    Attributes:
        bytes: read (or characters, in other encodings) since this was last set to 0, as it is at
            the end of every row.

    Raises:
        ValueError: (while reading) a row is too long, too many blank lines follow one another, or
            a line is not in the encoding.
    """

    def __init__(self, path: pathlib.Path, encoding: str = UTF8) -> None:
        self.bytes = self._blank = 0
        self._path, self._encoding = path, encoding

    def __iter__(self) -> Iterator[str]:
        with opened(self._path) as file:
            if self._encoding == UTF8:
                yield from self._utf8(file)
            else:
                yield from self._decoded(file)

    def end_row(self, is_blank: bool) -> None:
        """Says that the lines since the last row were a row, or blank.

        Raises:
            ValueError: more than `reader.MAX_BLANK` blank lines follow one another.
        """
        self.bytes = 0
        self._blank = self._blank + 1 if is_blank else 0
        if self._blank > reader.MAX_BLANK:
            raise ValueError(
                f"{self._path}: at most {reader.MAX_BLANK:,} blank lines may follow one another,"
                " received more"
            )

    def _utf8(self, file: BinaryIO) -> Iterator[str]:
        number = 0
        while line := file.readline(reader.MAX_ROW - self.bytes + 1):
            self._count(len(line))
            number += 1
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")

    def _decoded(self, file: BinaryIO) -> Iterator[str]:
        # a carriage return alone ends no line
        text = io.TextIOWrapper(file, self._encoding, newline="\n")
        number = 0
        try:
            while line := text.readline(reader.MAX_ROW - self.bytes + 1):
                self._count(len(line))
                number += 1
                yield line.removeprefix("\ufeff") if number == 1 else line
        except UnicodeError as error:
            raise ValueError(
                f"{self._path}, line {number + 1} or soon after: not {self._encoding}:"
                f" {error!s:.80}"
            ) from error
        finally:
            text.detach()

    def _count(self, length: int) -> None:
        self.bytes += length
        if self.bytes > reader.MAX_ROW:
            raise ValueError(
                f"{self._path}: a row must have at most {reader.MAX_ROW:,} bytes, received more: is"
                " a quote not closed? Large files are named by their path"
            )
