"""Reads tensors from a PyTorch file of the old format, without PyTorch and without its code.

Such a file is three pickles (magic number, version, system), the pickle of the object, whose
tensors name their storage by a persistent id, the list of storages, and for each the number of its
elements as int64 and the raw numbers. The unpickler knows three names and refuses any other.
"""

import collections
import pickle
from typing import NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


class Tensor(NamedTuple):
    """A view on a storage: `(kind, key)`, offset, shape and strides in elements."""

    storage: tuple
    offset: int
    shape: tuple
    strides: tuple


def read(path):
    """The tensors of a state dict, by name.

    Args:
        path: `pathlib.Path`.

    Returns:
        dict of numpy arrays.

    Raises:
        ValueError: it is no such file.
        pickle.UnpicklingError: its pickle names anything but tensors and dicts.
    """
    with path.open("rb") as file:
        if pickle_of(file) != MAGIC:
            raise ValueError(f"{path} is no PyTorch file of the old format")
        # version and system
        pickle_of(file), pickle_of(file)
        tensors = pickle_of(file)
        kinds = {tensor.storage[1]: tensor.storage[0] for tensor in tensors.values()}
        storages = {key: numbers(file, TYPES[kinds[key]]) for key in pickle_of(file)}
    return {name: view(tensor, storages) for name, tensor in tensors.items()}


def pickle_of(file):
    return Restricted(file).load()


class Restricted(pickle.Unpickler):
    """Knows ordered dicts, tensors and two kinds of storages."""

    def find_class(self, module, name):
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): rebuilt,
            **{("torch", kind): kind for kind in TYPES},
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"the file names {module}.{name}, which no tensor needs")
        return known[module, name]

    def persistent_load(self, pid):
        # "storage", kind, key, device, elements, view
        return pid[1], pid[2]


def rebuilt(storage, offset, shape, strides, *_):
    return Tensor(storage, offset, shape, strides)


def numbers(file, dtype):
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


def view(tensor, storages):
    values = storages[tensor.storage[1]][tensor.offset :]
    strides = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values, tensor.shape, strides).copy()
