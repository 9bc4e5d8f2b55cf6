"""L2 penalties on the layers between two points of a Keras graph."""

from collections.abc import Iterable, Iterator

import keras


def regularize(
    x: keras.KerasTensor, outputs: Iterable[keras.KerasTensor | None], l2: float
) -> None:
    """Adds `l2` times the sum of squares of kernels and embeddings to the loss.

    The regularizer is also set on the layer, so that a saved model keeps it. A weight that has one
    already keeps it.

    Args:
        x: input of the first layers that are regularized.
        outputs: outputs of the last ones; None is skipped.
        l2: factor, 0 or more; 0: nothing is added.

    Example:
        >>> x = keras.Input((2,))
        >>> y = keras.layers.Dense(3, kernel_initializer="ones")(x)
        >>> regularize(x, [y], 0.5)
        >>> model = keras.Model(x, y)
        >>> [float(loss) for loss in model.losses]
        [3.0]
    """
    if l2 == 0:
        return
    for output in outputs:
        if output is None:
            continue
        before = {id(layer) for layer in _layers_up_to(x)}
        for layer in _layers_up_to(output):
            if id(layer) not in before:
                _add(layer, l2)


def _layers_up_to(tensor: keras.KerasTensor) -> list[keras.Layer]:
    inputs = keras.utils.get_source_inputs(tensor)
    layers: list[keras.Layer] = keras.Model(inputs, tensor).layers
    return layers


def _add(layer: keras.Layer, l2: float) -> None:
    for inner in layer._flatten_layers():
        # an LSTM's kernel is its cell's
        for name in _regularized(inner):
            regularizer = keras.regularizers.L2(l2)
            getattr(inner, name).regularizer = regularizer
            setattr(inner, f"{name}_regularizer", regularizer)


def _regularized(layer: keras.Layer) -> Iterator[str]:
    for name in ("kernel", "embeddings"):
        if hasattr(layer, name) and getattr(layer, f"{name}_regularizer", None) is None:
            yield name
