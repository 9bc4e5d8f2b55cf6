"""Reads tensors from `model.bin` of CTranslate2, version 6.

Little-endian: uint32 version, string, uint32 revision, uint32 count; then for each tensor its name,
uint8 rank, uint32 dimensions, uint8 type, uint32 bytes, data. A string is a uint16 length and its
bytes, with a final zero.
"""

import struct

import numpy as np

VERSION = 6
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read(path):
    """The tensors of a model by name, numpy arrays as stored.

    Raises:
        ValueError: it is no such file.
    """
    with path.open("rb") as file:
        (version,) = unpack(file, "I")
        if version != VERSION:
            raise ValueError(f"{path}: must be version {VERSION} of CTranslate2, is {version}")
        string(file)
        _, count = unpack(file, "II")
        return dict(tensor(file) for _ in range(count))


def tensor(file):
    name = string(file)
    (rank,) = unpack(file, "B")
    shape = unpack(file, "I" * rank)
    kind, size = unpack(file, "BI")
    return name, np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)


def string(file):
    (length,) = unpack(file, "H")
    return file.read(length).rstrip(b"\0").decode()


def unpack(file, form):
    form = f"<{form}"
    return struct.unpack(form, file.read(struct.calcsize(form)))
