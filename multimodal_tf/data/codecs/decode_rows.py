"""Files decoded in a `tf.data` pipeline inside the graph.

It drops a file that fails and goes on; what came through is put back at its row.
"""

import tensorflow as tf


def decoded(cells, problem, decode, nothing, damaged):
    """Decodes a batch of files, of which any may be missing or broken.

    Args:
        cells: string `(batch,)`; "" is missing.
        problem: function of one cell to a string, "" or why it is not to be decoded.
        decode: function of one cell to a tensor like `nothing`; it may raise.
        nothing: the tensor that stands for a missing or broken cell.
        damaged: str. The reason where `decode` raised.

    Returns:
        `(tensor, present, reason)`: `(batch, ...)`, bool and string `(batch,)`.
    """
    reason = _each(cells, problem)
    readable = (cells != "") & (reason == "")
    rows = tf.where(readable)[:, 0]
    # The last row, beyond the batch, is a sentinel: a set without elements could not be batched.
    count = tf.shape(cells, out_type=tf.int64)[0]
    sentinel = tf.data.Dataset.from_tensors((count, nothing))
    decoded = tf.data.Dataset.from_tensor_slices((rows, tf.gather(cells, rows)))
    decoded = decoded.map(
        lambda row, data: (row, tf.ensure_shape(decode(data), nothing.shape)),
        tf.data.AUTOTUNE,
        deterministic=True,
    )
    done, values = (
        decoded.ignore_errors().concatenate(sentinel).batch(count + 1).get_single_element()
    )
    tensor = tf.scatter_nd(
        done[:, tf.newaxis],
        values,
        tf.concat([[count + 1], tf.shape(nothing, out_type=tf.int64)], 0),
    )[:-1]
    present = tf.scatter_nd(done[:, tf.newaxis], tf.fill(tf.shape(done), 1), [count + 1])[:-1] > 0
    reason = tf.where(readable & ~present, damaged, tf.where(cells == "", "", reason))
    return tf.ensure_shape(tensor, [None, *nothing.shape]), present, reason


def _each(cells, function):
    """`function` of each scalar cell, in parallel; a last empty cell keeps the set from being
    empty.
    """
    padded = tf.concat([cells, [""]], 0)
    mapped = tf.data.Dataset.from_tensor_slices(padded).map(
        function, tf.data.AUTOTUNE, deterministic=True
    )
    return tf.ensure_shape(mapped.batch(tf.size(padded, tf.int64)).get_single_element(), [None])[
        :-1
    ]
