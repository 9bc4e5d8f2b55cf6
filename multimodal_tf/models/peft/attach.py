"""Puts grafts onto the layers of a finished model, takes them off, and sees to it that a saved
model has them again.
"""

import types

import keras
from keras import layers, ops

from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.peft.layers import DENSE, Adapter, LowRank, LowRankRows

# of the layer that bears one: so Keras finds the weights, trains them and saves them
_ATTRIBUTE = "graft"


def graft(layer):
    """What was grafted onto a layer: `LowRank`, `LowRankRows` or `Adapter`; None where nothing was."""
    return getattr(layer, _ATTRIBUTE, None)


def grafted(model):
    """The layers that bear a graft, by path."""
    return {
        path: layer for path, layer in layer_paths.layers(model).items() if graft(layer) is not None
    }


def takes_low_rank(layer):
    """Whether LoRA knows this kind of layer."""
    return isinstance(layer, layers.Embedding) or is_dense(layer)


def is_dense(layer):
    """Whether a layer answers as Keras' `Dense` or `EinsumDense` does; `DenseWithPrior`, the end of
    a head, does more.
    """
    return type(layer).call in (layers.Dense.call, layers.EinsumDense.call)


def low_rank(layer, path, rank, alpha, seed):
    """LoRA for a layer.

    Args:
        layer: `keras.layers.Dense`, `EinsumDense` or `Embedding`, built.
        path: str. Its path, for errors.
        rank, alpha, seed: as `LowRank`.

    Returns:
        What `put` takes, so that nothing is changed before all layers are known to be fit.

    Raises:
        ValueError: it is another kind of layer, constrained, quantised, or bears a graft.
    """
    _check_free(layer, path)
    if not takes_low_rank(layer):
        raise ValueError(
            f"{path}: LoRA is for Dense, EinsumDense and Embedding, received {type(layer).__name__}"
        )
    table = isinstance(layer, layers.Embedding)
    if (layer.embeddings_constraint if table else layer.kernel_constraint) is not None:
        raise ValueError(f"{path}: LoRA needs a layer without constraint, received one with it")
    policy = _policy(layer)
    if table:
        added, call = (
            LowRankRows(layer.embeddings.shape, rank, alpha, seed, dtype=policy),
            _embedding,
        )
    else:
        equation = DENSE if isinstance(layer, layers.Dense) else layer.equation
        added, call = LowRank(equation, layer.kernel.shape, rank, alpha, seed, dtype=policy), _dense
    return layer, added, call(layer, added)


def width(layer, path):
    """The size of the last axis of what a layer answers.

    Raises:
        ValueError: it cannot be known, or is not one tensor's.
    """
    if isinstance(layer, layers.Dense):
        return layer.units
    if isinstance(layer, layers.EinsumDense):
        _, kernel, answer = layer.equation.replace("->", ",").replace(" ", "").split(",")
        sizes = dict(zip(kernel, layer.kernel.shape))
        if answer[-1] in sizes:
            return sizes[answer[-1]]
    try:
        size = layer.output.shape[-1] if "float" in layer.output.dtype else None
    except (AttributeError, ValueError):
        # it is called by a layer around it, not in a graph, or answers several tensors
        size = None
    if size is None:
        raise ValueError(
            f"{path}: an adapter stands behind a Dense, an EinsumDense, or a layer of a functional model that answers one tensor of floats "
            f"of known width, received {type(layer).__name__}"
        )
    return size


