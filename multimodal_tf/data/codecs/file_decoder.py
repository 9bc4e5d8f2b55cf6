"""Decodes batches of files inside the graph: a broken file is reported and never fails a batch."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_FILE = tf.TensorSpec([], tf.string)


class FileDecoder:
    """A decoder of one kind of file.

    Args:
        problem: function of a file's bytes, a string scalar, to a string scalar: "" or why the file
            must not be decoded.
        decode: function of a file's bytes to a tensor of `spec`; it may raise.
        spec: shape and dtype of one decoded file.
        damaged: the reason where `decode` raised.
    """

    def __init__(
        self,
        problem: Callable[[tf.Tensor], tf.Tensor],
        decode: Callable[[tf.Tensor], tf.Tensor],
        spec: tf.TensorSpec,
        damaged: str,
    ) -> None:
        # Traced once, however many graphs call them: tracing takes seconds.
        self._header_problem, self._decode = (
            tf.function(one, input_signature=[_FILE], autograph=False) for one in (problem, decode)
        )
        self._spec, self._damaged = spec, damaged

    def decode(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Decodes a batch, for use inside a graph.

        A `tf.data` pipeline drops the files that fail and goes on; the others are scattered back to
        their rows.

        Args:
            cells: string `(batch,)`; "" is missing.

        Returns:
            `(tensor, present, reason)`: `(batch, ...)`, bool and string `(batch,)`. The tensor is
            zeros and the row not present where the file is missing or broken; only broken files
            have a reason.
        """
        reason = _map(cells, self._header_problem)
        readable = (cells != "") & (reason == "")
        rows = tf.where(readable)[:, 0]
        # A set without elements could not be batched, so the last row, beyond the batch, is a
        # sentinel.
        count = tf.shape(cells, out_type=tf.int64)[0]
        shape = self._spec.shape
        sentinel = tf.data.Dataset.from_tensors((count, tf.zeros(shape, self._spec.dtype)))
        decoded = tf.data.Dataset.from_tensor_slices((rows, tf.gather(cells, rows)))

        @tf.autograph.experimental.do_not_convert
        def numbered(row: tf.Tensor, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return row, tf.ensure_shape(self._decode(data), shape)

        decoded = decoded.map(numbered, tf.data.AUTOTUNE, deterministic=True)
        done, values = (
            decoded.ignore_errors().concatenate(sentinel).batch(count + 1).get_single_element()
        )
        done = done[:, tf.newaxis]
        tensor = tf.scatter_nd(
            done, values, tf.concat([[count + 1], tf.constant(shape.as_list(), tf.int64)], 0)
        )[:-1]
        present = tf.scatter_nd(done, tf.fill(tf.shape(done)[:1], 1), [count + 1])[:-1] > 0
        reason = tf.where(readable & ~present, self._damaged, tf.where(cells == "", "", reason))
        return tf.ensure_shape(tensor, [None, *shape]), present, reason

    def problem(self, data: bytes) -> str:
        """The reason that `decode` would give for a file, eagerly; "" for a valid one."""
        try:
            return str(self._find_problem(tf.constant(data)).numpy().decode())
        except tf.errors.OpError:
            return self._damaged

    @functools.cached_property
    def _find_problem(self) -> Any:
        def find(data: tf.Tensor) -> tf.Tensor:
            reason = self._header_problem(data)

            def valid() -> tf.Tensor:
                # a function that is only waited for is pruned; its result is not
                with tf.control_dependencies([tf.identity(self._decode(data))]):
                    return tf.constant("")

            return tf.cond(reason == "", valid, lambda: reason)

        # a concrete function binds its argument faster
        return tf.function(find, [_FILE], autograph=False).get_concrete_function()


def _map(cells: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """`function` of each cell, in parallel; string `(batch,)`."""
    # a last empty cell keeps the set from being empty
    padded = tf.concat([cells, [""]], 0)
    mapped = tf.data.Dataset.from_tensor_slices(padded).map(
        tf.autograph.experimental.do_not_convert(function), tf.data.AUTOTUNE, deterministic=True
    )
    results = mapped.batch(tf.size(padded, tf.int64)).get_single_element()
    return tf.ensure_shape(results, [None])[:-1]
