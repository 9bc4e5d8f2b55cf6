"""Which numbers of a vector no training changes: frozen towers, fixed features."""

from typing import NamedTuple

import keras
from keras import layers

from multimodal_tf.models.presence import ZeroWhereMissing


class Columns(NamedTuple):
    """Columns of a vector, side by side."""

    start: int
    width: int


def fixed_columns(x: keras.KerasTensor, start: int = 0) -> list[Columns]:
    """The columns of `x` that no trainable weight has a part in.

    Args:
        x: `(batch, width)`, of a functional model. They are found through concatenations, dropout
            and the zeros of missing inputs.
        start: column of `x` in the whole vector.

    Returns:
        list of `Columns`, in order; those that are concatenated apart.

    Example:
        >>> words, photo = keras.Input((3,)), keras.Input((4,))
        >>> both = layers.Concatenate()([layers.Dense(2)(photo), words])
        >>> fixed_columns(both)
        [Columns(start=2, width=3)]
    """
    operation, node, _ = x._keras_history
    before = operation._inbound_nodes[node].input_tensors
    match operation:
        case layers.Concatenate():
            found: list[Columns] = []
            for one in before:
                found += fixed_columns(one, start)
                start += int(one.shape[-1])
            return found
        case layers.Dropout() | layers.Identity() | ZeroWhereMissing():
            return fixed_columns(before[0], start)
        case _:
            return [] if _trained(x) else [Columns(start, int(x.shape[-1]))]


def _trained(x: keras.KerasTensor) -> bool:
    inputs = keras.utils.get_source_inputs(x)
    return bool(keras.Model(inputs, x).trainable_weights)
