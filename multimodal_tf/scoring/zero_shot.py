"""Probabilities of classes that are known by one vector each."""

import numpy as np
import tensorflow as tf


def class_probabilities(
    vectors: tf.Tensor, classes: np.ndarray, scale: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The softmax of the scaled mean cosine between a row's vectors and each class's.

    Args:
        vectors: float32 `(batch, inputs, dim)`, of length 1, or zeros where an input is missing.
        classes: float32 `(classes, dim)`, of length 1.
        scale: of the cosines.

    Returns:
        float32 `(batch, classes)`, and bool `(batch,)`, whether any input is present; where none
        is, all classes are equal.

    Example:
        >>> rows = tf.constant([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
        >>> found, known = class_probabilities(rows, np.eye(2, dtype="float32"), scale=1.0)
        >>> found.numpy().astype(float).round(3).tolist(), known.numpy().tolist()
        ([[0.731, 0.269], [0.5, 0.5]], [True, False])

    Source: Radford et al. 2021, arXiv:2103.00020, section 3.1.
    """
    present = tf.cast(tf.reduce_any(vectors != 0, axis=2), vectors.dtype)
    count = tf.reduce_sum(present, axis=1, keepdims=True)
    cosines = tf.matmul(tf.reduce_sum(vectors, axis=1), tf.constant(classes), transpose_b=True)
    logits = scale * tf.math.divide_no_nan(cosines, count)
    return tf.nn.softmax(logits), count[:, 0] > 0
