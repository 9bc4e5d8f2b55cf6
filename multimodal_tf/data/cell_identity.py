"""Numbers that are equal where cells are equal, for heads that compare cells."""

import functools
from collections.abc import Iterable, Mapping

import tensorflow as tf

from multimodal_tf.config import Config

_BUCKETS = 2**63 - 1


def of_heads(config: Config, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """By head that compares cells: the numbers of these.

    Args:
        config: `Config`.
        inputs: raw cells by input, `(batch, *cell_shape)`, as `record_files.parse` gives them.

    Returns:
        int64 `(batch, cells)` by head, hashes of the cells: those of different cells differ, but
        for one pair in about 2^63. Of `tabular` the cells of all columns that this tower reads.

    Example:
        >>> from multimodal_tf.config import AlignmentHead, TextInput
        >>> config = Config(
        ...     inputs={"title": TextInput(), "body": TextInput()},
        ...     heads={"pair": AlignmentHead(inputs=["title", "body"])},
        ... )
        >>> cells = {"title": tf.constant(["a", "b"]), "body": tf.constant(["c", "c"])}
        >>> pair = of_heads(config, cells)["pair"]
        >>> (pair[0] == pair[1]).numpy().tolist()
        [False, True]
    """
    behind = config.vector_inputs()

    # several heads may align the same input
    @functools.cache
    def number(vector: str) -> tf.Tensor:
        return _hash(inputs[name] for name in behind[vector])

    return {
        name: tf.stack([number(own) for own in head.compared_cells], axis=1)
        for name, head in config.heads.items()
        if head.compared_cells
    }


def _hash(cells: Iterable[tf.Tensor]) -> tf.Tensor:
    """int64 `(batch,)`."""
    joined = tf.stack([_text(one) for one in cells], axis=1)
    return tf.strings.to_hash_bucket_fast(
        tf.strings.reduce_join(_measured(joined), axis=1), _BUCKETS
    )


def _text(cells: tf.Tensor) -> tf.Tensor:
    """The cells of one input as strings `(batch,)`."""
    if cells.dtype != tf.string:
        # exact; adding 0 makes -0 a 0
        bits = tf.int64 if cells.dtype == tf.float64 else tf.int32
        cells = tf.strings.as_string(tf.bitcast(cells + 0.0, bits))
    if cells.shape.rank == 1:
        return cells
    # a list of files is padded with "" to the longest of the batch
    parts = tf.where(cells == "", "", _measured(cells))
    return tf.strings.reduce_join(tf.reshape(parts, [tf.shape(cells)[0], -1]), axis=1)


def _measured(parts: tf.Tensor) -> tf.Tensor:
    """Each part behind its length, so that different parts are different when they are joined."""
    return tf.strings.join([tf.strings.as_string(tf.strings.length(parts)), parts], ":")
