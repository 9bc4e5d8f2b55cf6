"""Functions of tensors as the signatures of a SavedModel."""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

Specs: TypeAlias = Mapping[str, tf.TensorSpec]


def graph(function: Callable[..., Any], specs: Specs) -> Any:
    """The function as a graph, which `save` and other functions that call it trace once."""
    return tf.function(function, input_signature=[dict(specs)], autograph=False)


def save(
    functions: Mapping[str, tuple[Callable[..., Any], Specs]],
    resources: Iterable[object],
    folder: pathlib.Path,
) -> None:
    """Writes a SavedModel whose signatures are the functions, and that holds what they read.

    Each is traced once. `keras.export.ExportArchive` traces it to find its variables and again
    while it writes, and so does an object that holds the `tf.function`: that is why this one holds
    none, and loaded functions are found in `signatures` alone.

    Args:
        functions: by signature, a function of a dict of tensors (`graph` makes one that others
            call), and their specifications.
        resources: what holds the lookup tables that the functions read.
        folder: to write.
    """
    traced: dict[str, Any] = {}
    for name, (function, specs) in functions.items():
        if not isinstance(function, tf.types.experimental.PolymorphicFunction):
            function = graph(function, specs)
        traced[name] = function.get_concrete_function()
    held = tf.Module()
    held.weights = _variables(traced.values())
    held.tables = list(_tables(resources))
    tf.saved_model.save(held, str(folder), signatures=traced)


def _variables(functions: Iterable[Any]) -> list[tf.Variable]:
    """Those that the functions read, the trainable ones first."""
    found = {id(one): one for function in functions for one in function.variables}
    return sorted(found.values(), key=lambda one: not one.trainable)


def _tables(resources: Iterable[object]) -> Iterator[object]:
    for resource in resources:
        for one in tf.train.TrackableView(resource).descendants():
            if isinstance(one, tf.saved_model.experimental.TrackableResource):
                yield one
