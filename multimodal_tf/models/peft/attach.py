"""Adds LoRA and adapters to the layers of a built model, removes them, and keeps them when saved.

A layer that bears one is its host.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import keras
from keras import layers, ops

from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.peft.layers import DENSE, Adapter, LowRank, LowRankEmbedding
from multimodal_tf.models.towers.pretrained import nearest_names

PeftLayer = LowRank | LowRankEmbedding | Adapter

# of the host: so Keras finds the weights, trains them and saves them
_ATTRIBUTE = "peft"


class Addition(NamedTuple):
    """What `add` attaches to a layer.

    Attributes:
        host: the layer.
        layer: `LowRank`, `LowRankEmbedding` or `Adapter`.
        call: the host's new `call`.
    """

    host: keras.Layer
    layer: PeftLayer
    call: Callable[..., Any]


def peft_layer(host: keras.Layer) -> PeftLayer | None:
    """The LoRA or adapter layer that was added to a layer; None if there is none."""
    added: PeftLayer | None = getattr(host, _ATTRIBUTE, None)
    return added


def hosts(model: keras.Model) -> dict[str, keras.Layer]:
    """The layers to which LoRA or an adapter was added, by path."""
    return {
        path: layer
        for path, layer in layer_paths.layers(model).items()
        if peft_layer(layer) is not None
    }


def takes_lora(layer: keras.Layer) -> bool:
    """Whether LoRA can be added to a layer of this class."""
    return isinstance(layer, layers.Embedding) or is_dense(layer)


def is_dense(layer: keras.Layer) -> bool:
    """Whether a layer's `call` is that of Keras' `Dense` or `EinsumDense`.

    That of `DenseWithPrior`, the last layer of a head, is not.
    """
    return type(layer).call in (layers.Dense.call, layers.EinsumDense.call)


def lora(layer: keras.Layer, path: str, rank: int, alpha: float, seed: int) -> Addition:
    """LoRA for a layer.

    Args:
        layer: `keras.layers.Dense`, `EinsumDense` or `Embedding`, built.
        path: of the layer, for errors.
        rank, alpha, seed: as `LowRank`.

    Returns:
        What `add` takes, so that all layers can be checked before one is changed.

    Raises:
        ValueError: it is another kind of layer, has a constraint, is quantised, or is a host
            already.
    """
    _check_free(layer, path)
    if not takes_lora(layer):
        raise ValueError(
            f"{path}: LoRA is for Dense, EinsumDense and Embedding, received {type(layer).__name__}"
        )
    is_embedding = isinstance(layer, layers.Embedding)
    constraint = layer.embeddings_constraint if is_embedding else layer.kernel_constraint
    if constraint is not None:
        raise ValueError(f"{path}: LoRA needs a layer without constraint, received one with it")
    policy = _policy(layer)
    if is_embedding:
        rows = LowRankEmbedding(layer.embeddings.shape, rank, alpha, seed, dtype=policy)
        return Addition(layer, rows, _embedding_call(layer, rows))
    equation = DENSE if isinstance(layer, layers.Dense) else layer.equation
    added = LowRank(equation, layer.kernel.shape, rank, alpha, seed, dtype=policy)
    return Addition(layer, added, _dense_call(layer, added))


def width(layer: keras.Layer, path: str) -> int:
    """The size of the last axis of a layer's output.

    Raises:
        ValueError: it cannot be known, or there are several outputs.
    """
    if isinstance(layer, layers.Dense):
        units: int = layer.units
        return units
    if isinstance(layer, layers.EinsumDense):
        _, kernel, output = layer.equation.replace("->", ",").replace(" ", "").split(",")
        sizes = dict(zip(kernel, layer.kernel.shape))
        if output[-1] in sizes:
            return int(sizes[output[-1]])
    try:
        size = layer.output.shape[-1] if "float" in layer.output.dtype else None
    except (AttributeError, ValueError):
        # it is called by an outer layer, not in a graph, or has several outputs
        size = None
    if size is None:
        raise ValueError(
            f"{path}: an adapter follows a Dense, an EinsumDense, or a layer of a functional model "
            "whose output is one tensor of floats of known width, "
            f"received {type(layer).__name__}"
        )
    return int(size)


def adapter(
    hosts: Mapping[str, keras.Layer], units: int, activation: str, seed: int
) -> list[Addition]:
    """One adapter after one layer or, shared, after several of the same width.

    Args:
        hosts: layers by path.
        units, activation, seed: as `Adapter`.

    Returns:
        What `add` takes, one for each layer.

    Raises:
        ValueError: a layer has another width or none, or is a host already.
    """
    widths = {path: width(layer, path) for path, layer in hosts.items()}
    for path, layer in hosts.items():
        _check_free(layer, path)
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"adapters.shared: layers that share an adapter must be of one width, received {widths}"
        )
    first = next(iter(hosts.values()))
    added = Adapter(next(iter(widths.values())), units, activation, seed, dtype=_policy(first))
    return [Addition(layer, added, _adapter_call(layer, added)) for layer in hosts.values()]


def add(addition: Addition) -> None:
    """Attaches what `lora` or `adapter` made to its layer."""
    host = addition.host
    # Keras has no public way to add to a built layer; its `enable_lora` does the same
    host._tracker.unlock()
    setattr(host, _ATTRIBUTE, addition.layer)
    host._tracker.lock()
    # of this layer alone; its class keeps its own `call`
    host.call = addition.call


def remove(host: keras.Layer) -> None:
    """Removes LoRA or the adapter from a layer."""
    host._tracker.untrack(peft_layer(host))
    delattr(host, _ATTRIBUTE)
    del host.call


def _check_free(layer: keras.Layer, path: str) -> None:
    added = peft_layer(layer)
    if added is not None:
        what = "an adapter" if isinstance(added, Adapter) else "LoRA"
        raise ValueError(f"{path}: must have no LoRA and no adapter yet, received one with {what}")
    if not layer.built:
        raise ValueError(f"{path}: must be built, received a layer that is not")
    if getattr(layer, "quantization_mode", None) is not None:
        raise ValueError(f"{path}: must not be quantised, received {layer.quantization_mode}")


def _policy(layer: keras.Layer) -> str:
    """The layer's compute dtype with float32 weights: small steps would be lost in 16 bits."""
    dtype: str = layer.compute_dtype
    return f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype


