"""Named vectors `(batch, dim)` and presence flags -> one vector."""

from functools import partial

import keras
from keras import layers, ops

from multimodal_tf.models.chain import chain

FUSED = "fused"  # name of the layer whose output is the fused vector


@keras.saving.register_keras_serializable("multimodal_tf")
class ZeroWhereAbsent(layers.Layer):
    """Rows of an absent input become zero, whatever they hold; nothing flows back through them either.

    It stands before a tower, so that a NaN or an out-of-range token does no harm there, and behind it, so that the tower's answer to
    zeros does not count. It is a choice, not a product: 0 x NaN is NaN, in the gradient as well.

    Call:
        `x` is `(batch, ...)` of any dtype, `present` float `(batch,)`, above 0.5 where the input is there. Returns `x`'s shape and dtype.

    Example:
        >>> ZeroWhereAbsent()(ops.convert_to_tensor([[1.0], [float("nan")]]), ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [[1.0], [0.0]]
    """

    def call(self, x, present):
        there = ops.reshape(present > 0.5, (-1,) + (1,) * (len(x.shape) - 1))
        return ops.where(there, x, ops.zeros_like(x))

    def compute_output_shape(self, x_shape, present_shape):
        return x_shape


def concatenation(fusion, vectors, present):
    """The towers' vectors and the presence flags side by side, then Dense layers.

    Args:
        fusion: `config.Concatenation`.
        vectors: dict of name to `(batch, dim)`, zero where the input is absent.
        present: dict of name to float32 `(batch,)`, 1 or 0; empty if the model has no presence inputs.

    Returns:
        `(batch, dim)`, finite also where every input is absent; the output of the layer `fused`.
    """
    steps = {}
    for number, units in enumerate(fusion.hidden, start=1):
        steps[f"dense_{number}"] = partial(layers.Dense, units, activation="relu")
        if fusion.dropout > 0:
            steps[f"dropout_{number}"] = partial(layers.Dropout, fusion.dropout)
    sides = [*vectors.values(), *(layers.Reshape((1,), name=f"{name}_flag")(flag) for name, flag in present.items())]
    if len(sides) == 1:
        return chain(sides[0], steps or {"identity": layers.Identity}, FUSED, FUSED)
    joined = layers.Concatenate(name=f"{FUSED}_concatenation" if steps else FUSED)(sides)
    return chain(joined, steps, FUSED, FUSED) if steps else joined
