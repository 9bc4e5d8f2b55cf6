"""Which vectors of a row are present, from the presence of its inputs."""

from collections.abc import Sequence

import tensorflow as tf


def vectors_present(present: tf.Tensor, columns: Sequence[Sequence[int]]) -> tf.Tensor:
    """Which of the vectors that fusion reads are present: any of a vector's inputs is enough.

    Args:
        present: bool `(batch, inputs)`.
        columns: of each vector the indices of its inputs, as `Config.vector_columns` gives them.

    Returns:
        bool `(batch, vectors)`.

    Example:
        >>> vectors_present(tf.constant([[False, True, False]]), [[0], [1, 2]]).numpy().tolist()
        [[False, True]]
    """
    flags = [tf.reduce_any(tf.gather(present, own, axis=1), axis=1) for own in columns]
    return tf.stack(flags, axis=1)


def any_present(present: tf.Tensor, columns: Sequence[Sequence[int]]) -> tf.Tensor:
    """Whether any of some vectors is present: bool `(batch,)`; arguments as `vectors_present`."""
    return tf.reduce_any(vectors_present(present, columns), axis=1)