def _dense_call(layer: keras.Layer, added: LowRank) -> Callable[..., Any]:
    einsum = isinstance(layer, layers.EinsumDense)

    def call(x: Any, training: bool | None = None) -> Any:
        product = (
            ops.einsum(layer.equation, x, layer.kernel) if einsum else ops.matmul(x, layer.kernel)
        )
        output = ops.add(product, added(x))
        if layer.bias is not None:
            output = ops.add(output, layer.bias)
        return output if layer.activation is None else layer.activation(output)

    return call


def _embedding_call(layer: keras.Layer, added: LowRankEmbedding) -> Callable[..., Any]:
    plain = type(layer).call

    def call(ids: Any, *args: Any, **kwargs: Any) -> Any:
        # KerasHub's `reverse`, of language models
        if any(args) or any(kwargs.values()):
            raise ValueError(
                f"{layer.name}: LoRA on an embedding is for looking rows up, "
                f"received a call with {args or kwargs}"
            )
        rows = plain(layer, ids)
        output = ops.add(rows, added(ids))
        # KerasHub's embedding sets it itself
        if getattr(rows, "_keras_mask", None) is not None:
            output._keras_mask = rows._keras_mask
        return output

    return call


def _adapter_call(layer: keras.Layer, added: Adapter) -> Callable[..., Any]:
    plain = types.MethodType(type(layer).call, layer)

    def call(*args: Any, **kwargs: Any) -> Any:
        return added(plain(*args, **kwargs))

    return call


