"""A network as a LiteRT file."""

import contextlib
import io
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from multimodal_tf.config.forms import Weights
from multimodal_tf.config.saved_model.form import not_installed
from multimodal_tf.serving import saved_functions

# what LiteRT's own operations lack, by what a tower has of it
_LACKING = {
    r"TensorList.*|(Stateless)?While": "a loop over time steps",
    r"MaxPool3D.*|AvgPool3D": "pooling over three axes",
    r"LookupTable.*|String.*|.*Regex.*": "strings",
}
_HELP = (
    "choose a tower without it, such as a transformer or a convolution over one or two axes, or"
    " the form saved_model"
)


def convert(
    core: Callable[..., Any],
    specs: saved_functions.Specs,
    tables: Iterable[object],
    weights: Weights,
) -> bytes:
    """The function as a LiteRT file with the signature `core`.

    Args:
        core: of a dict of tensors to a dict of tensors.
        specs: of its tensors; the batch may be of any size.
        tables: what holds the lookup tables that it reads.
        weights: float16 and int8 are the types in which the file holds the weights; the runtime
            computes in float32.

    Raises:
        ValueError: LiteRT has no such operations, or its extra is not installed.
    """
    graph = saved_functions.graph(core, specs)
    check(graph.get_concrete_function())
    _check_installed(weights)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        saved_functions.save({"core": (graph, specs)}, tables, path / "core")
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(path / "core"), signature_keys=["core"]
        )
        if weights == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            converted: bytes = converter.convert()
        # the converter's own error is no public class
        except Exception as error:  # noqa: BLE001
            lacking = sorted(set(re.findall(r"tf\.(\w+)", str(error))))
            raise ValueError(
                f"form litert cannot hold this model: LiteRT lacks {', '.join(lacking) or error}:"
                f" {_HELP}"
            ) from error
        return _eight_bits(converted, path) if weights == "int8" else converted


def check(function: Any) -> None:
    """Refuses a graph with operations that LiteRT lacks, before it is converted.

    Args:
        function: a `ConcreteFunction`.

    Raises:
        ValueError: there are some; the message names what has them.
    """
    library = function.graph.as_graph_def().library.function
    inner = {node.op for body in library for node in body.node_def}
    for pattern, what in _LACKING.items():
        for operation in function.graph.get_operations():
            if re.fullmatch(pattern, operation.type):
                raise ValueError(
                    f"form litert cannot hold {what}, as {operation.name!r} has it: {_HELP}"
                )
        if any(re.fullmatch(pattern, name) for name in inner):
            raise ValueError(f"form litert cannot hold {what}, as this model has it: {_HELP}")


def _check_installed(weights: Weights) -> None:
    try:
        # extras
        import ai_edge_litert  # noqa: F401

        if weights == "int8":
            import ai_edge_quantizer  # noqa: F401
    except ImportError:
        raise ValueError(not_installed("litert")) from None


def _eight_bits(converted: bytes, folder: pathlib.Path) -> bytes:
    """Weights in 8 bits by channel, computed in float32: no rows are needed to calibrate."""
    from ai_edge_quantizer import quantizer, recipe

    file = folder / "core.tflite"
    file.write_bytes(converted)
    found = quantizer.Quantizer(str(file), recipe.weight_only_wi8_afp32())
    # it prints its progress
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return bytes(found.quantize().quantized_model)
