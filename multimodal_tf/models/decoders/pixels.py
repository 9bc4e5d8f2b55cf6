"""Convolutional networks between a vector and an image."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.layer import Layer
from multimodal_tf.models.presence import with_zeros


def sides(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """Height and width of each level of an image, the coarsest first, the image's last.

    Example:
        >>> sides(28, 20, 3)
        [(4, 3), (7, 5), (14, 10), (28, 20)]
    """
    return [(-(-height // 2**by), -(-width // 2**by)) for by in range(levels, -1, -1)]


@keras.saving.register_keras_serializable("multimodal_tf")
class PixelDecoder(Layer):
    """Vectors to logits of pixels: a coarse map, doubled and convolved once for each of `filters`.

    Args:
        shape: height, width and channels.
        filters: of the convolutions, the coarsest first.

    Call:
        `x` is float `(batch, dim)`. Returns `(batch, height, width, channels)`: the logistic
        function of a number is the brightness, 0 to 1.
    """

    def __init__(self, shape: Sequence[int], filters: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape, self.filters = tuple(shape), list(filters)
        height, width, channels = self.shape
        self.sides = sides(height, width, len(self.filters))
        policy = self.dtype_policy
        coarsest = self.sides[0]
        # vectors of towers may be small, and learning then stands still for long
        self.scaled = layers.LayerNormalization(dtype=policy)
        self.dense = layers.Dense(
            coarsest[0] * coarsest[1] * self.filters[0], activation="gelu", dtype=policy
        )
        self.first = layers.Reshape((*coarsest, self.filters[0]), dtype=policy)
        self.larger = layers.UpSampling2D(2, dtype=policy)
        self.convolutions = [_convolution(count, policy) for count in self.filters]
        self.last = layers.Conv2D(channels, 3, padding="same", dtype=policy)

    def build(self, x_shape: Any) -> None:
        self.scaled.build(x_shape)
        self.dense.build(x_shape)
        read = self.filters[0]
        for (height, width), convolution in zip(self.sides[1:], self.convolutions):
            convolution.build((None, height, width, read))
            read = convolution.filters
        self.last.build((None, *self.sides[-1], read))
        self.built = True

    def call(self, x: Any) -> Any:
        rows = tf.shape(x)[0]
        x = self.first(self.dense(self.scaled(_some_rows(x))))
        for (height, width), convolution in zip(self.sides[1:], self.convolutions):
            x = convolution(self.larger(x)[:, :height, :width])
        return self.last(x)[:rows]

    def compute_output_shape(self, x_shape: Any) -> Any:
        return (x_shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shape": list(self.shape), "filters": self.filters}


@keras.saving.register_keras_serializable("multimodal_tf")
class Posterior(Layer):
    """The distribution of the latent vector of an image: independent normal ones.

    Args:
        size: of the latent vector.
        filters: of the convolutions of stride 2 over the image, the last first: a decoder's.

    Call:
        `pixels` is float `(batch, height, width, channels)`, 0 to 1, `x` float `(batch, dim)`, what
        is known of the row. Returns `(batch, 2 * size)`: means, then logarithms of variances.

    Source: Kingma and Welling 2013, arXiv:1312.6114.
    """

    def __init__(self, size: int, filters: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.filters = size, list(filters)
        policy = self.dtype_policy
        self.convolutions = [_convolution(one, policy, 2) for one in reversed(self.filters)]
        self.flatten = layers.Flatten(dtype=policy)
        self.dense = layers.Dense(2 * size, dtype=policy)

    def build(self, pixels_shape: Any, x_shape: Any) -> None:
        shape = tuple(pixels_shape)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        _, height, width, channels = shape
        self.dense.build((None, height * width * channels + x_shape[-1]))
        self.built = True

    def call(self, pixels: Any, x: Any) -> Any:
        rows = tf.shape(x)[0]
        pixels, x = _some_rows(pixels), _some_rows(x)
        for convolution in self.convolutions:
            pixels = convolution(pixels)
        return self.dense(ops.concatenate([self.flatten(pixels), x], axis=-1))[:rows]

    def compute_output_shape(self, pixels_shape: Any, x_shape: Any) -> Any:
        return (pixels_shape[0], 2 * self.size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "filters": self.filters}


def _some_rows(x: Any) -> Any:
    """The rows, or one row of zeros where there are none: a convolution fails on no rows."""
    return with_zeros(x, tf.cast(tf.shape(x)[0] == 0, tf.int32))


def _convolution(filters: int, policy: Any, strides: int = 1) -> layers.Conv2D:
    return layers.Conv2D(
        filters, 3, strides=strides, padding="same", activation="gelu", dtype=policy
    )