@keras.saving.register_keras_serializable("multimodal_tf")
class PeftModel(keras.Model):
    """A functional model whose configuration has its LoRA, its adapters and its trained weights.

    Keras rebuilds an inner layer from the outer one's configuration, which has none of these.
    `make_peft_model` changes a model's class to a subclass of this one and the model's own, so that
    everything else stays the same. The saved file names this class, whose `from_config` restores
    the model.
    """

    def get_config(self) -> dict[str, Any]:
        base = type(self).__bases__[1]
        own = {
            "module": base.__module__,
            "class_name": base.__name__,
            "registered_name": keras.saving.get_registered_name(base),
            "config": super().get_config(),
        }
        trained = [path for path, weight in layer_paths.weights(self).items() if weight.trainable]
        return {"base": own, "peft": describe(self), "trained": trained}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:
        model: Self = keras.saving.deserialize_keras_object(
            config["base"], custom_objects=custom_objects
        )
        attach(model, config["peft"])
        trained = set(config["trained"])
        weights = layer_paths.weights(model)
        train(model, {id(weight) for path, weight in weights.items() if path in trained})
        return model


def make_peft_model(model: keras.Model) -> None:
    """Makes a functional model save its LoRA, adapters and trained weights. Done in place."""
    if isinstance(model, PeftModel):
        return
    own = type(model)
    name = PeftModel.__name__
    subclass = type(name, (PeftModel, own), {"__module__": __name__, "__doc__": own.__doc__})
    keras.saving.register_keras_serializable("multimodal_tf", name=name)(subclass)
    model.__class__ = subclass


def describe(model: keras.Model) -> list[dict[str, Any]]:
    """The LoRA and adapters of a model, as data for JSON that `attach` takes."""
    groups: dict[int, tuple[PeftLayer, list[str]]] = {}
    for path, layer in hosts(model).items():
        added = peft_layer(layer)
        if added is not None:
            groups.setdefault(id(added), (added, []))[1].append(path)
    return [{"layers": paths, **_settings(added)} for added, paths in groups.values()]


def _settings(added: PeftLayer) -> dict[str, Any]:
    if isinstance(added, Adapter):
        return {"type": "adapter", "units": added.units, "activation": added.activation}
    return {"type": "low_rank", "rank": added.rank, "alpha": added.alpha}


def attach(model: keras.Model, described: Iterable[Mapping[str, Any]]) -> None:
    """Adds to a model what `describe` found on another.

    Raises:
        ValueError: a layer does not exist, is of another kind, or is a host already.
    """
    every = layer_paths.layers(model)
    additions: list[Addition] = []
    for one in described:
        missing = next((path for path in one["layers"] if path not in every), None)
        if missing is not None:
            raise ValueError(
                f"{missing}: must be a layer of the model, received one whose nearest layers are "
                f"{nearest_names(missing, every)}"
            )
        chosen = {path: every[path] for path in one["layers"]}
        if one["type"] == "adapter":
            additions += adapter(chosen, one["units"], one["activation"], 0)
        else:
            rank, alpha = one["rank"], one["alpha"]
            additions += [lora(layer, path, rank, alpha, 0) for path, layer in chosen.items()]
    for addition in additions:
        add(addition)
    make_peft_model(model)
    retrace(model)


def train(model: keras.Model, chosen: set[int]) -> None:
    """Makes a model train these weights and no others. Compile it afterwards.

    A layer without a trained weight runs in inference mode, which matters to batch normalisation.

    Args:
        model: a functional `keras.Model`.
        chosen: `id`s of weights.
    """
    make_peft_model(model)
    model.trainable = True
    # a layer before its inner ones, to which Keras passes the setting on
    for layer in layer_paths.layers(model).values():
        if layer.weights:
            layer.trainable = any(id(weight) in chosen for weight in layer.weights)
    for weight in trainable(model):
        weight.trainable = id(weight) in chosen
    # it was traced for other weights
    model.train_function = None


def retrace(model: keras.Model) -> None:
    """Makes Keras trace a model's functions anew, after its layers have changed."""
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)


def trainable(model: keras.Model) -> list[keras.Variable]:
    """The weights that could be trained: all but statistics."""
    every = [model, *layer_paths.layers(model).values()]
    return [weight for layer in every for weight in layer._trainable_variables]
