"""What the fusions share: several inputs in one tensor, missing embeddings, the last layers."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import FeatureFusion
from multimodal_tf.models.chain import Shape, Steps, chain
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.presence import LearnedMissingEmbedding, ZeroWhereMissing
from multimodal_tf.models.towers.encoding import Encoding

# by input: its encoding, and float32 `(batch,)` flags, empty if all inputs count as present
Encodings = Mapping[str, Encoding]
Present = Mapping[str, keras.KerasTensor]


@keras.saving.register_keras_serializable("multimodal_tf")
class Stack(Layer):
    """Several tensors of one shape as one, along a new axis after the batch.

    Call:
        `tensors` is a list of `(batch, ...)`. Returns `(batch, len(tensors), ...)`.

    Example:
        >>> Stack()([ops.zeros((2, 4)), ops.ones((2, 4))]).shape
        TensorShape([2, 2, 4])
    """

    def call(self, tensors: list[Any]) -> Any:
        return ops.stack(tensors, axis=1)

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        return (shapes[0][0], len(shapes), *shapes[0][1:])


@keras.saving.register_keras_serializable("multimodal_tf")
class WeightedVectorSum(Layer):
    """The sum of the inputs' vectors, each times its weight.

    Call:
        `x` is `(batch, inputs, dim)`, `weights` `(batch, inputs)`, or `(batch, inputs, dim)` where
        each number has its own. Returns `(batch, dim)`.

    Example:
        >>> x, weights = ops.array([[[1.0], [3.0]]]), ops.array([[0.5, 1.0]])
        >>> WeightedVectorSum()(x, weights).numpy().tolist()
        [[3.5]]
    """

    def call(self, x: Any, weights: Any) -> Any:
        if len(weights.shape) < len(x.shape):
            weights = ops.expand_dims(weights, -1)
        return ops.sum(x * weights, axis=1)

    def compute_output_shape(self, x_shape: Shape, weights_shape: Shape) -> Shape:
        return (x_shape[0], x_shape[2])


def projected(
    dim: int, encodings: Encodings, present: Present, name: str, activation: str | None = None
) -> tuple[keras.KerasTensor, keras.KerasTensor | None]:
    """The vectors, each through a Dense layer of its own, in one tensor.

    Args:
        dim: units of the Dense layers.
        encodings: by input.
        present: by input; see `fuse`.
        name: the layers are called `{name}_{input}_projected`, `{name}_inputs` and
            `{name}_present`.
        activation: of the Dense layers.

    Returns:
        `(x, flags)`: `(batch, inputs, dim)`, zero where the input is missing, and float32 `(batch,
        inputs)`, or None without presence.
    """
    dense = partial(layers.Dense, dim, activation=activation)
    vectors = [
        dense(name=f"{name}_{own}_projected")(encoding.vector)
        for own, encoding in encodings.items()
    ]
    x, flags = Stack(name=f"{name}_inputs")(vectors), stacked_flags(encodings, present, name)
    return (x if flags is None else ZeroWhereMissing(name=f"{name}_present")(x, flags)), flags


def stacked_flags(names: Iterable[str], present: Present, name: str) -> keras.KerasTensor | None:
    """The presence of the inputs `names` as float32 `(batch, inputs)`; None without presence.

    The layer is called `{name}_flags`.
    """
    if not present:
        return None
    return Stack(name=f"{name}_flags", dtype="float32")([present[own] for own in names])


def with_missing_embeddings(
    encodings: Encodings, present: Present, name: str
) -> dict[str, Encoding]:
    """The encodings, with a learned vector for each missing input, which has no tokens then.

    Args:
        encodings: by input.
        present: by input; not empty.
        name: the layers are called `{name}_{input}_missing_vector`.
    """
    return {
        own: encoding._replace(
            vector=LearnedMissingEmbedding(name=f"{name}_{own}_missing_vector")(
                encoding.vector, present[own]
            )
        )
        for own, encoding in encodings.items()
    }


def side_by_side(tensors: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Tensors along their last axis; one alone is returned without a layer."""
    return layers.Concatenate(name=name)(tensors) if len(tensors) > 1 else tensors[0]


def beside_wide(
    x: keras.KerasTensor, wide: Iterable[keras.KerasTensor | None], name: str
) -> keras.KerasTensor:
    """A vector and the fixed features of inputs, `Encoding.wide`; the vector alone without any.

    The features get no dropout: their weights are solved with L2 before training.

    Args:
        x: `(batch, dim)`.
        wide: by input, `(batch, width)` or None.
        name: of the layer that joins them.
    """
    fixed = [one for one in wide if one is not None]
    if not fixed:
        return x
    joined = side_by_side(fixed, f"{name}_features")
    return layers.Concatenate(name=name, dtype="float32")([x, joined])


def last_layers(fusion: FeatureFusion, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Dropout and Dense layers as `fusion` says; the last layer is called `name`."""
    return chain(x, steps(fusion) or {"identity": layers.Identity}, name, name)


def steps(fusion: FeatureFusion) -> Steps:
    """The layers of `last_layers` for `chain`; empty if there are none."""
    found: dict[str, Any] = {}
    if fusion.dropout > 0:
        found["dropout_0"] = partial(layers.Dropout, fusion.dropout)
    for number, units in enumerate(fusion.hidden, start=1):
        found[f"dense_{number}"] = partial(layers.Dense, units, activation="relu")
        if fusion.dropout > 0:
            found[f"dropout_{number}"] = partial(layers.Dropout, fusion.dropout)
    return found
