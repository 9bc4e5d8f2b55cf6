"""LoRA and adapters: few new weights in a model whose own stay as they are; and merging them into
these.
"""

import zlib

import keras
import numpy as np
from keras import layers

from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.models.peft.layers import Adapter
from multimodal_tf.models.presence import ZeroWhereAbsent
from multimodal_tf.training.peft.freeze import trained


def lora(model: keras.Model, *patterns: str, rank: int = 8, alpha: float | None = None) -> None:
    """Adds LoRA to layers, which are not trained themselves any more. Compile the model afterwards.

    Other layers are left as they are: `head_only(model)` before it freezes all but the heads.

    Args:
        model: a functional `keras.Model`; changed in place. Its answers are the same until it is
            trained.
        patterns: over paths of layers (`models.peft.layer_paths.layers`): all Dense, EinsumDense
            and Embedding that match, or are in what matches; not a head's last layer, which also
            answers the prior.
        rank: int > 0.
        alpha: float > 0, or None: `rank`. The change of a kernel is scaled by `alpha / rank`.

    Raises:
        ValueError: rank or alpha is not positive; a pattern matches no layer; none of these kinds
            is among the layers; or one bears LoRA or an adapter already.

    Example:
        >>> x = keras.Input((8,))
        >>> model = keras.Model(x, layers.Dense(2, name="label")(layers.Dense(8, name="photo_dense")(x)))
        >>> lora(model, "photo_*", rank=1)
        >>> [tuple(weight.shape) for weight in model.trainable_weights]
        [(8, 1), (1, 8), (8, 2), (2,)]

    Source: Hu et al. 2021, arXiv:2106.09685; scaled and drawn as in its code and in Hugging Face's
    PEFT.
    """
    alpha = rank if alpha is None else alpha
    if rank < 1 or alpha <= 0:
        raise ValueError(f"lora: rank and alpha must be positive, received {rank} and {alpha}")
    found = layer_paths.within(model, patterns, "lora.layers")
    chosen = {
        path: layer
        for path, layer in found.items()
        if "/graft" not in path and attach.takes_low_rank(layer)
    }
    if not chosen:
        raise ValueError(
            f"lora.layers: must match a Dense, EinsumDense or Embedding, received {list(patterns)}, which match {list(found)[:5]}"
        )
    _add(
        model,
        [
            attach.low_rank(layer, path, rank, float(alpha), _seed(path))
            for path, layer in chosen.items()
        ],
        frozen=True,
    )


def adapters(
    model: keras.Model,
    *patterns: str,
    units: int = 16,
    activation: str = "gelu",
    shared: bool = False,
) -> None:
    """Adds a bottleneck behind layers. Compile the model afterwards.

    The layers' own weights stay trained if they were: `head_only(model)` before it freezes all but
    the heads. In a transformer of KerasHub the places of Houlsby et al. are
    `*/self_attention_layer/output_dense` and `*/feedforward_output_dense`.

    Args:
        model: as `lora`.
        patterns: over paths of layers (`models.peft.layer_paths.layers`): those that match, not
        what is in them.
        units: int > 0. The bottleneck's width.
        activation: str, one of Keras'; a "linear" one can be merged.
        shared: one adapter for all these layers, which may be of several towers (so that what one
            input teaches, the others know), if they are of one width.

    Raises:
        ValueError: units is not positive; a pattern matches no layer; a layer gives one of the
            model's answers, makes absent inputs zero, bears LoRA or an adapter already, is within a
            layer that does not tell its width, or has another width than those that it shares with;
            or only one layer shares.

    Example:
        >>> x = keras.Input((8,))
        >>> model = keras.Model(x, layers.Dense(2, name="label")(layers.Dense(8, name="photo_dense")(x)))
        >>> adapters(model, "photo_dense", units=1)
        >>> [tuple(weight.shape) for weight in model.get_layer("photo_dense").trainable_weights]
        [(8, 8), (8,), (8, 1), (1,), (1, 8), (8,)]

    Source: Houlsby et al. 2019, arXiv:1902.00751; shared between inputs: Lu et al. 2023,
    arXiv:2302.06605 («UniAdapter»), which also keeps one of the two matrices apart.
    """
    if units < 1:
        raise ValueError(f"adapters.units: must be positive, received {units}")
    hosts = {
        path: layer
        for path, layer in layer_paths.matched(model, patterns, "adapters.layers").items()
        if "/graft" not in path
    }
    _check_behind(model, hosts)
    if shared and len(hosts) < 2:
        raise ValueError(
            f"adapters.shared: must match two layers or more, received {list(patterns)}, which match {list(hosts)}"
        )
    groups = [hosts] if shared else [{path: layer} for path, layer in hosts.items()]
    _add(
        model,
        [
            one
            for group in groups
            for one in attach.adapter(group, units, activation, _seed(next(iter(group))))
        ],
        frozen=False,
    )


