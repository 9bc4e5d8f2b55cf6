"""FLAC files of any number of bits, which libsndfile does not write."""

import struct

SAMPLES = 1000
# of a frame's header; 0: as in the file's header
_CODES = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}


def flac_bytes(samples, bits, rate=8000, total=None):
    """Samples `(time, channels)`, integers of `bits` bits, stored as they are.

    Args:
        samples: int `(time, channels)`.
        bits: 4 to 32.
        rate: Hz.
        total: the number of samples in the header; None: the right one, 0: unknown.
    """
    count, channels = samples.shape
    packed = rate << 44 | channels - 1 << 41 | bits - 1 << 36 | (count if total is None else total)
    header = struct.pack(">HH", SAMPLES, SAMPLES) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    file = b"fLaC\x80" + len(header).to_bytes(3, "big") + header
    for number, first in enumerate(range(0, count, SAMPLES)):
        file += _frame(samples[first : first + SAMPLES], bits, number)
    return file


def _frame(samples, bits, number):
    kind = (samples.shape[1] - 1) << 4 | _CODES.get(bits, 0) << 1
    head = b"\xff\xf8\x70" + bytes([kind, number]) + struct.pack(">H", len(samples) - 1)
    head += bytes([_remainder(head, 8, 0x07)])
    # verbatim: 2 in seven bits after a zero, and none wasted
    body = "".join(
        "00000010" + "".join(format(int(value) & (1 << bits) - 1, f"0{bits}b") for value in channel)
        for channel in samples.T
    )
    body += "0" * (-len(body) % 8)
    frame = head + int(body, 2).to_bytes(len(body) // 8, "big")
    return frame + struct.pack(">H", _remainder(frame, 16, 0x8005))


def _remainder(data, width, polynomial):
    """The cyclic redundancy check of bytes."""
    value, top = 0, 1 << width - 1
    for octet in data:
        value ^= octet << width - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & (1 << width) - 1
    return value
