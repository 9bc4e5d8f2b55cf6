"""Base class of layers that draw at random for each row, the same in any batch."""

import math
from typing import Any

import tensorflow as tf

from multimodal_tf.models import seeds
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.step_counter import step_counter


class DrawsPerRow(Layer):
    """A layer whose random numbers depend on a row's cell, the step of training and a seed alone.

    So they do not depend on the rows beside it or on how rows are split over replicas, and a
    training that is resumed draws as one that never stopped. Outside of training they are the same
    in every call: losses on validation rows compare equal draws. Equal cells of a batch get equal
    draws.

    Args:
        seed: int, of the draws. None: drawn, by `build_model` from its own seed.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seeds.generator.randrange(2**31) if seed is None else seed
        # XLA has no fingerprints
        self.supports_jit = False

    def build(self, *shapes: Any, **shapes_by_name: Any) -> None:
        self.steps = step_counter(self)

    def uniform(self, cells: Any, count: int, training: bool | None) -> Any:
        """Random numbers for each row. In training each call counts one step.

        Args:
            cells: `(batch, ...)` of numbers, whose rows the draws depend on; further dimensions
                are known.
            count: of numbers for each row.
            training: whether to draw others than in the steps before.

        Returns:
            float32 `(batch, count)`, at least 0 and less than 1.
        """
        step = tf.zeros([], tf.int64)
        if training:
            self.steps.assign(self.steps + 1)
            step = tf.convert_to_tensor(self.steps)
        return uniform(fingerprints(cells), count, step, self.seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def uniform(rows: Any, count: int, step: Any, seed: int) -> Any:
    """Random numbers that follow from a row's number, the step and the seed alone.

    Args:
        rows: int64 `(batch,)`.
        count: of numbers for each row.
        step: int64 scalar.
        seed: int.

    Returns:
        float32 `(batch, count)`, at least 0 and less than 1.
    """
    keys = tf.stack(
        [
            tf.repeat(rows, count),
            tf.tile(tf.range(count, dtype=tf.int64), tf.shape(rows)),
            tf.fill([tf.size(rows) * count], step),
            tf.fill([tf.size(rows) * count], tf.constant(seed, tf.int64)),
        ],
        axis=1,
    )
    bits = tf.bitcast(tf.fingerprint(keys), tf.uint64)
    # as many as a float32 holds exactly
    high = tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64))
    return tf.reshape(tf.cast(high, tf.float32) * 2.0**-24, [-1, count])


def fingerprints(cells: Any) -> Any:
    """Numbers that are equal where cells are equal.

    Args:
        cells: `(batch, ...)` of numbers; further dimensions are known.

    Returns:
        int64 `(batch,)`.
    """
    flat = tf.reshape(cells, [tf.shape(cells)[0], math.prod(cells.shape[1:])])
    return tf.bitcast(tf.fingerprint(flat), tf.int64)