def adapter(hosts, units, activation, seed):
    """One adapter behind one layer or, shared, behind several of the same width.

    Args:
        hosts: dict of path to layer.
        units, activation, seed: as `Adapter`.

    Returns:
        A list of what `put` takes.

    Raises:
        ValueError: a layer has another width or none, or bears a graft.
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
    return [(layer, added, _behind(layer, added)) for layer in hosts.values()]


def put(layer, added, call):
    """Grafts what `low_rank` or `adapter` made onto its layer."""
    # Keras has no public way to add to a layer that is built; its `enable_lora` does it like this
    # too
    layer._tracker.unlock()
    setattr(layer, _ATTRIBUTE, added)
    layer._tracker.lock()
    # of this layer alone; its class and its `call` stay as they are
    layer.call = call


def remove(layer):
    """Takes the graft off."""
    layer._tracker.untrack(graft(layer))
    delattr(layer, _ATTRIBUTE)
    del layer.call


def _check_free(layer, path):
    if graft(layer) is not None:
        borne = "an adapter" if isinstance(graft(layer), Adapter) else "LoRA"
        raise ValueError(f"{path}: must bear no LoRA and no adapter yet, received one with {borne}")
    if not layer.built:
        raise ValueError(f"{path}: must be built, received a layer that is not")
    if getattr(layer, "quantization_mode", None) is not None:
        raise ValueError(f"{path}: must not be quantised, received {layer.quantization_mode}")


def _policy(layer):
    """Computes as the layer does, but keeps float32 weights, since a small step would be lost in 16
    bits.
    """
    dtype = layer.compute_dtype
    return f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype


def _dense(layer, added):
    einsum = isinstance(layer, layers.EinsumDense)

    def call(x, training=None):
        product = (
            ops.einsum(layer.equation, x, layer.kernel) if einsum else ops.matmul(x, layer.kernel)
        )
        answer = ops.add(product, added(x))
        if layer.bias is not None:
            answer = ops.add(answer, layer.bias)
        return answer if layer.activation is None else layer.activation(answer)

    return call


def _embedding(layer, added):
    plain = type(layer).call

    def call(ids, *args, **kwargs):
        # KerasHub's `reverse`, of language models
        if any(args) or any(kwargs.values()):
            raise ValueError(
                f"{layer.name}: LoRA on an embedding is for looking rows up, received a call with {args or kwargs}"
            )
        rows = plain(layer, ids)
        answer = ops.add(rows, added(ids))
        # KerasHub's embedding sets it itself
        if getattr(rows, "_keras_mask", None) is not None:
            answer._keras_mask = rows._keras_mask
        return answer

    return call


def _behind(layer, added):
    plain = types.MethodType(type(layer).call, layer)

    def call(*args, **kwargs):
        return added(plain(*args, **kwargs))

    return call


@keras.saving.register_keras_serializable("multimodal_tf")
class Grafted(keras.Model):
    """A functional model that says in its configuration what was grafted onto it and what of it is
    trained.

    Keras makes a layer within a layer anew from the outer one's configuration, which knows neither.
    `remember` makes a model one, of a class between this one and the model's own, so that all else
    stays. Its file names this class, whose `from_config` gives it back.
    """

    def get_config(self):
        base = type(self).__bases__[1]
        described = {
            "module": base.__module__,
            "class_name": base.__name__,
            "registered_name": keras.saving.get_registered_name(base),
            "config": super().get_config(),
        }
        trained = [path for path, weight in layer_paths.weights(self).items() if weight.trainable]
        return {"base": described, "grafts": describe(self), "trained": trained}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["base"], custom_objects=custom_objects)
        attach(model, config["grafts"])
        trained = set(config["trained"])
        train(
            model,
            {id(weight) for path, weight in layer_paths.weights(model).items() if path in trained},
        )
        return model


def remember(model):
    """Makes a functional model remember its grafts and what is trained, when it is saved. Does so
    in place.
    """
    if isinstance(model, Grafted):
        return
    own = type(model)
    kind = type("Grafted", (Grafted, own), {"__module__": __name__, "__doc__": own.__doc__})
    keras.saving.register_keras_serializable("multimodal_tf", name="Grafted")(kind)
    model.__class__ = kind


def describe(model):
    """The grafts of a model: a list of dicts that `attach` takes; JSON can hold it."""
    groups: dict = {}
    for path, layer in grafted(model).items():
        groups.setdefault(id(graft(layer)), (graft(layer), []))[1].append(path)
    return [{"layers": hosts, **_settings(added)} for added, hosts in groups.values()]


def _settings(added):
    if isinstance(added, Adapter):
        return {"type": "adapter", "units": added.units, "activation": added.activation}
    return {"type": "low_rank", "rank": added.rank, "alpha": added.alpha}


def attach(model, described):
    """Grafts onto a model what `describe` found on another.

    Raises:
        ValueError: a layer is not there, is of another kind, or bears a graft.
    """
    every = layer_paths.layers(model)
    for one in described:
        missing = next((path for path in one["layers"] if path not in every), None)
        if missing is not None:
            raise ValueError(
                f"{missing}: must be a layer of the model, received one whose nearest layers are {layer_paths.nearest_names(missing, every)}"
            )
    ready: list = []
    for one in described:
        hosts = {path: every[path] for path in one["layers"]}
        if one["type"] == "adapter":
            ready += adapter(hosts, one["units"], one["activation"], 0)
        else:
            ready += [
                low_rank(layer, path, one["rank"], one["alpha"], 0) for path, layer in hosts.items()
            ]
    for one in ready:
        put(*one)
    remember(model)
    retrace(model)


def train(model, chosen):
    """Makes a model train these weights and no others. Compile it afterwards.

    A layer without a trained weight runs as in inference, if that makes a difference to it, as to
    batch normalisation.

    Args:
        model: a functional `keras.Model`.
        chosen: set of `id` of weights.
    """
    remember(model)
    model.trainable = True
    # one before those in it, to which Keras passes it on
    for layer in layer_paths.layers(model).values():
        if layer.weights:
            layer.trainable = any(id(weight) in chosen for weight in layer.weights)
    for weight in trainable(model):
        weight.trainable = id(weight) in chosen
    # it was traced for other weights
    model.train_function = None


def retrace(model):
    """Lets Keras make its functions of a model anew, which were traced with its layers as they
    were.
    """
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)


def trainable(model):
    """The weights that could be trained: all but statistics."""
    every = [model, *layer_paths.layers(model).values()]
    return [weight for layer in every for weight in layer._trainable_variables]
