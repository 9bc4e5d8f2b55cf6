"""The output of a tower, and the steps from its tokens to its vector."""

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from multimodal_tf.config.tower_bases import Tower
from multimodal_tf.models.chain import Shape, Steps, chain
from multimodal_tf.models.layer import Layer

Config = TypeVar("Config", covariant=True)


class TowerInput(NamedTuple, Generic[Config]):
    """One input, as its tower reads it.

    Attributes:
        name: str. The input's; the name of every layer begins with it and an underscore.
        config: the configuration of the input.
        stats: what the schema holds for the input; None: nothing.
        x: its Keras tensor; rows whose input is missing are zeros.
        present: float `(batch,)`, 1 or 0; None if the model does not know presence. It matters to
            layers that mix rows (batch normalization). A library's network runs on the present rows
            alone (`presence.MaskedNetwork`).
    """

    name: str
    config: Config
    stats: Any
    x: KerasTensor
    present: KerasTensor | None


class Encoding(NamedTuple):
    """One encoded input, as Keras tensors.

    Attributes:
        tokens: `(batch, length, dim)`, in the compute dtype.
        mask: bool `(batch, length)`, True for valid tokens. False everywhere in rows whose input
            is missing.
        vector: `(batch, dim)`, pooled; its dim may differ from that of the tokens.
        wide: float32 `(batch, width)`, the fixed features of a `wide` tower, which heads read
            beside the fused vector; None: there are none.
    """

    tokens: KerasTensor
    mask: KerasTensor
    vector: KerasTensor
    wide: KerasTensor | None = None


class PooledTower(Protocol):
    """The fields of a tower's configuration that `pool` reads."""

    @property
    def pooling(self) -> str: ...

    @property
    def dim(self) -> int | None: ...

    @property
    def dropout(self) -> float: ...


@keras.saving.register_keras_serializable("multimodal_tf")
class ScaledToLength(Layer):
    """Scales each vector to one length; zeros stay zeros, with a finite gradient.

    `keras.layers.UnitNormalization` has a gradient of NaN there, and sums squares in float16.

    Args:
        length: float > 0.

    Call:
        `x` is `(batch, dim)`. Returns the same shape.

    Example:
        >>> ScaledToLength(10.0)(ops.array([[3.0, 4.0], [0.0, 0.0]])).numpy().tolist()
        [[6.0, 8.0], [0.0, 0.0]]
    """

    def __init__(self, length: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length

    def call(self, x: KerasTensor) -> KerasTensor:
        wide = ops.cast(x, "float32")
        squares = ops.sum(ops.square(wide), axis=-1, keepdims=True)
        # a sum of squares below float32's normal numbers is that of zeros
        scaled = wide * (self.length * ops.rsqrt(ops.maximum(squares, 1e-30)))
        return ops.cast(scaled, x.dtype)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable("multimodal_tf")
class AllTokens(Layer):
    """The mask of tokens that are all valid: True everywhere.

    Call:
        `tokens` is `(batch, length, dim)`. Returns bool `(batch, length)`.
    """

    def call(self, tokens: KerasTensor) -> KerasTensor:
        return ops.ones(ops.shape(tokens)[:2], "bool")

    def compute_output_spec(self, tokens: KerasTensor) -> KerasTensor:
        return KerasTensor(tokens.shape[:2], "bool")


class _Pooling(Layer):
    """From tokens `(batch, length, dim)` and their mask to one vector; the mask ends here."""

    def compute_mask(self, x: KerasTensor, mask: KerasTensor | None = None) -> None:
        return None

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], shape[2])


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedMean(_Pooling):
    """The mean over the valid tokens; zeros in rows without any.

    `keras.layers.GlobalAveragePooling1D` divides by zero in such rows, and its NaN reaches the
    gradient.

    Call:
        `x` is float `(batch, length, dim)`, `mask` bool `(batch, length)` or None. Returns `(batch,
        dim)`.

    Example:
        >>> mask = ops.convert_to_tensor([[True, False], [False, False]])
        >>> MaskedMean()(ops.ones((2, 2, 1)), mask=mask).numpy().tolist()
        [[1.0], [0.0]]
    """

    def call(self, x: KerasTensor, mask: KerasTensor | None = None) -> KerasTensor:
        if mask is None:
            return ops.mean(x, axis=1)
        mask = ops.cast(ops.expand_dims(mask, -1), x.dtype)
        return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedMax(_Pooling):
    """The maximum over the valid tokens; zeros in rows without any.

    Call:
        As `MaskedMean`.
    """

    def call(self, x: KerasTensor, mask: KerasTensor | None = None) -> KerasTensor:
        if mask is None:
            return tf.reduce_max(x, axis=1)
        mask = ops.expand_dims(mask, -1)
        # -3e4 is within the range of float16.
        valid = ops.where(mask, x, ops.full_like(x, -3e4))
        return ops.where(
            ops.any(mask, axis=1), tf.reduce_max(valid, axis=1), ops.zeros_like(x[:, 0])
        )


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenAt(_Pooling):
    """The first token, or the last valid one.

    Args:
        position: "first" or "last".

    Call:
        As `MaskedMean`. In rows without valid tokens, "last" is the first token.
    """

    def __init__(self, position: Literal["first", "last"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.position = position

    def call(self, x: KerasTensor, mask: KerasTensor | None = None) -> KerasTensor:
        if self.position == "first":
            return x[:, 0]
        if mask is None:
            return x[:, -1]
        steps = ops.arange(ops.shape(x)[1], dtype="int32")
        last = tf.reduce_max(ops.where(mask, steps, ops.zeros_like(steps)), axis=1)
        return ops.squeeze(ops.take_along_axis(x, ops.reshape(last, (-1, 1, 1)), axis=1), 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "position": self.position}


POOLING: dict[str, Callable[..., layers.Layer]] = {
    "average": MaskedMean,
    "max": MaskedMax,
    "first": partial(TokenAt, "first"),
    "last": partial(TokenAt, "last"),
}


def pool(
    tower: PooledTower,
    tokens: KerasTensor,
    mask: KerasTensor | None,
    name: str,
    last: str | None,
) -> KerasTensor:
    """Pools tokens to a vector and projects it, by `tower.pooling`, `dim` and `dropout`.

    Args:
        tower: a tower's configuration.
        tokens: `(batch, length, dim)`.
        mask: bool `(batch, length)`, True for valid tokens; None: the tensor's own mask, if any.
        name, last: as in `models.towers`.

    Returns:
        `(batch, dim)`.
    """
    steps: Steps = {"pool": partial(with_mask, mask, POOLING[tower.pooling])}
    return chain(tokens, steps | projection(tower), name, last)


def with_mask(mask: KerasTensor | None, make: Callable[..., layers.Layer], name: str) -> Any:
    """Makes a layer, called with `mask`, as a function of one tensor for `chain`.

    Args:
        mask: bool `(batch, length)`; None: the tensor's own mask, if any.
        make: function of `name` that makes the layer.
        name: str.
    """
    layer = make(name=name)
    if mask is None:
        return layer
    return lambda x: layer(x, mask=mask)


def projection(tower: Tower | PooledTower) -> Steps:
    """The steps at the end of a tower: its `length`, Dense of `dim` units, Dropout, if any."""
    steps: Steps = {}
    length = getattr(tower, "length", None)
    if length is not None:
        steps["length"] = partial(ScaledToLength, length)
    if tower.dim is not None:
        steps["dense"] = partial(layers.Dense, tower.dim, activation="relu")
    if tower.dropout > 0:
        steps["dropout"] = partial(layers.Dropout, tower.dropout)
    return steps
