"""Cuts a file into the pieces that its format is made of, and mends checksums and sizes."""

import re
import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n"
EBML = b"\x1aE\xdf\xa3"
# of Zip: a member, and its entry in the directory
_LOCAL, _ENTRY = b"PK\3\4", b"PK\1\2"
# boxes of MP4, AVIF and HEIF that hold other boxes
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"meta", b"iprp", b"ipco", b"udta"}
# elements of Matroska that hold others: the segment, clusters, tracks, a track, its sound, cues
_MASTERS = {0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1C53BB6B, 0xA0}
_MOST = 400


def split(data: bytes) -> list[bytes]:
    """The pieces of a file in their order; joined they are the file again."""
    if data.startswith(PNG):
        return [data[:8], *_sized(data, 8, ">I4s", 12)]
    if data[:4] in (b"RIFF", b"RF64", b"FORM"):
        order = ">" if data[:4] == b"FORM" else "<"
        return [data[:12], *_sized(data, 12, order + "4sI", 8)]
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"JXL ", b"jP  "):
        return _boxes(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"GIF8"):
        return _gif(data)
    if data.startswith(EBML):
        return _ebml(data)
    if data.startswith(b"OggS"):
        return [b"OggS" + page for page in data.split(b"OggS")[1:_MOST]]
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(data)
    if b"\0" not in data[:64] and data.count(b"\n") > 1:
        return data.splitlines(keepends=True)[:_MOST]
    step = max(1, len(data) // 16)
    return [data[at : at + step] for at in range(0, len(data), step)]


def mend(data: bytes) -> bytes:
    """With the checksums of PNG, Ogg and Zip and the size of RIFF as they should be."""
    if data.startswith(PNG):
        return _mended_png(data)
    if data[:4] == b"RIFF":
        return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]
    if data[:4] == b"OggS":
        return b"".join(map(_mended_page, split(data)))
    return _mended_zip(data) if data.startswith(_LOCAL) else data


def _sized(data: bytes, at: int, form: str, extra: int) -> list[bytes]:
    """Chunks with a name and a size, the size first in PNG."""
    found: list[bytes] = []
    while at < len(data) and len(found) < _MOST:
        head = data[at : at + 8]
        if len(head) < 8:
            break
        first, second = struct.unpack(form, head)
        size = first if isinstance(first, int) else second + second % 2
        found.append(data[at : at + extra + size])
        at += extra + size
    return [*found, data[at:]] if at < len(data) else found


def _boxes(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 8 <= len(data) and len(found) < _MOST:
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if name in _PARENTS:
            # the header alone: its boxes are pieces of their own
            size = 12 if name == b"meta" else 8
        size = size if 8 <= size <= len(data) - at else len(data) - at
        found.append(data[at : at + size])
        at += size
    return [*found, data[at:]]


def _jpeg(data: bytes) -> list[bytes]:
    found, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF and len(found) < _MOST:
        if data[at + 1] == 0xDA:
            end = re.compile(rb"\xff[^\0\xd0-\xd7\xff]").search(data, at + 2)
            end_at = end.start() if end else len(data)
        else:
            end_at = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append(data[at:end_at])
        at = max(end_at, at + 2)
    return [*found, data[at:]]


def _gif(data: bytes) -> list[bytes]:
    table = 3 * 2 ** (1 + (data[10] & 7)) if len(data) > 10 and data[10] & 0x80 else 0
    found, at = [data[:13], data[13 : 13 + table]], 13 + table
    while at < len(data) and data[at] in (0x21, 0x2C) and len(found) < _MOST:
        start = at
        if data[at] == 0x21:
            at += 2
        else:
            flags = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0)
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
        found.append(data[start:at])
    return [*found, data[at:]]


def _number(data: bytes, at: int, keep: bool) -> tuple[int, int]:
    """A number of EBML and where it ends; `keep` keeps the bit that tells its length."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8:
        return 0, len(data)
    value = int.from_bytes(data[at : at + length], "big")
    return (value if keep else value & ~(1 << 7 * length)), at + length


def _ebml(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data) and len(found) < _MOST:
        name, after = _number(data, at, keep=True)
        size, body = _number(data, after, keep=False)
        end = body if name in _MASTERS else min(body + size, len(data))
        found.append(data[at:end])
        at = max(end, at + 1)
    return [*found, data[at:]]


def _tiff(data: bytes) -> list[bytes]:
    """The header, the bytes before the first directory, its entries, and the rest."""
    order = "<" if data[:2] == b"II" else ">"
    at = struct.unpack(order + "I", data[4:8])[0] if len(data) >= 8 else len(data)
    if at + 2 > len(data) or at < 8:
        return [data[:8], data[8:]]
    end = at + 2 + 12 * struct.unpack(order + "H", data[at : at + 2])[0]
    entries = [data[place : place + 12] for place in range(at + 2, min(end, len(data)), 12)]
    return [data[:8], data[8:at], data[at : at + 2], *entries, data[end:]]


def _mended_png(data: bytes) -> bytes:
    found, at = [data[:8]], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + size]
        found += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + size
    return b"".join(found)


def _mended_zip(data: bytes) -> bytes:
    """The members are not compressed; the directory at the end says where they are."""
    mended = bytearray(data)
    for entry in re.finditer(re.escape(_ENTRY), data):
        place = entry.start()
        fields = data[place : place + 46]
        if len(fields) < 46:
            break
        size, local = (struct.unpack("<I", fields[at : at + 4])[0] for at in (20, 42))
        if data[local : local + 4] != _LOCAL or local + 30 > len(data):
            continue
        start = local + 30 + sum(struct.unpack("<HH", data[local + 26 : local + 30]))
        checksum = struct.pack("<I", zlib.crc32(data[start : start + size]))
        mended[place + 16 : place + 20] = mended[local + 14 : local + 18] = checksum
    return bytes(mended)


# the checksum of Ogg: polynomial 0x04c11db7, nothing reflected
_TABLE = []
for _index in range(256):
    _value = _index << 24
    for _ in range(8):
        _value = (_value << 1) ^ (0x104C11DB7 if _value & 0x80000000 else 0)
    _TABLE.append(_value & 0xFFFFFFFF)


def _mended_page(page: bytes) -> bytes:
    blank = page[:22] + bytes(4) + page[26:]
    checksum = 0
    for octet in blank:
        checksum = (checksum << 8 & 0xFFFFFFFF) ^ _TABLE[checksum >> 24 ^ octet]
    return page[:22] + struct.pack("<I", checksum) + page[26:]
