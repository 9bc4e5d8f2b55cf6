"""Seeded mutations of a file: of its bytes, of its pieces, and with pieces of another file."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

from fuzz import pieces

# what makes sizes, counts and offsets go wrong
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXTS = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b'"', b"'", b"\\",
    b"\r", b"\n\n", b",", b"\t", b"[" * 2000, b"{" * 2000, b"&a [*a, *a]", b"NaN", b"-Infinity",
    b"1e400", b"9" * 400, b"-0", b"1_0", b"null", b"\\ud800", b"<<: *a", b"!!python/object:x",
    b"0x1p3", b"99999-12-31", b"-0001-01-01", b"24:00:60", b"+99:99", b" Mars/Phobos",
    b"e" * 70_000,
)  # fmt: skip
# what no number, name or list of JSON should be
_VALUES = (
    None, True, "", "x", "\0", "../../x", "\ud800", 0, -1, 1, 0.5, 2**31, -(2**63), 2**70, 1e300,
    float("nan"), float("inf"), [], [[]], [None], ["a", "a"], {}, {"a": 1}, 10**400,
)  # fmt: skip
# no mutated file is larger
_LONGEST = 2**20

Mutation = Callable[[bytes, bytes, random.Random], bytes]


def mutated(data: bytes, other: bytes, generator: random.Random) -> bytes:
    """One to four mutations of `data`, which take what they add from `other`.

    The checksums are mended most of the time, so that a mutation passes them.
    """
    for _ in range(generator.choice((1, 1, 2, 4))):
        data = generator.choice(_MUTATIONS)(data, other, generator)[:_LONGEST]
    return pieces.mend(data) if generator.random() < 0.8 else data


def _place(data: bytes, generator: random.Random) -> int:
    """A place in the file, in its beginning half of the time."""
    longest = len(data) if generator.random() < 0.5 else min(len(data), 128)
    return generator.randrange(longest + 1)


def _flip_bits(data: bytes, other: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 3, 20)) if data else 0):
        at = min(_place(data, generator), len(data) - 1)
        changed[at] ^= 1 << generator.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, other: bytes, generator: random.Random) -> bytes:
    at, size = _place(data, generator), generator.choice((1, 4, 16, 256))
    filling = generator.choice((b"\0", b"\xff", b"\x80", generator.randbytes(1)))
    body = filling * size if generator.random() < 0.5 else generator.randbytes(size)
    return data[:at] + body[: len(data) - at] + data[at + size :]


def _set_number(data: bytes, other: bytes, generator: random.Random) -> bytes:
    form = generator.choice("BHIQ")
    at, size = _place(data, generator), struct.calcsize(form)
    number = generator.choice(_NUMBERS) & (1 << 8 * size) - 1
    return data[:at] + struct.pack(generator.choice("<>") + form, number) + data[at + size :]


def _truncate(data: bytes, other: bytes, generator: random.Random) -> bytes:
    return data[: _place(data, generator)]


def _cut_out(data: bytes, other: bytes, generator: random.Random) -> bytes:
    start, end = sorted((_place(data, generator), _place(data, generator)))
    return data[:start] + data[end:]


def _insert(data: bytes, other: bytes, generator: random.Random) -> bytes:
    at = _place(data, generator)
    return data[:at] + generator.choice(_TEXTS) + data[at:]


def _splice(data: bytes, other: bytes, generator: random.Random) -> bytes:
    return data[: _place(data, generator)] + other[_place(other, generator) :]


def _repeat(data: bytes, other: bytes, generator: random.Random) -> bytes:
    start, end = sorted((_place(data, generator), _place(data, generator)))
    return data[:start] + data[start:end] * generator.choice((2, 3, 50)) + data[end:]


def _change_pieces(data: bytes, other: bytes, generator: random.Random) -> bytes:
    parts = pieces.split(data)
    if not parts:
        return data
    first, second = generator.randrange(len(parts)), generator.randrange(len(parts))
    match generator.randrange(5):
        case 0:
            parts[first], parts[second] = parts[second], parts[first]
        case 1:
            del parts[first]
        case 2:
            parts.insert(second, parts[first])
        case 3:
            parts[first] *= generator.choice((3, 30, 1000))
        case _:
            foreign = pieces.split(other) or [b""]
            parts.insert(first, generator.choice(foreign))
    return b"".join(parts)


def _change_in_piece(data: bytes, other: bytes, generator: random.Random) -> bytes:
    """Another number in the first bytes of a piece, where its size and settings stand."""
    parts = [part for part in pieces.split(data) if part]
    if not parts:
        return data
    index = generator.randrange(len(parts))
    part, form = parts[index], generator.choice("BHI")
    at = generator.randrange(min(len(part), 40))
    number = generator.choice(_NUMBERS) & (1 << 8 * struct.calcsize(form)) - 1
    changed = struct.pack(generator.choice("<>") + form, number)
    parts[index] = (part[:at] + changed + part[at + len(changed) :])[: max(len(part), 1)]
    return b"".join(parts)


def _change_value(data: bytes, other: bytes, generator: random.Random) -> bytes:
    """Another value somewhere in JSON, or one less, or one that stands elsewhere in it."""
    if not data.startswith((b"{", b"[")):
        return data
    try:
        content = json.loads(data)
        places = list(_places(content))
        if not places:
            return data
        (holder, key), (from_holder, from_key) = (generator.choice(places) for _ in range(2))
        match generator.randrange(4):
            case 0:
                del holder[key]
            case 1:
                # a copy, so that nothing holds itself
                holder[key] = json.loads(json.dumps(from_holder[from_key]))
            case _:
                holder[key] = generator.choice(_VALUES)
        return json.dumps(content).encode()
    except (ValueError, RecursionError):
        return data


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Objects and lists within JSON, each with one of its keys or indices."""
    waiting = [content]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            yield from ((holder, key) for key in keys)
            waiting.extend(holder[key] for key in keys)


_MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_bits,
    _overwrite,
    _set_number,
    _set_number,
    _truncate,
    _cut_out,
    _insert,
    _splice,
    _repeat,
    _change_pieces,
    _change_pieces,
    _change_in_piece,
    _change_in_piece,
    _change_value,
    _change_value,
    _change_value,
)
