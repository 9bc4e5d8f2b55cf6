"""The outputs of a model's frozen towers, kept in memory for rows that are predicted repeatedly."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import tensorflow as tf

from multimodal_tf.data.pipeline import available_memory

Tensors = dict[str, tf.Tensor]


class FrozenOutputs:
    """What frozen towers give for rows that are predicted with other inputs left out or changed.

    Args:
        model: from `build_model`.
        empty: function without arguments that returns the model's inputs of one row without any.
    """

    def __init__(self, model: keras.Model, empty: Callable[[], Tensors]) -> None:
        self._model, self._empty = model, empty
        self._beginning: Any = getattr(model, "frozen_beginning", lambda: None)()
        self._missing: dict[str, Tensors] = {}

    def fit_in_memory(self, rows: int) -> bool:
        """Whether the outputs for so many rows may be kept."""
        frozen = () if self._beginning is None else self._beginning.inputs.values()
        sizes = [math.prod(one.shape[1:]) for each in frozen for one in each.outputs.values()]
        return bool(4 * sum(sizes) * rows <= available_memory() / 8)

    def of(self, inputs: Tensors) -> Tensors:
        """The outputs by key for a batch of model inputs; empty if nothing is frozen."""
        if self._beginning is None or not self._beginning.inputs:
            return {}
        if not self._missing:
            empty = self._empty()
            self._missing = {
                name: {key: value[0] for key, value in one(empty).items()}
                for name, one in self._beginning.inputs.items()
            }
            self._beginning.start_after(self._missing)
        found: Tensors = {}
        for one in self._beginning.inputs.values():
            found |= one(inputs)
        return found

    def kept(self, features: Mapping[str, tf.Tensor], without: Collection[str] = ()) -> Tensors:
        """Those of the outputs among features, but for some inputs."""
        return {
            key: features[key]
            for name, outputs in self._missing.items()
            for key in outputs
            if key in features and name not in without
        }

    def missing(self, name: str, rows: tf.Tensor) -> Tensors:
        """The outputs of one input where it is missing, for so many rows."""
        return {
            key: tf.repeat(value[tf.newaxis], rows, axis=0)
            for key, value in self._missing.get(name, {}).items()
        }

    def predict(self, inputs: Tensors) -> Any:
        """The model's outputs for a batch of its inputs, or with frozen outputs among them."""
        if self._missing and self._beginning.is_in(inputs):
            return self._beginning.run(inputs, self._model, training=False)
        return self._model(inputs, training=False)
