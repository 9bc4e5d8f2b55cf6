"""Strips and tiles of a TIFF that libtiff would leave unwritten in part.

A Group 4 (fax) strip that ends before its last line, and a JPEG that is smaller than its strip, are
mere warnings of libtiff, on the process's standard error. Pillow then shows what was in memory:
other pixels each time.
"""

import io
import itertools
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from multimodal_tf.data.codecs.cell import CellError

_GROUP4, _JPEG = 4, 7
# tiles reach beyond the image, and all of them is decoded
_TILES = 4
# of Group 4, where the first bits of a byte are the lowest ones
_LOWEST_FIRST = 2
_MIRRORED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
# little endian; the directory follows
_START = b"II*\0\x08\0\0\0"
_LONG = 4
# JPEG's markers without a segment
_ALONE = (0x01, *range(0xD0, 0xDA))
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


class Segments(NamedTuple):
    """The compressed strips or tiles of an image."""

    # pixels
    width: int
    rows: int
    # of each plane's last strip
    last_rows: int
    # of each plane
    each: int
    data: list[bytes]

    @property
    def pixels(self) -> int:
        """In all segments of a plane."""
        return self.width * (self.rows * (self.each - 1) + self.last_rows)


def check(image: TiffImagePlugin.TiffImageFile, data: bytes, max_pixels: int) -> None:
    """Decodes a TIFF, and checks that all of its pixels were.

    Args:
        image: opened; the frame that it is at is decoded.
        data: the file.
        max_pixels: of an image; its tiles may have four times as many.

    Raises:
        CellError: pixels are unwritten memory, or the tiles have too many.
        Exception: of Pillow or others, where the file is broken in other ways.
    """
    tags = image.tag_v2
    compression = tags.get(TiffImagePlugin.COMPRESSION)
    if compression not in (_GROUP4, _JPEG) and TiffImagePlugin.TILEWIDTH not in tags:
        return
    try:
        segments = _segments(tags, data)
    # tags that are missing, zero, or of another type
    except (KeyError, TypeError, ZeroDivisionError):
        raise CellError("a broken image: its strips or tiles cannot be found") from None
    if segments.pixels > _TILES * max_pixels:
        raise CellError(
            f"tiles of {segments.pixels} pixels, more than {_TILES} x max_pixels = {max_pixels}"
        )
    image.load()
    if compression == _GROUP4 and _is_unwritten(segments, tags.get(TiffImagePlugin.FILLORDER, 1)):
        raise CellError("a broken image: its compressed data ends before its last line")
    if compression == _JPEG and _is_small(segments):
        raise CellError("a broken image: a JPEG in it is smaller than its strip or tile")


def _segments(tags: Any, data: bytes) -> Segments:
    width, height = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    planes = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    planes = planes if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2 else 1
    if TiffImagePlugin.TILEWIDTH in tags:
        across, down = tags[TiffImagePlugin.TILEWIDTH], tags[TiffImagePlugin.TILELENGTH]
        count, last = -(-width // across) * -(-height // down), down
        offsets = tags[TiffImagePlugin.TILEOFFSETS]
        sizes = tags.get(TiffImagePlugin.TILEBYTECOUNTS, ())
    else:
        across, down = width, min(tags.get(TiffImagePlugin.ROWSPERSTRIP, height), height)
        count = -(-height // down)
        last = height - down * (count - 1)
        offsets = tags[TiffImagePlugin.STRIPOFFSETS]
        sizes = tags.get(TiffImagePlugin.STRIPBYTECOUNTS, ())
    # without sizes they go on to the end: a decoder stops where it is done
    pairs = itertools.zip_longest(offsets, sizes[: len(offsets)], fillvalue=len(data))
    pieces = [data[start : start + size] for start, size in pairs][: count * planes]
    return Segments(across, down, last, count, pieces)


def _is_unwritten(segments: Segments, order: int) -> bool:
    """Decodes Group 4 twice, each time into memory that was filled in another way.

    Pillow decodes all strips into the same memory: a strip before each one fills it.
    """
    white, black = (_decoded(segments, color, order) for color in (0, 1))
    # the pixels of those strips, and no others
    filled = len(segments.data) * segments.rows * segments.width
    return bool(np.count_nonzero(white != black) != filled)


def _decoded(segments: Segments, color: int, order: int) -> npt.NDArray[np.bool_]:
    """All segments as strips, each after one in a single color; `(height, width)`."""
    file = io.BytesIO()
    one = {TiffImagePlugin.ROWSPERSTRIP: segments.rows}
    size = (segments.width, segments.rows)
    Image.new("1", size, color).save(file, "TIFF", compression="group4", tiffinfo=one)
    with Image.open(file, formats=["TIFF"]) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        filling = _segments(tags, file.getvalue()).data[0]
    if order == _LOWEST_FIRST:
        filling = filling.translate(_MIRRORED)
    strips = [strip for segment in segments.data for strip in (filling, segment)]
    height = segments.rows * (len(strips) - 1) + segments.last_rows
    tiff = _tiff(segments.width, segments.rows, height, strips, order)
    decoder = ("1", "group4", False, len(_START))
    return np.asarray(Image.frombytes("1", (segments.width, height), tiff, "libtiff", decoder))


def _tiff(width: int, rows: int, height: int, strips: list[bytes], order: int) -> bytes:
    """A TIFF of Group 4 strips."""
    numbers = {
        TiffImagePlugin.IMAGEWIDTH: width,
        TiffImagePlugin.IMAGELENGTH: height,
        TiffImagePlugin.BITSPERSAMPLE: 1,
        TiffImagePlugin.COMPRESSION: _GROUP4,
        TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: 0,
        TiffImagePlugin.FILLORDER: order,
        TiffImagePlugin.SAMPLESPERPIXEL: 1,
        TiffImagePlugin.ROWSPERSTRIP: rows,
    }
    sizes = [len(strip) for strip in strips]
    tables = len(_START) + 2 + 12 * (len(numbers) + 2) + 4
    first = tables + 8 * len(strips)
    starts = itertools.accumulate(sizes[:-1], initial=first)
    entries = [(tag, 1, number) for tag, number in numbers.items()]
    entries += [
        (TiffImagePlugin.STRIPOFFSETS, len(strips), tables),
        (TiffImagePlugin.STRIPBYTECOUNTS, len(strips), tables + 4 * len(strips)),
    ]
    directory = [struct.pack("<HHII", tag, _LONG, *rest) for tag, *rest in sorted(entries)]
    return b"".join(
        [
            _START,
            struct.pack("<H", len(directory)),
            *directory,
            bytes(4),
            struct.pack(f"<{2 * len(strips)}I", *starts, *sizes),
            *strips,
        ]
    )


def _is_small(segments: Segments) -> bool:
    for index, data in enumerate(segments.data):
        is_last = index % segments.each == segments.each - 1
        width, height = _jpeg_size(data)
        if width < segments.width or height < (segments.last_rows if is_last else segments.rows):
            return True
    return False


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG; zeros where it gives none."""
    at = data.find(b"\xff")
    while 0 <= at < len(data) - 9:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        # padding, and bytes between segments, are skipped as in libjpeg
        step = 1 if marker in (0, 0xFF) else 2 if marker in _ALONE else 2 + length
        at = data.find(b"\xff", at + step)
    return 0, 0
