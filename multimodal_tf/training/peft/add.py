"""LoRA and adapters: adds a few new weights to a model, and merges them into its own."""

import zlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import layers

from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.models.peft.attach import Addition
from multimodal_tf.models.peft.layers import Adapter
from multimodal_tf.models.presence import ZeroWhereMissing
from multimodal_tf.training.peft.freeze import ids, trained_ids


def add_lora(model: keras.Model, *patterns: str, rank: int = 8, alpha: float | None = None) -> None:
    """Adds LoRA to layers, and freezes the layers themselves. Compile the model afterwards.

    Other layers stay as they are; call `train_head_only(model)` before to freeze all but the heads.

    Args:
        model: a functional `keras.Model`; changed in place. Its outputs stay the same until it is
            trained.
        patterns: over paths of layers (`models.peft.layer_paths.layers`). LoRA is added to all
            Dense, EinsumDense and Embedding that match or are within a layer that matches, except
            a head's output layer, which also outputs the prior.
        rank: int > 0.
        alpha: float > 0, or None: `rank`. The update of a kernel is scaled by `alpha / rank`.

    Raises:
        ValueError: rank or alpha is not positive; a pattern matches no layer; no such layer is
            among those that match; or one has LoRA or an adapter already.

    Example:
        >>> x = keras.Input((8,))
        >>> y = layers.Dense(8, name="photo_dense")(x)
        >>> model = keras.Model(x, layers.Dense(2, name="label")(y))
        >>> add_lora(model, "photo_*", rank=1)
        >>> [tuple(weight.shape) for weight in model.trainable_weights]
        [(8, 1), (1, 8), (8, 2), (2,)]

    Source: Hu et al. 2021, arXiv:2106.09685; scaled and initialised as in its code and in Hugging
    Face's PEFT.
    """
    alpha = rank if alpha is None else alpha
    if rank < 1 or alpha <= 0:
        raise ValueError(f"add_lora: rank and alpha must be positive, received {rank} and {alpha}")
    matched = layer_paths.within(model, patterns, "lora.layers")
    hosts = {
        path: layer
        for path, layer in matched.items()
        if "/peft" not in path and attach.takes_lora(layer)
    }
    if not hosts:
        raise ValueError(
            "lora.layers: must match a Dense, EinsumDense or Embedding, received "
            f"{list(patterns)}, which match {list(matched)[:5]}"
        )
    additions: list[Addition] = [
        attach.lora(layer, path, rank, float(alpha), _seed(path)) for path, layer in hosts.items()
    ]
    _add(model, additions, freeze_hosts=True)


def add_adapters(
    model: keras.Model,
    *patterns: str,
    units: int = 16,
    activation: str = "gelu",
    shared: bool = False,
) -> None:
    """Adds a bottleneck after layers. Compile the model afterwards.

    The layers' own weights stay trained if they are; call `train_head_only(model)` before to freeze
    all but the heads. In a transformer of KerasHub, the layers of Houlsby et al. are
    `*/self_attention_layer/output_dense` and `*/feedforward_output_dense`.

    Args:
        model: as for `add_lora`.
        patterns: over paths of layers (`models.peft.layer_paths.layers`). They do not include what
            is within a layer that matches.
        units: int > 0. Width of the bottleneck.
        activation: str, one of Keras'. A "linear" adapter can be merged.
        shared: one adapter for all these layers. They must be of one width, and may be of several
            towers, which then learn from each other's inputs.

    Raises:
        ValueError: units is not positive; a pattern matches no layer; a layer is an output of the
            model, sets missing inputs to zero, has LoRA or an adapter already, is of unknown width,
            or of another width than those that it shares with; or only one layer shares.

    Example:
        >>> x = keras.Input((8,))
        >>> y = layers.Dense(8, name="photo_dense")(x)
        >>> model = keras.Model(x, layers.Dense(2, name="label")(y))
        >>> add_adapters(model, "photo_dense", units=1)
        >>> [tuple(weight.shape) for weight in model.get_layer("photo_dense").trainable_weights]
        [(8, 8), (8,), (8, 1), (1,), (1, 8), (8,)]

    Source: Houlsby et al. 2019, arXiv:1902.00751; shared: Lu et al. 2023, arXiv:2302.06605
    ("UniAdapter"), which also keeps one of the two matrices apart.
    """
    if units < 1:
        raise ValueError(f"adapters.units: must be positive, received {units}")
    matched = layer_paths.matched(model, patterns, "adapters.layers")
    hosts = {path: layer for path, layer in matched.items() if "/peft" not in path}
    _check_adapter_hosts(model, hosts)
    if shared and len(hosts) < 2:
        raise ValueError(
            f"adapters.shared: must match two layers or more, received {list(patterns)}, "
            f"which match {list(hosts)}"
        )
    groups = [hosts] if shared else [{path: layer} for path, layer in hosts.items()]
    additions: list[Addition] = []
    for group in groups:
        additions += attach.adapter(group, units, activation, _seed(next(iter(group))))
    _add(model, additions, freeze_hosts=False)


