"""Cells that cost much, lie about their sizes or hold what nobody expects, by input of a model."""

import io
import json
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from fuzz import corpus, pieces

_SIGNATURE = pieces.PNG


def _chunk(name: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def png(width: int, height: int, rows: bytes, *, interlaced: bool = False) -> bytes:
    """A PNG of one bit whose header may lie; `rows` are compressed already."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, interlaced)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(9)
    packed = [packer.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    return b"".join([*packed, packer.compress(bytes(count & (1 << 20) - 1)), packer.flush()])


def scans(count: int, size: tuple[int, int] = (2000, 2000)) -> bytes:
    """A progressive JPEG with its last scan `count` times."""
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "JPEG", progressive=True, quality=20)
    parts = [part for part in pieces.split(file.getvalue()) if part]
    last = max(index for index, part in enumerate(parts) if part[:2] == b"\xff\xda")
    return b"".join([*parts[:last], parts[last] * count, *parts[last + 1 :]])


def frames(count: int, size: tuple[int, int]) -> bytes:
    """A GIF of `count` equal frames."""
    file = io.BytesIO()
    Image.new("P", size).save(file, "GIF")
    parts = [part for part in pieces.split(file.getvalue()) if part]
    shown = next(index for index, part in enumerate(parts) if part[:1] == b"\x2c")
    return b"".join([*parts[:shown], parts[shown] * count, *parts[shown + 1 :]])


def opaque_animation() -> bytes:
    """An animated WebP that says that it has no transparency."""
    data = bytearray(corpus.images()["animated_alpha.webp"])
    data[20] &= ~0x10
    return bytes(data)


def _saved(size: tuple[int, int], kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, 128).save(file, kind, **options)
    return file.getvalue()


def _resized(data: bytes, at: int, form: str, *sizes: int) -> bytes:
    """The file with other sizes in its header."""
    changed = struct.pack(form, *sizes)
    return data[:at] + changed + data[at + len(changed) :]


def images() -> corpus.Files:
    """Of an image input."""
    files = corpus.images()
    jpeg, still, bmp = files["grey.jpg"], files["still.gif"], files["L.bmp"]
    frame_header = jpeg.index(b"\xff\xc0") + 5
    return {
        "jpeg of 2,000 scans": scans(2000),
        "jpeg of 100 scans": scans(91),
        "jpeg of 65,500 x 65,500": _resized(jpeg, frame_header, ">HH", 65_500, 65_500),
        "jpeg cut": jpeg[: len(jpeg) // 2],
        "png of 30,000 x 30,000": png(30_000, 30_000, _zeros(1000)),
        "png of 1e6 x 1e6": png(10**6, 10**6, _zeros(1000)),
        "png of 20,000 x 20,000, complete": png(20_000, 20_000, _zeros(20_000 * 2501)),
        "png of 7,000 x 7,000": _saved((7000, 7000), "PNG"),
        "png of 1 x 1 with 500 MB": png(1, 1, _zeros(500 << 20)),
        "png of 49,000,000 x 1": png(49_000_000, 1, _zeros(49_000_000 // 8 + 2)),
        "png of 1 x 49,000,000, interlaced": png(1, 49_000_000, _zeros(1 << 20), interlaced=True),
        "gif of 65,535 x 65,535": _resized(still, 6, "<HH", 65_535, 65_535),
        "gif of 4,095 frames": frames(4095, (300, 300)),
        "bmp of 2e9 x 2e9": _resized(bmp, 18, "<ii", 2**31 - 1, 2**31 - 1),
        "bmp of -2e9 rows": _resized(bmp, 18, "<ii", 1, -(2**31)),
        "webp, opaque animation": opaque_animation(),
        "webp of 16,383 x 16,383": _saved((16_383, 3000), "WEBP", lossless=True),
        "a sound": next(iter(corpus.waves().values())),
        "white space": b" \t\n",
        "zeros": bytes(1 << 20),
    }


def _wave(
    channels: int = 1, rate: int = 8000, bits: int = 16, code: int = 1, size: int | None = None,
    data: bytes = bytes(8000), before: bytes = b"",
) -> bytes:  # fmt: skip
    width = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", code, channels, rate, rate * width & 0xFFFFFFFF, width & 0xFFFF, bits
    )
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + before
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body


def sounds() -> corpus.Files:
    """Of an audio input."""
    floats = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45] * 1000, "<f4").tobytes()
    return {
        "wav of 20 MB of zeros": b"RIFF\0\0\0\0WAVE" + bytes(20 << 20),
        "wav of a million chunks": _wave(before=b"junk\0\0\0\0" * 10**6),
        "wav of no channel": _wave(channels=0),
        "wav of 65,535 channels": _wave(channels=65_535),
        "wav of 0 Hz": _wave(rate=0),
        "wav of 1 Hz": _wave(rate=1),
        "wav of 4e9 Hz": _wave(rate=2**32 - 1),
        "wav of 0 bits": _wave(bits=0),
        "wav of 65,528 bits": _wave(bits=65_528),
        "wav that says 4 GB": _wave(size=2**32 - 1),
        "wav of nan": _wave(bits=32, code=3, data=floats),
        "wav of 20 MB at 192 kHz": _wave(rate=192_000, data=bytes(20 << 20)),
        "an image": corpus.images()["RGB.png"],
    }


def clips() -> corpus.Files:
    """Of a video input, one file a cell."""
    files = corpus.images()
    return {
        "gif of 4,095 frames": frames(4095, (110, 110)),
        "gif of 4,095 frames of 300 x 300": frames(4095, (300, 300)),
        "gif of 100,000 frames": frames(100_000, (1, 1)),
        "gif of 65,535 x 65,535": _resized(files["still.gif"], 6, "<HH", 65_535, 65_535),
        "gif cut": files["animated.gif"][:-300],
        "webp, opaque animation": opaque_animation(),
        "jpeg of 2,000 scans": scans(2000),
    }


def texts() -> corpus.Files:
    """Of inputs that are strings."""
    return {
        "10 MB of one letter": b"a" * (10 << 20),
        "1 MB of combining marks": b"a" + "\u0301".encode() * (1 << 19),
        "1 MB of spaces and letters": b"a " * (1 << 19),
        "1 MB of emoji": "👩‍👩‍👧 ".encode() * (1 << 16),
        "1 MB of expanding characters": "\ufdfa".encode() * (1 << 18),
        "invalid UTF-8": b"\xff\xfe\xed\xa0\x80" * 1000,
        "zeros": bytes(1000),
        "a million digits": b"9" * 10**6,
        "a date of year 9999": b"9999-12-31T23:59:60-23:59",
    }


def numbers() -> corpus.Files:
    """Of inputs that are numbers: JSON."""
    values = (3e38, -3.4e38, 1e-45, float("inf"), float("-inf"), float("nan"), -0.0, 1e20)
    return {str(value): json.dumps(value).encode() for value in values}


# by input of `fuzz.hostile_rows`
CELLS: dict[str, Callable[[], corpus.Files]] = {
    "photo": images,
    "sound": sounds,
    "clip": clips,
    "title": texts,
    "letters": texts,
    "colour": texts,
    "when": texts,
    "price": numbers,
    "vector": numbers,
}
