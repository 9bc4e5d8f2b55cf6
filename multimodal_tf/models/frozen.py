"""The frozen beginning of a model: what nothing trains and nothing changes at random.

Of each input, that is a function of the cell alone. Computed once for each cell, its outputs can
stand for the input in every epoch; `FrozenBeginning.run` computes the rest of the same layers.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from multimodal_tf.config import PRESENT
from multimodal_tf.models.presence import ModalityDropout, NetworkLayer
from multimodal_tf.models.towers.backbone import BackbonePart

Tensors = dict[str, Any]

# what a layer's configuration holds that its outputs in inference do not depend on
_WITHOUT_EFFECT = re.compile(
    r"name|trainable|seed|registered_name|build_config|.*_(initializer|regularizer|constraint)"
)
# Keras numbers the layers of a process
_NUMBER = re.compile(r"_\d+\b")


class _Source(NamedTuple):
    """What a tensor of the graph depends on, if that is one input and nothing trained or random.

    Attributes:
        name: the input's.
        value: whether it depends on the input's value, and not on its presence flag alone.
        heavy: whether a layer with weights is before it.
        flag: the Keras tensor of the flag after modality dropout, if it depends on that.
    """

    name: str
    value: bool = False
    heavy: bool = False
    flag: keras.KerasTensor | None = None


class FrozenInput:
    """The frozen beginning of one input.

    Attributes:
        name: the input's.
        outputs: its Keras tensors `(batch, ...)` by key, `{name}/0` and so on.
        digest: of its layers, in hexadecimal: the same for the same function of the input.
    """

    def __init__(self, model: keras.Model, name: str, outputs: list[keras.KerasTensor]) -> None:
        self.name = name
        self.outputs = {f"{name}/{index}": tensor for index, tensor in enumerate(outputs)}
        inputs = {name: model.input[name]}
        if name + PRESENT in model.input:
            inputs[name + PRESENT] = model.input[name + PRESENT]
        self._inputs = inputs
        known = {id(tensor) for tensor in inputs.values()}
        self._nodes = _needed(_nodes(model), outputs, known)
        self._compute = tf.function(self._run, reduce_retracing=True, autograph=False)

    @property
    def digest(self) -> str:
        """Computed in each call, since weights may change."""
        found, order = hashlib.sha256(), {id(one): key for key, one in self._inputs.items()}
        for number, node in enumerate(self._nodes):
            read = [order[id(tensor)] for tensor in node.input_tensors]
            order |= {id(one): f"{number}:{i}" for i, one in enumerate(node.outputs)}
            operation = node.operation
            settings = _settings(keras.saving.serialize_keras_object(operation))
            found.update(json.dumps([read, settings], sort_keys=True, default=repr).encode())
            for weight in getattr(operation, "weights", ()):
                value = ops.convert_to_numpy(weight)
                found.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
        found.update(json.dumps([order[id(one)] for one in self.outputs.values()]).encode())
        return found.hexdigest()

    def __call__(self, inputs: Tensors) -> Tensors:
        """The outputs by key for a batch of model inputs: the value and, if any, its flag."""
        outputs: Tensors = self._compute({key: inputs[key] for key in self._inputs})
        return outputs

    def _run(self, inputs: Tensors) -> Tensors:
        values = {id(one): inputs[key] for key, one in self._inputs.items()}
        _compute(self._nodes, values, training=False)
        return {key: values[id(one)] for key, one in self.outputs.items()}


class FrozenBeginning:
    """The frozen beginnings of a model's inputs.

    Args:
        model: a functional `keras.Model`, as its layers are trained now. Without a dict of inputs
            nothing of it is taken for frozen.

    Attributes:
        inputs: by name, for inputs with one in which a layer has weights.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        by_name = isinstance(model.input, dict)
        self._sources = _sources(model) if by_name else {}
        cuts = _cuts(model, self._sources) if by_name else {}
        self.inputs = {name: FrozenInput(model, name, cut) for name, cut in cuts.items()}
        self._missing: Tensors = {}

    def start_after(self, missing: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes the outputs of these inputs from batches that hold them, from now on.

        Args:
            missing: by input, its outputs `(...)` by key where it is missing. An input that
                modality dropout drops has them.
        """
        self._missing = {key: value for one in missing.values() for key, value in one.items()}

    def is_in(self, x: Any) -> bool:
        """Whether a batch holds these outputs."""
        return isinstance(x, Mapping) and any(key in x for key in self._missing)

    def run(self, x: Tensors, model: keras.Model, training: bool) -> Any:
        """The outputs of a model for a batch with the outputs of frozen beginnings.

        Args:
            x: by name the model's inputs; by key the outputs of frozen beginnings, which stand for
                some of them.
            model: the model itself, or one with its layers and inputs.
        """
        values = {id(one): x[name] for name, one in self._model.input.items() if name in x}
        nodes = _nodes(model)
        dropouts = [node for node in nodes if isinstance(node.operation, ModalityDropout)]
        _compute([one for one in dropouts if _computable(one, values)], values, training)
        for frozen in self.inputs.values():
            for key, tensor in frozen.outputs.items():
                if key not in x:
                    continue
                value, source = ops.cast(x[key], tensor.dtype), self._sources[id(tensor)]
                if source is not None and source.flag is not None:
                    value = self._dropped(key, value, values[id(source.flag)])
                values[id(tensor)] = value
        _compute(_needed(nodes, model.outputs, set(values)), values, training)
        return keras.tree.map_structure(lambda tensor: values[id(tensor)], model.output)

    def _dropped(self, key: str, value: Any, flag: Any) -> Any:
        """The value where the flag is 1, else that of a missing input."""
        keep = ops.reshape(flag > 0.5, (-1,) + (1,) * (len(value.shape) - 1))
        return ops.where(keep, value, ops.cast(self._missing[key], value.dtype))


def _nodes(model: keras.Model) -> list[Any]:
    """The calls of layers and operations in a model, each after those that it depends on."""
    by_depth = model._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if node.operation and not node.is_input
    ]


def _needed(nodes: list[Any], wanted: Iterable[keras.KerasTensor], known: set[int]) -> list[Any]:
    """The nodes that lead from known tensors to those that are wanted."""
    open_, needed = {id(tensor) for tensor in wanted} - known, []
    for node in reversed(nodes):
        if any(id(tensor) in open_ for tensor in node.outputs):
            needed.append(node)
            open_ |= {id(tensor) for tensor in node.input_tensors} - known
    return needed[::-1]


def _computable(node: Any, values: Mapping[int, Any]) -> bool:
    return all(id(tensor) in values for tensor in node.input_tensors)


def _compute(nodes: Iterable[Any], values: dict[int, Any], training: bool) -> None:
    """Adds the outputs of nodes to the values of tensors, by `id`."""
    for node in nodes:
        args, kwargs = node.arguments.fill_in(values)
        operation = node.operation
        if "training" in getattr(operation, "_call_context_args", {}):
            # as in Keras' own models, also for a layer that was called with another
            kwargs["training"] = training
        outputs = keras.tree.flatten(operation(*args, **kwargs))
        values.update((id(tensor), value) for tensor, value in zip(node.outputs, outputs))


def _sources(model: keras.Model) -> dict[int, _Source | None]:
    """By the `id` of each tensor: what it depends on; None: several inputs, trained, or random."""
    found: dict[int, _Source | None] = {}
    for name, tensor in model.input.items():
        of_flag = name.endswith(PRESENT) and name.removesuffix(PRESENT) in model.input
        found[id(tensor)] = _Source(name.removesuffix(PRESENT) if of_flag else name, not of_flag)
    for node in _nodes(model):
        source = _joined([found[id(tensor)] for tensor in node.input_tensors])
        operation = node.operation
        if source is not None and isinstance(operation, ModalityDropout):
            source = source._replace(flag=node.outputs[0])
        elif source is not None and not _is_fixed(operation):
            source = None
        elif source is not None and getattr(operation, "weights", None):
            source = source._replace(heavy=True)
        found |= {id(tensor): source for tensor in node.outputs}
    return found


def _joined(sources: list[_Source | None]) -> _Source | None:
    known = [one for one in sources if one is not None]
    if len(known) < len(sources) or len({one.name for one in known}) != 1:
        return None
    return _Source(
        known[0].name,
        any(one.value for one in known),
        any(one.heavy for one in known),
        next((one.flag for one in known if one.flag is not None), None),
    )


def _is_fixed(operation: Any) -> bool:
    """Whether a layer computes in training what it computes in prediction."""
    if not isinstance(operation, keras.Layer):
        return True
    if operation.trainable_weights:
        return False
    if isinstance(operation, NetworkLayer | BackbonePart) and not operation.network.trainable:
        return True
    return not any(_is_random(layer) or _adapts(layer) for layer in operation._flatten_layers())


def _is_random(layer: keras.Layer) -> bool:
    return bool(layer._seed_generators)


def _adapts(layer: keras.Layer) -> bool:
    """Whether it may change its statistics in training."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return bool(layer.trainable)
    known = isinstance(layer, keras.layers.Normalization)
    return bool(layer._non_trainable_variables) and not known


def _cuts(
    model: keras.Model, sources: Mapping[int, _Source | None]
) -> dict[str, list[keras.KerasTensor]]:
    """By input, the last tensors of its frozen beginning, which the rest of the model reads."""
    read: dict[int, keras.KerasTensor] = {}
    for node in _nodes(model):
        if all(sources[id(tensor)] is None for tensor in node.outputs):
            read |= {id(tensor): tensor for tensor in node.input_tensors}
    read |= {id(tensor): tensor for tensor in model.outputs}
    found: dict[str, list[keras.KerasTensor]] = {}
    for tensor in read.values():
        source = sources[id(tensor)]
        if source is not None and source.value:
            tensor = _before_cheap_steps(tensor, sources)
            cuts = found.setdefault(source.name, [])
            if all(tensor is not one for one in cuts):
                cuts.append(tensor)
    return {name: cuts for name, cuts in found.items() if _pays(model, name, cuts, sources)}


def _before_cheap_steps(
    tensor: keras.KerasTensor, sources: Mapping[int, _Source | None]
) -> keras.KerasTensor:
    """The tensor before steps without weights that keep its size.

    Models whose towers end in different ones then share what is kept.
    """
    while True:
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        known = [(one, sources.get(id(one))) for one in node.input_tensors]
        read = [one for one, source in known if source is not None and source.value]
        if getattr(history.operation, "weights", None) or len(read) != 1:
            return tensor
        before, source = read[0], sources[id(read[0])]
        same_size = math.prod(_row(before)) == math.prod(_row(tensor))
        if source is None or not source.heavy or not same_size:
            return tensor
        tensor = before


def _row(tensor: keras.KerasTensor) -> tuple[int, ...]:
    """The shape of a row; -1: a size that is not known."""
    return tuple(-1 if size is None else size for size in tensor.shape[1:])


def _pays(
    model: keras.Model,
    name: str,
    cuts: list[keras.KerasTensor],
    sources: Mapping[int, _Source | None],
) -> bool:
    """Whether it saves work to keep these tensors of an input."""
    of_weights, others = 0, 0
    for tensor in cuts:
        # the rest reads the input itself, or a mask of Keras, which is no tensor of the graph
        if tensor is model.input[name] or getattr(tensor, "_keras_mask", None) is not None:
            return False
        if -1 in _row(tensor):
            return False
        size, source = math.prod(_row(tensor)), sources[id(tensor)]
        if source is not None and source.heavy:
            of_weights += size
        else:
            others += size
    return others <= of_weights


def _settings(config: Any) -> Any:
    """A layer's configuration, without what its outputs do not depend on."""
    if isinstance(config, Mapping):
        return {
            str(key): _settings(value)
            for key, value in config.items()
            if not _WITHOUT_EFFECT.fullmatch(str(key))
        }
    if isinstance(config, list | tuple):
        return [_settings(value) for value in config]
    return _NUMBER.sub("", config) if isinstance(config, str) else config
