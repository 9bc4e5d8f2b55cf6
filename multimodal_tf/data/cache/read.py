"""Reads entries of parts by the rows of a split, inside a `tf.data` map."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from multimodal_tf.data.cache.parts import DIGEST, Parts

Tensors = dict[str, tf.Tensor]


def parts_reader(
    parts: Parts, digests: np.ndarray, keys: Mapping[str, str], in_memory: bool
) -> Callable[[tf.Tensor], Tensors]:
    """A function from int64 `(n,)`, rows of a split, to fields of their entries, by key.

    Args:
        parts: with an entry for each digest.
        digests: of the rows, uint8 `(rows, 16)`.
        keys: by key, the field of an entry.
        in_memory: whether the entries of all rows are read now; otherwise those of each call.
    """
    distinct, rows = np.unique(digests.view(f"V{DIGEST}")[:, 0], return_inverse=True)
    positions = parts.positions(one.tobytes() for one in distinct)
    cell_of_row = tf.constant(rows, tf.int64)
    if in_memory:
        entries = parts.read(positions)
        table = {key: tf.constant(entries[field]) for key, field in keys.items()}
        return lambda chosen: {
            key: tf.gather(one, tf.gather(cell_of_row, chosen)) for key, one in table.items()
        }
    dtypes = [tf.as_dtype(parts.dtype[field].base) for field in keys.values()]

    def of_cells(cells: np.ndarray) -> list[np.ndarray]:
        entries = parts.read(positions[cells])
        return [np.ascontiguousarray(entries[field]) for field in keys.values()]

    def read(chosen: tf.Tensor) -> Tensors:
        cells = tf.gather(cell_of_row, chosen)
        found = tf.numpy_function(of_cells, [cells], dtypes, stateful=False)
        return {
            key: tf.ensure_shape(one, [None, *parts.dtype[field].shape])
            for (key, field), one in zip(keys.items(), found)
        }

    return read
