"""How far from the training mean a number may be: one rule for every kind that is scaled."""

from typing import Any

import numpy as np
import tensorflow as tf

# Standard deviations. No row of a training split is farther from its mean than the square root of
# its number of rows. Squares of such numbers, and products of three, are finite in float32.
LIMIT = 1e12
# In a direction of a vector training rows may hardly differ, so only what overflows is refused.
VECTOR_LIMIT = float(np.finfo(np.float32).max)
TOO_FAR = "too many standard deviations from the training mean to be scaled"
# Keras' Normalization divides by no less.
LEAST_STD = 1e-7


def is_scalable(values: tf.Tensor, mean: Any, std: Any, limit: float = LIMIT) -> tf.Tensor:
    """Whether numbers stay finite when they are scaled, and in the layers that follow.

    Args:
        values: numbers of any shape; NaN and infinity are not scalable.
        mean: of the training split, float or float64 that broadcasts to `values`.
        std: as `mean`, above 0.
        limit: standard deviations.

    Returns:
        bool, of the same shape.

    Example:
        >>> is_scalable(tf.constant([1e6, 3e38, float("nan")]), 0.0, 2.0).numpy().tolist()
        [True, False, False]
    """
    return tf.abs((tf.cast(values, tf.float64) - mean) / std) <= limit
