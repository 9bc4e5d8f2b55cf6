"""The files of an exported model whose network runs in LiteRT or ONNX Runtime.

`config.saved_model.form` reads them: three graphs for TensorFlow, and the network.
"""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import tensorflow as tf

from multimodal_tf.config.forms import Weights
from multimodal_tf.config.saved_model.files import ASSETS
from multimodal_tf.config.saved_model.form import (
    FORM_FILE,
    INPUTS,
    NETWORKS,
    PREDICTIONS,
    STATUS,
    VECTORS,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.serving import endpoints, onnx_network, saved_functions
from multimodal_tf.serving import litert_network as litert

_SCORES = "scores_"
_ROOMS = {
    endpoints.PREDICTIONS: PREDICTIONS,
    endpoints.VECTORS: VECTORS,
    endpoints.SCORES: _SCORES,
}


def network_bytes(
    model: keras.Model,
    tables: Iterable[object],
    form: Literal["litert", "onnx"],
    weights: Weights,
) -> bytes:
    """The network of `endpoints.with_vectors` in the form's own file format.

    Raises:
        ValueError: the form cannot hold it, or what the form needs is not installed.
    """
    specs = {name: tf.TensorSpec(one.shape, one.dtype, name) for name, one in model.input.items()}

    def core(inputs: endpoints.Tensors) -> endpoints.Tensors:
        return _flat(model(inputs, training=False))

    if form == "litert":
        return litert.convert(core, specs, tables, weights)
    return onnx_network.convert(core, specs)


def write(
    folder: pathlib.Path,
    network: bytes,
    form: Literal["litert", "onnx"],
    weights: Weights,
    model: keras.Model,
    preprocessor: Preprocessor,
    prepare: endpoints.Prepare,
    finish: endpoints.Finish,
) -> None:
    """Writes the graphs around the network, the network, and what it is.

    Args:
        folder: exists.
        network: of `network_bytes`.
        form, weights: of the network.
        model: the result of `endpoints.with_vectors`, with all vectors.
        preprocessor, prepare, finish: of `endpoints`.
    """
    _, status = prepare.get_concrete_function().structured_outputs  # type: ignore[attr-defined]
    of_status = _specs(STATUS, status)
    outputs: dict[str, tf.TensorSpec] = {}
    for room, of_room in model.output.items():
        outputs |= _specs(_ROOMS[room], of_room)
    vectors = {name: one for name, one in outputs.items() if name.startswith(VECTORS)}

    def prepared(raw: endpoints.Tensors) -> endpoints.Tensors:
        inputs, status = prepare(raw)
        return _under(INPUTS, inputs) | _under(STATUS, status)

    def finished(given: endpoints.Tensors) -> endpoints.Tensors:
        rooms = {room: _of(prefix, given) for room, prefix in _ROOMS.items()}
        return finish(rooms, _of(STATUS, given))

    def embedded(given: endpoints.Tensors) -> endpoints.Tensors:
        return endpoints.embedded(_of(VECTORS, given), _of(STATUS, given))

    functions: dict[str, tuple[Any, saved_functions.Specs]] = {
        "prepare": (prepared, preprocessor.request_spec),
        "finish": (finished, outputs | of_status),
        "finish_embed": (embedded, vectors | of_status),
    }
    saved_functions.save(functions, [preprocessor], folder)
    (folder / NETWORKS[form]).write_bytes(network)
    (folder / ASSETS).mkdir()
    content = json.dumps({"form": form, "weights": weights}, indent=1)
    (folder / ASSETS / FORM_FILE).write_text(content, encoding="utf-8")


def _specs(prefix: str, tensors: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        prefix + name: tf.TensorSpec(one.shape, _dtype(tf.as_dtype(one.dtype).name), prefix + name)
        for name, one in tensors.items()
    }


def _flat(result: Mapping[str, endpoints.Tensors]) -> endpoints.Tensors:
    return {
        _ROOMS[room] + name: tf.cast(one, _dtype(one.dtype.name))
        for room, outputs in result.items()
        for name, one in outputs.items()
    }


def _dtype(dtype: str) -> str:
    """Numbers leave the network in float32, also where it computes in less."""
    return "float32" if tf.as_dtype(dtype).is_floating else dtype


def _under(prefix: str, tensors: endpoints.Tensors) -> endpoints.Tensors:
    return {prefix + name: one for name, one in tensors.items()}


def _of(prefix: str, tensors: endpoints.Tensors) -> endpoints.Tensors:
    return {
        name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)
    }
