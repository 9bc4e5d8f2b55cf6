"""Named layers one after another, and the types that layers are annotated with."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

# of a tensor, the batch first; None: any size
Shape: TypeAlias = tuple[int | None, ...]
# by step, a function of `name` that makes a layer or another function of one tensor
Steps: TypeAlias = dict[str, Callable[..., Any]]


def chain(x: keras.KerasTensor, steps: Steps, name: str, last: str | None) -> keras.KerasTensor:
    """Calls layers one after another.

    The layers are given as functions, because Keras fixes a layer's name when it is made, and the
    name depends on whether the layer is the last one.

    Args:
        x: Keras tensor.
        steps: by step, a function of `name` that makes the layer; not empty.
        name: a step's layer is called `{name}_{step}`...
        last: ...but the last one is called this, unless it is None.

    Returns:
        Keras tensor, the output of the last layer.

    Example:
        >>> import functools
        >>> dense = functools.partial(keras.layers.Dense, 8)
        >>> steps = {"first": dense, "second": dense}
        >>> chain(keras.Input((4,)), steps, "price", "price_embedding").shape
        (None, 8)
    """
    *_, final = steps
    for step, make in steps.items():
        x = make(name=last if last is not None and step == final else f"{name}_{step}")(x)
    return x
