"""Checks and logarithms of predicted probabilities."""

import numpy as np
import tensorflow as tf

# replaces a probability of 0, whose logarithm is infinite
LEAST = float(np.finfo(np.float32).tiny)
# probabilities computed in half precision sum to 1 only this closely
SUM_TOLERANCE = 1e-2


def log_probabilities(probabilities: tf.Tensor) -> tf.Tensor:
    """Natural logarithms, at least log(1.2e-38) = -87.3; shape and dtype stay.

    They are logits up to one constant per row, which softmax removes.

    Args:
        probabilities: float tensor or array of any shape.

    Example:
        >>> log_probabilities(np.array([1.0, 0.0])).numpy().round(1).tolist()
        [0.0, -87.3]
    """
    return tf.math.log(tf.maximum(probabilities, LEAST))


def check_probabilities(probabilities: np.ndarray) -> None:
    """Checks that each row is a distribution over classes.

    Args:
        probabilities: float `(rows, classes)`.

    Raises:
        ValueError: a probability is below 0, or a row does not sum to 1.
    """
    sums = probabilities.sum(axis=1)
    wrong = (np.abs(sums - 1) > SUM_TOLERANCE) | (probabilities < 0).any(axis=1)
    if wrong.any():
        raise ValueError(
            "probabilities must be 0 or more and sum to 1 in a row, received "
            f"{probabilities[wrong][0].tolist()} and {wrong.sum()} such rows in all"
        )
