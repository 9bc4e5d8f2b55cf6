"""Named tensors of a model's graph besides its predictions, which a saved model keeps.

Keras saves the layers between a model's inputs and outputs. `locate` describes other tensors by
these layers, as data that the model's configuration can hold. `tensors` finds them again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras


class Derived(NamedTuple):
    """The output of a layer that the model itself does not need.

    It is computed on demand, so that it costs nothing in training and prediction.

    Attributes:
        layer: the layer, without weights.
        args: what it is called with: Keras tensors, or lists of such.
    """

    layer: keras.Layer
    args: tuple[Any, ...]


Outputs = Mapping[str, keras.KerasTensor | Derived]


def locate(model: keras.Model, outputs: Outputs) -> dict[str, Any]:
    """Describes tensors by the model's layers.

    Args:
        model: a functional model.
        outputs: tensors of its graph, by name. Those that its outputs do not depend on are left
            out.

    Returns:
        Data for JSON, by name: `LAYER:INDEX`, the index among the layer's outputs, or for a
        `Derived` its layer's configuration and such references.
    """
    references = {
        id(tensor): f"{layer.name}:{index}"
        for layer in model.layers
        for index, tensor in enumerate(keras.tree.flatten(layer.output))
    }
    located: dict[str, Any] = {}
    for name, output in outputs.items():
        args = output.args if isinstance(output, Derived) else (output,)
        if any(id(tensor) not in references for tensor in keras.tree.flatten(args)):
            continue
        found = keras.tree.map_structure(lambda tensor: references[id(tensor)], list(args))
        if isinstance(output, Derived):
            layer = keras.saving.serialize_keras_object(output.layer)
            located[name] = {"layer": layer, "args": found}
        else:
            located[name] = found[0]
    return located


def tensors(model: keras.Model, located: Mapping[str, Any]) -> dict[str, keras.KerasTensor]:
    """The Keras tensors that `locate` described, also of a model that was loaded or cloned.

    Example:
        >>> x = keras.Input((2,))
        >>> hidden = keras.layers.Dense(3, name="hidden")(x)
        >>> model = keras.Model(x, keras.layers.Dense(1)(hidden))
        >>> located = locate(model, {"vector": hidden})
        >>> located, tensors(model, located)["vector"] is hidden
        ({'vector': 'hidden:0'}, True)
    """

    def find(reference: str) -> keras.KerasTensor:
        layer, index = reference.rsplit(":", 1)
        return keras.tree.flatten(model.get_layer(layer).output)[int(index)]

    found = {}
    for name, one in located.items():
        if isinstance(one, str):
            found[name] = find(one)
        else:
            layer = keras.saving.deserialize_keras_object(one["layer"])
            found[name] = layer(*keras.tree.map_structure(find, one["args"]))
    return found
