"""Layers and weights of a model by path: names that are the same in every process, and patterns
over them.
"""

import fnmatch
import re

import keras

from multimodal_tf.config import FUSED, TABULAR
from multimodal_tf.models.towers.pretrained import nearest_names


def layers(model):
    """All layers of a model, those within other layers too.

    A layer of a model goes by its name, a layer of a layer by the attribute that holds it, without
    underscores before it: of a BERT in a tower over `title` one is
    `title_network/network/network/transformer_layer_0/self_attention_layer/query_dense`. Keras' own
    `variable.path` is neither unique nor the same in every process. A layer that several share goes
    by the first path.

    Args:
        model: `keras.Model`.

    Returns:
        dict of path to `keras.Layer`; a layer stands before those in it.

    Example:
        >>> x = keras.Input((2,), name="price")
        >>> model = keras.Model(x, keras.layers.Bidirectional(keras.layers.LSTM(1), name="both")(x[:, :, None]))
        >>> [path for path in layers(model) if "cell" in path]
        ['both/forward_layer/cell', 'both/backward_layer/cell']
    """
    found: dict = {}
    _walk(model, "", found, {id(model)})
    return found


def weights(model):
    """All weights of a model by path: that of the layer, and the weight's own name; those of the
    model itself by their name.

    Returns:
        dict of path to `keras.Variable`: trained or not, statistics too, no states of random
        generators.
    """
    owners: dict = {}
    for path, layer in ({"": model} | layers(model)).items():
        for weight in layer.weights:
            outer, _ = owners.get(id(weight), ("", None))
            # the innermost layer stays; of layers that share a weight, the first
            if not outer or path.startswith(f"{outer}/"):
                owners[id(weight)] = path, weight
    found: dict = {}
    for path, weight in owners.values():
        _add(found, f"{path}/{weight.name}" if path else weight.name, weight)
    return found


def matched(model, patterns, field):
    """The layers that some pattern matches.

    Args:
        model: `keras.Model`.
        patterns: list of str over paths of `layers`, as `fnmatch` reads them: `*` is any number of
        characters, slashes too.
        field: str. Where the patterns stand, for the error.

    Returns:
        dict of path to `keras.Layer`.

    Raises:
        ValueError: a pattern matches no layer.
    """
    every = layers(model)
    chosen = set()
    for pattern in patterns:
        hits = fnmatch.filter(every, pattern)
        if not hits:
            raise ValueError(
                f"{field}: must match a layer, received {pattern!r}; the nearest layers are {nearest_names(pattern, every)}"
            )
        chosen.update(hits)
    return {path: layer for path, layer in every.items() if path in chosen}


def within(model, patterns, field):
    """The same, and all layers in them."""
    chosen = matched(model, patterns, field)
    return {
        path: layer
        for path, layer in layers(model).items()
        if any(outer in chosen for outer in _outer(path))
    }


def owner(model, path):
    """Whose layer it is: an input's (of its tower), `tabular`'s, a head's, or `fused`; of any other
    layer its own first name.

    Example:
        >>> title = keras.Input((2,), name="title")
        >>> model = keras.Model({"title": title}, {"kind": keras.layers.Dense(1)(title)})
        >>> owner(model, "title_words/embeddings"), owner(model, "kind_normalised"), owner(model, "other")
        ('title', 'kind', 'other')
    """
    first = path.split("/")[0]
    names = [*_keys(model.input), TABULAR, FUSED, *_keys(model.output)]
    return first if first in names else beginning(first, names) or first


def beginning(layer, names):
    """The name that a layer's name begins with, such as `photo` of `photo_conv_1`; None where none
    is.
    """
    # the longest: `photo_2_conv_1` is no layer of `photo`
    return max((name for name in names if layer.startswith(f"{name}_")), key=len, default=None)


def _keys(tensors):
    return list(tensors) if isinstance(tensors, dict) else []


def _outer(path):
    """The path itself and those of the layers around it."""
    parts = path.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _walk(layer, prefix, found, seen):
    for name, child in _children(layer):
        if id(child) not in seen:
            seen.add(id(child))
            path = _add(found, prefix + name, child)
            _walk(child, path + "/", found, seen)


def _add(found, path, value):
    """Puts a value under the path, with a number behind it if that is taken; returns the path."""
    number, free = 0, path
    while free in found:
        number += 1
        free = f"{path}_{number}"
    found[free] = value
    return free


def _children(layer):
    if isinstance(layer, keras.Model):
        for child in layer.layers:
            if not isinstance(child, keras.layers.InputLayer):
                yield _name(child), child
        return
    for attribute, value in vars(layer).items():
        if isinstance(value, keras.Layer):
            yield attribute.lstrip("_"), value
    # later: what stands in a list as well goes by the attribute of its own
    for attribute, value in vars(layer).items():
        if isinstance(value, list | tuple | dict) and attribute not in _LISTS_OF_ALL:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            yield from (
                (f"{attribute.lstrip('_')}_{key}", one)
                for key, one in items
                if isinstance(one, keras.Layer)
            )


# Keras', TensorFlow's
_LISTS_OF_ALL = (
    "_layers",
    "_self_unconditional_dependency_names",
    "_self_unconditional_checkpoint_dependencies",
)


def _name(layer):
    """A layer's name; without the number of a name that Keras made up, which counts the layers of
    the process.
    """
    made_up = re.sub(
        r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    ).lower()
    return made_up if re.fullmatch(rf"{re.escape(made_up)}(_\d+)?", layer.name) else layer.name
