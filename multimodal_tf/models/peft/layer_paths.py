"""Paths of a model's layers and weights, the same in every process, and patterns over them."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras

from multimodal_tf.config import FUSED, TABULAR
from multimodal_tf.models.towers.pretrained import nearest_names

Layers = dict[str, keras.Layer]


def layers(model: keras.Model) -> Layers:
    """All layers of a model by path, also those within other layers.

    The path of a layer in a model ends in its name, that of a layer in a layer in the attribute
    that holds it, without leading underscores: one of a BERT in a tower over `title` is
    `title_network/network/network/transformer_layer_0/self_attention_layer/query_dense`. Keras' own
    `variable.path` is neither unique nor the same in every process. A layer that several share has
    the first path.

    Args:
        model: `keras.Model`.

    Returns:
        dict of path to `keras.Layer`; a layer stands before its inner ones.

    Example:
        >>> x = keras.Input((2,), name="price")
        >>> both = keras.layers.Bidirectional(keras.layers.LSTM(1), name="both")
        >>> model = keras.Model(x, both(x[:, :, None]))
        >>> [path for path in layers(model) if "cell" in path]
        ['both/forward_layer/cell', 'both/backward_layer/cell']
    """
    found: Layers = {}
    _walk(model, "", found, {id(model)})
    return found


def weights(model: keras.Model) -> dict[str, keras.Variable]:
    """All weights of a model by path: the layer's path and the weight's own name.

    The path of the model's own weights is their name.

    Returns:
        dict of path to `keras.Variable`: trained or not, also statistics, but no states of random
        generators.
    """
    owners: dict[int, tuple[str, keras.Variable]] = {}
    for path, layer in ({"": model} | layers(model)).items():
        for weight in layer.weights:
            outer, _ = owners.get(id(weight), ("", None))
            # the innermost layer counts; of layers that share a weight, the first
            if not outer or path.startswith(f"{outer}/"):
                owners[id(weight)] = path, weight
    found: dict[str, keras.Variable] = {}
    for path, weight in owners.values():
        _add(found, f"{path}/{weight.name}" if path else weight.name, weight)
    return found


def matched(model: keras.Model, patterns: Iterable[str], field: str) -> Layers:
    """The layers that some pattern matches, by path.

    Args:
        model: `keras.Model`.
        patterns: over paths of `layers`, in the syntax of `fnmatch`: `*` is any number of
            characters, also slashes.
        field: where the patterns stand, for the error.

    Raises:
        ValueError: a pattern matches no layer.
    """
    every = layers(model)
    chosen: set[str] = set()
    for pattern in patterns:
        hits = fnmatch.filter(every, pattern)
        if not hits:
            raise ValueError(
                f"{field}: must match a layer, received {pattern!r}; the nearest layers are "
                f"{nearest_names(pattern, every)}"
            )
        chosen.update(hits)
    return {path: layer for path, layer in every.items() if path in chosen}


def within(model: keras.Model, patterns: Iterable[str], field: str) -> Layers:
    """The layers that some pattern matches, and all layers in them, by path."""
    chosen = matched(model, patterns, field)
    return {
        path: layer
        for path, layer in layers(model).items()
        if any(outer in chosen for outer in _outer(path))
    }


def owner(model: keras.Model, path: str) -> str:
    """What a layer belongs to: an input (to its tower), `tabular`, a head, or `fused`.

    Of any other layer it is the first name in its path.

    Example:
        >>> title = keras.Input((2,), name="title")
        >>> model = keras.Model({"title": title}, {"kind": keras.layers.Dense(1)(title)})
        >>> paths = ["title_words/embeddings", "kind_normalised", "other"]
        >>> [owner(model, path) for path in paths]
        ['title', 'kind', 'other']
    """
    first = path.split("/")[0]
    names = [*_keys(model.input), TABULAR, FUSED, *_keys(model.output)]
    if first in names:
        return first
    # the longest: `photo_2_conv_1` is no layer of `photo`
    prefixes = (name for name in names if first.startswith(f"{name}_"))
    return max(prefixes, key=len, default=first)


def _keys(tensors: Any) -> Sequence[str]:
    return list(tensors) if isinstance(tensors, dict) else []


def _outer(path: str) -> list[str]:
    """The path itself and those of the layers around it."""
    names = path.split("/")
    return ["/".join(names[: end + 1]) for end in range(len(names))]


def _walk(layer: keras.Layer, prefix: str, found: Layers, seen: set[int]) -> None:
    for name, child in _children(layer):
        if id(child) not in seen:
            seen.add(id(child))
            path = _add(found, prefix + name, child)
            _walk(child, path + "/", found, seen)


def _add(found: dict[str, Any], path: str, value: Any) -> str:
    """Adds a value under the path, with a number if that is taken; returns the path."""
    number, free = 0, path
    while free in found:
        number += 1
        free = f"{path}_{number}"
    found[free] = value
    return free


def _children(layer: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    if isinstance(layer, keras.Model):
        for child in layer.layers:
            if not isinstance(child, keras.layers.InputLayer):
                yield _name(child), child
        return
    for attribute, value in vars(layer).items():
        if isinstance(value, keras.Layer):
            yield attribute.lstrip("_"), value
    # afterwards, because what is also in a list has the path of its own attribute
    for attribute, value in vars(layer).items():
        if isinstance(value, list | tuple | dict) and attribute not in _LISTS_OF_ALL:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, one in items:
                if isinstance(one, keras.Layer):
                    yield f"{attribute.lstrip('_')}_{key}", one


# of Keras and TensorFlow
_LISTS_OF_ALL = (
    "_layers",
    "_self_unconditional_dependency_names",
    "_self_unconditional_checkpoint_dependencies",
)


def _name(layer: keras.Layer) -> str:
    """A layer's name, without the number that Keras appends to a name of its own.

    That number counts the layers of the process.
    """
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    default = re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()
    own: str = layer.name
    return default if re.fullmatch(rf"{re.escape(default)}(_\d+)?", own) else own
