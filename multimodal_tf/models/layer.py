"""Base class of the package's layers."""

from typing import Any

import keras
from keras import layers
from keras.src.utils import default


class Layer(layers.Layer):
    """A Keras layer that is also built by the names of what it is called with.

    Keras' own `build` takes one shape, but Keras calls that of a layer of several inputs by name:
    `build(x_shape=..., present_shape=...)`. A subclass with weights overrides `build`.
    """

    # marked as Keras' own, which layers without weights inherit
    @default
    def build(self, *shapes: Any, **shapes_by_name: Any) -> None:
        """Makes no weights."""
        self.built = True

    def spec_like(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """What an output of `x`'s shape is: Keras casts floats alone to the compute dtype."""
        return keras.KerasTensor(x.shape, self.compute_dtype if "float" in x.dtype else x.dtype)
