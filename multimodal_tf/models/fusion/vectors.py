"""What the fusions have in common: several inputs in one tensor, stand-ins, the layers at the end."""

from functools import partial

import keras
from keras import layers, ops

from multimodal_tf.models.chain import chain
from multimodal_tf.models.presence import LearnedMissingEmbedding, ZeroWhereAbsent


@keras.saving.register_keras_serializable("multimodal_tf")
class Stack(layers.Layer):
    """Several tensors of one shape as one, along a new axis behind the batch.

    Call:
        `tensors` is a list of `(batch, ...)`. Returns `(batch, len(tensors), ...)`.

    Example:
        >>> Stack()([ops.zeros((2, 4)), ops.ones((2, 4))]).shape
        TensorShape([2, 2, 4])
    """

    def call(self, tensors):
        return ops.stack(tensors, axis=1)

    def compute_output_shape(self, shapes):
        return (shapes[0][0], len(shapes), *shapes[0][1:])


@keras.saving.register_keras_serializable("multimodal_tf")
class WeightedVectorSum(layers.Layer):
    """The sum of an input's vector times its weight.

    Call:
        `x` is `(batch, inputs, dim)`, `weights` `(batch, inputs)`, or `(batch, inputs, dim)` where
        each number has its own. Returns `(batch, dim)`.

    Example:
        >>> WeightedVectorSum()(ops.convert_to_tensor([[[1.0], [3.0]]]), ops.convert_to_tensor([[0.5, 1.0]])).numpy().tolist()
        [[3.5]]
    """

    def call(self, x, weights):
        if len(weights.shape) < len(x.shape):
            weights = ops.expand_dims(weights, -1)
        return ops.sum(x * weights, axis=1)

    def compute_output_shape(self, x_shape, weights_shape):
        return (x_shape[0], x_shape[2])


def projected(fusion, encodings, present, name, activation=None):
    """The vectors, each through a Dense layer of `fusion.dim` units, in one tensor.

    Args:
        fusion: a configuration with `dim`.
        encodings: dict of name to `Encoding`.
        present: dict of name to float32 `(batch,)`; empty if all inputs count as there.
        name: str. The layers are called `{name}_{input}_projected`, `{name}_inputs` and
        `{name}_present`.
        activation: of the Dense layers.

    Returns:
        `(x, flags)`: `(batch, inputs, dim)`, zero where the input is absent, and float32 `(batch,
        inputs)`, or None without presence.
    """
    dense = partial(layers.Dense, fusion.dim, activation=activation)
    vectors = [
        dense(name=f"{name}_{own}_projected")(encoding.vector)
        for own, encoding in encodings.items()
    ]
    x, flags = Stack(name=f"{name}_inputs")(vectors), stacked_flags(encodings, present, name)
    return (x if flags is None else ZeroWhereAbsent(name=f"{name}_present")(x, flags)), flags


def stacked_flags(names, present, name):
    """The presence of the inputs `names` as float32 `(batch, inputs)`, in a layer `{name}_flags`;
    None without presence.
    """
    return (
        Stack(name=f"{name}_flags", dtype="float32")([present[own] for own in names])
        if present
        else None
    )


def with_missing_embeddings(encodings, present, name):
    """The encodings, a learned vector in place of each that is absent; it has no tokens then.

    Args:
        encodings: dict of name to `Encoding`.
        present: dict of name to float32 `(batch,)`, not empty.
        name: str. The layers are called `{name}_{input}_stand_in`.

    Returns:
        dict of name to `Encoding`.
    """
    return {
        own: encoding._replace(
            vector=LearnedMissingEmbedding(name=f"{name}_{own}_stand_in")(
                encoding.vector, present[own]
            )
        )
        for own, encoding in encodings.items()
    }


def finished(fusion, x, name):
    """Dropout and Dense layers as `fusion.dropout` and `fusion.hidden` say; the last layer is
    called `name`.
    """
    return chain(x, steps(fusion) or {"identity": layers.Identity}, name, name)


def steps(fusion):
    """The layers of `finished` for `chain`; an empty dict if there are none."""
    steps = {"dropout_0": partial(layers.Dropout, fusion.dropout)} if fusion.dropout > 0 else {}
    for number, units in enumerate(fusion.hidden, start=1):
        steps[f"dense_{number}"] = partial(layers.Dense, units, activation="relu")
        if fusion.dropout > 0:
            steps[f"dropout_{number}"] = partial(layers.Dropout, fusion.dropout)
    return steps
