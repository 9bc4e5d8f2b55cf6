"""What every tower yields, and the steps from its tokens to its vector."""

from functools import partial
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from multimodal_tf.models.chain import chain


class Encoding(NamedTuple):
    """One input, encoded: Keras tensors.

    Attributes:
        tokens: `(batch, length, dim)`, in the compute dtype.
        mask: bool `(batch, length)`, which tokens are there. False everywhere in rows where the
        input is absent.
        vector: `(batch, dim)`, pooled; its dim may differ from the tokens'.
    """

    tokens: Any
    mask: Any
    vector: Any


@keras.saving.register_keras_serializable("multimodal_tf")
class AllTokens(layers.Layer):
    """The mask of a tower all of whose tokens are always there: true everywhere.

    Call:
        `tokens` is `(batch, length, dim)`. Returns bool `(batch, length)`.
    """

    def call(self, tokens):
        return ops.ones(ops.shape(tokens)[:2], "bool")

    def compute_output_spec(self, tokens):
        return keras.KerasTensor(tokens.shape[:2], "bool")


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedMean(layers.Layer):
    """The mean over the tokens that the mask keeps; zeros where it keeps none.

    `keras.layers.GlobalAveragePooling1D` divides by zero there, and its NaN reaches the gradient.

    Call:
        `x` is float `(batch, length, dim)`, `mask` bool `(batch, length)` or None. Returns `(batch,
        dim)`.

    Example:
        >>> mask = ops.convert_to_tensor([[True, False], [False, False]])
        >>> MaskedMean()(ops.ones((2, 2, 1)), mask=mask).numpy().tolist()
        [[1.0], [0.0]]
    """

    def call(self, x, mask=None):
        if mask is None:
            return ops.mean(x, axis=1)
        mask = ops.cast(ops.expand_dims(mask, -1), x.dtype)
        return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)

    def compute_mask(self, x, mask=None):
        return None

    def compute_output_shape(self, shape):
        return (shape[0], shape[2])


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedMax(layers.Layer):
    """The largest over the tokens that the mask keeps; zeros where it keeps none.

    Call:
        As `MaskedMean`.
    """

    def call(self, x, mask=None):
        if mask is None:
            return ops.max(x, axis=1)
        mask = ops.expand_dims(mask, -1)
        # within float16
        lowest = ops.where(mask, x, ops.full_like(x, -3e4))
        return ops.where(ops.any(mask, axis=1), ops.max(lowest, axis=1), ops.zeros_like(x[:, 0]))

    def compute_mask(self, x, mask=None):
        return None

    def compute_output_shape(self, shape):
        return (shape[0], shape[2])


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenAt(layers.Layer):
    """The first token, or the last that the mask keeps.

    Args:
        place: "first" or "last".

    Call:
        As `MaskedMean`; where the mask keeps none, "last" is the first token.
    """

    def __init__(self, place, **kwargs):
        super().__init__(**kwargs)
        self.place = place

    def call(self, x, mask=None):
        if self.place == "first":
            return x[:, 0]
        if mask is None:
            return x[:, -1]
        steps = ops.arange(ops.shape(x)[1], dtype="int32")
        last = ops.max(ops.where(mask, steps, ops.zeros_like(steps)), axis=1)
        return ops.squeeze(ops.take_along_axis(x, ops.reshape(last, (-1, 1, 1)), axis=1), 1)

    def compute_mask(self, x, mask=None):
        return None

    def compute_output_shape(self, shape):
        return (shape[0], shape[2])

    def get_config(self):
        return super().get_config() | {"place": self.place}


POOLING: dict = {
    "average": MaskedMean,
    "max": MaskedMax,
    "first": partial(TokenAt, "first"),
    "last": partial(TokenAt, "last"),
}


def pool(tower, tokens, mask, name, last):
    """Tokens to a vector, as `tower.pooling`, `tower.dim` and `tower.dropout` say.

    Args:
        tower: a tower's configuration.
        tokens: `(batch, length, dim)`.
        mask: bool `(batch, length)`.
        name, last: as `models.towers` says.

    Returns:
        `(batch, dim)`.
    """
    return chain(
        tokens,
        {"pool": partial(masked, mask, POOLING[tower.pooling])} | projection(tower),
        name,
        last,
    )


def masked(mask, make, name):
    """A layer as a function of one tensor, for `chain`; None: the tensor's own mask counts."""
    layer = make(name=name)
    return layer if mask is None else lambda x: layer(x, mask=mask)


def projection(tower):
    """The steps at the end of a tower: Dense where it has a `dim`, Dropout where it has one."""
    steps = {}
    if tower.dim is not None:
        steps["dense"] = partial(layers.Dense, tower.dim, activation="relu")
    if tower.dropout > 0:
        steps["dropout"] = partial(layers.Dropout, tower.dropout)
    return steps
