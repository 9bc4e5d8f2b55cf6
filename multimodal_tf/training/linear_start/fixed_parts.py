"""Which numbers of a vector no training changes: frozen towers, fixed features."""

from typing import NamedTuple

import keras
from keras import layers

from multimodal_tf.models.presence import ZeroWhereMissing


class Part(NamedTuple):
    """A piece of a vector: its Keras tensor `(batch, width)`, and its first column there."""

    tensor: keras.KerasTensor
    start: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.tensor.shape[-1])


def fixed_parts(x: keras.KerasTensor, start: int = 0) -> list[Part]:
    """The pieces of `x` that no trainable weight has a part in.

    Args:
        x: `(batch, width)`, of a functional model. Pieces are found through concatenations,
            dropout and the zeros of missing inputs.
        start: column of `x` in the whole vector.

    Returns:
        list of `Part`, in the order of their columns.

    Example:
        >>> words, photo = keras.Input((3,)), keras.Input((4,))
        >>> both = layers.Concatenate()([layers.Dense(2)(photo), words])
        >>> [(part.start, part.width) for part in fixed_parts(both)]
        [(2, 3)]
    """
    if not _trained(x):
        return [Part(x, start)]
    operation, node, _ = x._keras_history
    before = operation._inbound_nodes[node].input_tensors
    match operation:
        case layers.Concatenate():
            parts: list[Part] = []
            for one in before:
                parts += fixed_parts(one, start)
                start += int(one.shape[-1])
            return parts
        case layers.Dropout() | layers.Identity():
            return fixed_parts(before[0], start)
        case ZeroWhereMissing():
            value, present = before
            return [
                Part(ZeroWhereMissing(dtype="float32")(part.tensor, present), part.start)
                for part in fixed_parts(value, start)
            ]
        case _:
            return []


def _trained(x: keras.KerasTensor) -> bool:
    inputs = keras.utils.get_source_inputs(x)
    return bool(keras.Model(inputs, x).trainable_weights)