def merge_lora(model: keras.Model) -> None:
    """Merges LoRA and linear adapters into the weights of their layers, and removes them.

    Afterwards the model is as large and as fast as before they were added, with the outputs that
    it has now.

    Args:
        model: as for `add_lora`. Which of its own layers are trained does not change.

    Raises:
        ValueError: an adapter is not linear, or follows a layer into which it cannot be merged.
            The model is unchanged then.

    Example:
        >>> x = keras.Input((8,))
        >>> y = layers.Dense(8, name="photo_dense")(x)
        >>> model = keras.Model(x, layers.Dense(2, name="label")(y))
        >>> counts = [model.count_params()]
        >>> add_lora(model, "photo_*", rank=1)
        >>> counts.append(model.count_params())
        >>> merge_lora(model)
        >>> [*counts, model.count_params()]
        [90, 106, 90]
    """
    hosts = attach.hosts(model)
    # these must live to the end: a new weight could get the `id` of a deleted one
    added = [one for layer in hosts.values() if (one := attach.peft_layer(layer)) is not None]
    for (path, layer), one in zip(hosts.items(), added):
        if isinstance(one, Adapter):
            _check_mergeable(path, layer, one)
    before = trained_ids(model)
    for layer, one in zip(hosts.values(), added):
        _merge_into(layer, one)
        attach.remove(layer)
    attach.train(model, before - ids(weight for one in added for weight in one.weights))
    attach.retrace(model)


def _add(model: keras.Model, additions: Sequence[Addition], freeze_hosts: bool) -> None:
    """Adds to the layers, and trains what was added besides what is trained already."""
    trained = trained_ids(model)
    if freeze_hosts:
        trained -= ids(weight for layer, _, _ in additions for weight in layer.weights)
    for addition in additions:
        attach.add(addition)
    added = ids(weight for _, one, _ in additions for weight in one.trainable_weights)
    attach.train(model, trained | added)
    attach.retrace(model)


def _check_adapter_hosts(model: keras.Model, hosts: Mapping[str, keras.Layer]) -> None:
    """Refuses layers whose effect an adapter would undo: outputs, and zeros of missing inputs."""
    outputs = model.output if isinstance(model.output, dict) else {}
    for path, layer in hosts.items():
        if path in outputs:
            raise ValueError(
                "adapters.layers: must not match a layer that is an output of the model, "
                f"received {path!r}"
            )
        if isinstance(layer, ZeroWhereMissing):
            raise ValueError(
                "adapters.layers: must not match a layer that sets missing inputs to zero, "
                f"received {path!r}: take the one before it"
            )


def _seed(path: str) -> int:
    """A seed for each layer, the same in every process."""
    return zlib.crc32(path.encode())


def _check_mergeable(path: str, layer: keras.Layer, added: Adapter) -> None:
    if added.activation != "linear":
        raise ValueError(
            f"{path}: only a linear adapter can be merged, received one with {added.activation}"
        )
    linear = attach.is_dense(layer) and layer.activation is keras.activations.linear
    if not linear or layer.bias is None:
        raise ValueError(
            f"{path}: an adapter can be merged into a linear Dense or EinsumDense with a bias, "
            f"received {layer.name}"
        )
    if layer.bias.shape[-1] != layer.kernel.shape[-1] or layer.kernel.shape[-1] != added.dim:
        raise ValueError(
            f"{path}: an adapter can be merged if the kernel's last axis is that of the output, "
            f"received {layer.equation!r}"
        )


def _merge_into(layer: keras.Layer, added: keras.Layer) -> None:
    if not isinstance(added, Adapter):
        table = layer.embeddings if isinstance(layer, layers.Embedding) else layer.kernel
        table.assign(np.asarray(table) + np.asarray(added.delta()))
        return
    down, up = (np.asarray(one.kernel, "float64") for one in (added.down, added.up))
    through = np.eye(added.dim) + down @ up
    shift = np.asarray(added.down.bias, "float64") @ up + np.asarray(added.up.bias, "float64")
    layer.kernel.assign(np.asarray(layer.kernel, "float64") @ through)
    layer.bias.assign(np.asarray(layer.bias, "float64") @ through + shift)