def merge(model: keras.Model) -> None:
    """Puts LoRA, and linear adapters, into the kernels and biases of the layers that bear them, and
    takes them off.

    The model then is as large and as fast as before, with the answers that it has now.

    Args:
        model: as `lora`. What its own layers train stays as it is.

    Raises:
        ValueError: an adapter is not linear, or stands behind a layer into which it cannot be put.
        Nothing is changed then.

    Example:
        >>> x = keras.Input((8,))
        >>> model = keras.Model(x, layers.Dense(2, name="label")(layers.Dense(8, name="photo_dense")(x)))
        >>> plain = model.count_params()
        >>> lora(model, "photo_*", rank=1)
        >>> more = model.count_params()
        >>> merge(model)
        >>> plain, more, model.count_params()
        (90, 106, 90)
    """
    hosts = attach.grafted(model)
    for path, layer in hosts.items():
        if isinstance(attach.graft(layer), Adapter):
            _check_linear(path, layer)
    before = trained(model)
    for layer in hosts.values():
        _merged(layer, attach.graft(layer))
    # kept to the end: another weight could get the `id` of one that is gone
    gone = [attach.graft(layer) for layer in hosts.values()]
    for layer in hosts.values():
        attach.remove(layer)
    attach.train(model, before - {id(weight) for one in gone for weight in one.weights})
    attach.retrace(model)


def _add(model, ready, frozen):
    """Grafts, and trains what was grafted besides what was trained; of the layers themselves
    nothing if they are `frozen`.
    """
    before = trained(model)
    own = {id(weight) for layer, _, _ in ready for weight in layer.weights} if frozen else set()
    for one in ready:
        attach.put(*one)
    new = {id(weight) for _, added, _ in ready for weight in added.trainable_weights}
    attach.train(model, before - own | new)
    attach.retrace(model)


def _check_behind(model, hosts):
    """Refuses what an adapter would undo: an answer's form, and the zeros of an absent input."""
    answers = model.output if isinstance(model.output, dict) else {}
    for path, layer in hosts.items():
        if path in answers:
            raise ValueError(
                f"adapters.layers: must not match a layer that gives one of the model's answers, received {path!r}"
            )
        if isinstance(layer, ZeroWhereAbsent):
            raise ValueError(
                f"adapters.layers: must not match a layer that makes absent inputs zero, received {path!r}: take the one before it"
            )


def _seed(path):
    """Another one for each layer, the same in every process."""
    return zlib.crc32(path.encode())


def _check_linear(path, layer):
    added = attach.graft(layer)
    if added.activation != "linear":
        raise ValueError(
            f"{path}: only a linear adapter can be merged, received one with {added.activation}"
        )
    if (
        not attach.is_dense(layer)
        or layer.bias is None
        or layer.activation is not keras.activations.linear
    ):
        raise ValueError(
            f"{path}: an adapter can be merged into a linear Dense or EinsumDense with a bias, received {layer.name}"
        )
    if layer.bias.shape[-1] != layer.kernel.shape[-1] or layer.kernel.shape[-1] != added.dim:
        raise ValueError(
            f"{path}: an adapter can be merged where the kernel's last axis is the answer's, received {layer.equation!r}"
        )


def _merged(layer, added):
    if not isinstance(added, Adapter):
        table = layer.embeddings if isinstance(layer, layers.Embedding) else layer.kernel
        table.assign(np.asarray(table) + np.asarray(added.delta()))
        return
    down, up = (np.asarray(part.kernel, "float64") for part in (added.down, added.up))
    through = np.eye(added.dim) + down @ up
    shift = np.asarray(added.down.bias, "float64") @ up + np.asarray(added.up.bias, "float64")
    layer.kernel.assign(np.asarray(layer.kernel, "float64") @ through)
    layer.bias.assign(np.asarray(layer.bias, "float64") @ through + shift)
