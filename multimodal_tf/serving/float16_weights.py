"""Weights that a SavedModel holds in float16 and computes with in their own precision."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LARGEST = float(np.finfo(np.float16).max)


class Float16Weights:
    """A Keras model whose matrices are read from float16 copies, cast to their own dtype.

    Vectors, such as biases and the statistics of normalization, and matrices with a number beyond
    float16's largest stay as they are: they are few, or float16 cannot hold them.

    Args:
        model: a functional `keras.Model`.
        kept: the copies by `id` of the Keras variable, shared by models of the same layers.
    """

    def __init__(self, model: keras.Model, kept: dict[int, tf.Variable]) -> None:
        self._model, self._kept = model, kept
        for weight in model.weights:
            if id(weight) not in kept and _fits(weight):
                kept[id(weight)] = tf.Variable(tf.cast(weight.value, tf.float16), trainable=False)

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """The model's outputs, as `model(inputs, training=training)` gives them."""
        values = [
            (weight, tf.cast(self._kept[id(weight)], weight.dtype))
            for weight in self._model.weights
            if id(weight) in self._kept
        ]
        with keras.StatelessScope(state_mapping=values):
            return self._model(inputs, training=training)


def _fits(weight: Any) -> bool:
    if weight.dtype != "float32" or len(weight.shape) < 2:
        return False
    return bool(np.abs(keras.ops.convert_to_numpy(weight)).max(initial=0) <= _LARGEST)
