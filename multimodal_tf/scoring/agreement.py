"""Cross-modal agreement: whether the inputs of a row belong together, and which one does not.

A head that compares two inputs gives two vectors per row. Their cosine is high where the inputs
belong together. Functions take NumPy arrays as well as tensors, and keep the dtype.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def unit_vectors(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors scaled to length 1 on the last axis; a zero vector stays zero."""
    return tf.math.divide_no_nan(vectors, tf.norm(vectors, axis=-1, keepdims=True))


def cosine(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Cosine similarity on the last axis, -1 to 1; 0 where one vector is zero.

    Args:
        first, second: float `(..., dim)`.

    Returns:
        float `(...)`.

    Example:
        >>> cosine(np.array([3.0, 0.0]), np.array([1.0, 1.0])).numpy().round(4)
        np.float64(0.7071)
    """
    return tf.reduce_sum(unit_vectors(first) * unit_vectors(second), axis=-1)


def agreement(cosines: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Mean cosine over the pairs of inputs that a row has.

    Args:
        cosines: float `(batch, pairs)`.
        known: bool `(batch, pairs)`. Both inputs of the pair are present.

    Returns:
        float `(batch,)`, -1 to 1, higher where the inputs agree. NaN where no pair is known.

    Example:
        >>> agreement(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[True, True], [True, False]]))
        <tf.Tensor: shape=(2,), dtype=float64, numpy=array([0.5, 1. ])>

    Source: the cosine of Radford et al. 2021, arXiv:2103.00020, section 2.3, averaged over pairs
    as Girdhar et al. 2023, arXiv:2305.05665, align more than two inputs.
    """
    total = tf.reduce_sum(tf.where(known, cosines, tf.zeros_like(cosines)), axis=1)
    # 0 / 0 is NaN
    return total / tf.reduce_sum(tf.cast(known, total.dtype), axis=1)


def mean_cosine(vectors: tf.Tensor) -> tf.Tensor:
    """Mean cosine over all pairs of the inputs that a row has.

    Args:
        vectors: float `(batch, inputs, dim)`, of length 1, or zeros where an input is missing.

    Returns:
        float `(batch,)`, -1 to 1; 0 where fewer than two inputs are present.

    Example:
        >>> mean_cosine(tf.constant([[[1.0], [-1.0], [0.0]], [[1.0], [0.0], [0.0]]])).numpy()
        array([-1.,  0.], dtype=float32)
    """
    # the square of the sum holds each pair twice, and each vector's own square
    own = tf.reduce_sum(tf.square(vectors), axis=[1, 2])
    total = tf.reduce_sum(tf.square(tf.reduce_sum(vectors, axis=1)), axis=1) - own
    present = tf.reduce_any(vectors != 0, axis=2)
    count = tf.reduce_sum(tf.cast(present, vectors.dtype), axis=1)
    return tf.math.divide_no_nan(total, count * (count - 1))


def odd_one_out(
    cosines: np.ndarray, known: np.ndarray, pairs: Sequence[Sequence[str]]
) -> np.ndarray:
    """The input without which the other inputs agree most, of equal ones the first.

    Args:
        cosines: float `(rows, pairs)`.
        known: bool `(rows, pairs)`. Both inputs of the pair are present.
        pairs: of each pair the names of its two inputs.

    Returns:
        int `(rows,)`, an index into `inputs_of(pairs)`. -1 where fewer than three inputs are
        compared, or where no pair is left without one of them: in a chain of pairs any link may
        be the wrong one.

    Example:
        >>> pairs = [("photo", "title"), ("photo", "clip"), ("title", "clip")]
        >>> odd_one_out(np.array([[0.1, 0.9, 0.2]]), np.ones((1, 3), bool), pairs)
        array([1])
    """
    has = np.array([[name in pair for pair in pairs] for name in inputs_of(pairs)])
    without = [np.asarray(agreement(cosines, known & ~own)) for own in has]
    left = np.stack(without, axis=1)
    compared = np.stack([(known & own).any(axis=1) for own in has], axis=1)
    enough = (compared.sum(axis=1) >= 3) & ~(compared & np.isnan(left)).any(axis=1)
    return np.where(enough, np.where(compared, left, -np.inf).argmax(axis=1), -1)


def inputs_of(pairs: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names in some pairs, each once, in order of appearance."""
    return tuple(dict.fromkeys(name for pair in pairs for name in pair))
