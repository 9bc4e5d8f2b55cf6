"""Which weights of a model are trained, chosen by patterns over paths of layers."""

from collections.abc import Iterable, Sequence

import keras

from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.peft.attach import peft_layer, train, trainable
from multimodal_tf.models.peft.layers import LowRank, LowRankEmbedding

# names of weights that layers add; the second is that of normalisation layers
_BIASES = ("bias", "beta")

# the `id` of each of some weights
WeightIds = set[int]


def freeze(model: keras.Model, *patterns: str) -> None:
    """Stops training some layers. Compile the model afterwards.

    A batch normalisation without trained weights keeps its statistics, and computes the same in
    training as in prediction.

    Args:
        model: a functional `keras.Model`; changed in place, as by all functions of `peft`.
        patterns: over paths of layers (`models.peft.layer_paths.layers`), such as `photo_*`. A
            pattern includes what is within a layer that matches.

    Raises:
        ValueError: a pattern matches no layer.

    Example:
        >>> x = keras.Input((2,))
        >>> y = keras.layers.Dense(3, name="photo_dense")(x)
        >>> model = keras.Model(x, keras.layers.Dense(1, name="label")(y))
        >>> freeze(model, "photo_*")
        >>> [weight.path for weight in model.trainable_weights]
        ['label/kernel', 'label/bias']
    """
    train(model, trained_ids(model) - ids(weights_within(model, patterns, "freeze")))


def unfreeze(model: keras.Model, *patterns: str) -> None:
    """Trains some layers, besides those that are trained already; not the kernels under LoRA.

    Args:
        model, patterns: as for `freeze`.

    Raises:
        ValueError: a pattern matches no layer.
    """
    train(model, trained_ids(model) | ids(weights_within(model, patterns, "unfreeze")))


def freeze_all(model: keras.Model) -> None:
    """Stops training all layers, and what was added to them."""
    train(model, set())


def train_head_only(model: keras.Model) -> None:
    """Trains the heads alone, and what was added to layers if it is trained.

    Heads are the layers whose name is that of an output, or begins with `{output}_`. The fusion is
    not among them; if it is new, or its inputs are, call `unfreeze(model, "fused*")` afterwards.

    Args:
        model: as for `freeze`, with a dict of outputs.

    Raises:
        ValueError: the model's outputs have no names, or none of them has a weight.
    """
    heads = _head_ids(model, "train_head_only")
    train(model, heads | _added_ids(model) & trained_ids(model))


def train_biases_only(model: keras.Model) -> None:
    """Trains the heads, and all biases and shifts of normalisations ("BitFit").

    What was added to layers stays trained if it is.

    Args:
        model: as for `train_head_only`.

    Raises:
        ValueError: as `train_head_only`.

    Source: Ben Zaken et al. 2022, arXiv:2106.10199.
    """
    added = _added_ids(model)
    biases = {
        id(weight)
        for path, weight in layer_paths.weights(model).items()
        if path.split("/")[-1] in _BIASES
    }
    own = biases & ids(trainable(model)) - added
    heads = _head_ids(model, "train_biases_only")
    train(model, own | heads | added & trained_ids(model))


def trained_ids(model: keras.Model) -> WeightIds:
    """Of the weights that are trained now."""
    return ids(model.trainable_weights)


def ids(weights: Iterable[keras.Variable]) -> WeightIds:
    """Their `id`."""
    return {id(weight) for weight in weights}


def is_added(path: str) -> bool:
    """Whether the path of a weight is that of LoRA or an adapter."""
    return "/peft/" in path


def weights_within(model: keras.Model, patterns: Sequence[str], field: str) -> list[keras.Variable]:
    """The trainable weights of layers that match, without the kernels under LoRA.

    Args:
        model, patterns: as for `freeze`.
        field: where the patterns are given, for messages.

    Raises:
        ValueError: a pattern matches no layer.
    """
    could, chosen = ids(trainable(model)), []
    for layer in layer_paths.within(model, patterns, field).values():
        if isinstance(peft_layer(layer), LowRank | LowRankEmbedding):
            continue
        inner = ids(weight for one in layer_paths.layers(layer).values() for weight in one.weights)
        chosen += [weight for weight in layer.weights if id(weight) not in inner]
    return [weight for weight in chosen if id(weight) in could]


def _head_ids(model: keras.Model, caller: str) -> WeightIds:
    if not isinstance(model.output, dict):
        raise ValueError(
            f"{caller}: the model's outputs must have names, received {type(model.output).__name__}"
        )
    could = ids(trainable(model))
    heads, own = set(), set()
    for path, weight in layer_paths.weights(model).items():
        if layer_paths.owner(model, path) in model.output:
            heads.add(id(weight))
        if "/" not in path:
            # weights of the model itself, such as those of the heads' losses
            own.add(id(weight))
    if not heads & could:
        raise ValueError(
            f"{caller}: the model must have layers with the names of its outputs and weights, "
            f"received {list(model.output)}, none of which has a weight"
        )
    return (heads | own) & could


def _added_ids(model: keras.Model) -> WeightIds:
    weights = layer_paths.weights(model)
    return {id(weight) for path, weight in weights.items() if is_added(path)}
