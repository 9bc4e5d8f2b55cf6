"""A network as an ONNX file."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from multimodal_tf.config.saved_model.form import not_installed
from multimodal_tf.serving import saved_functions

# the newest set of operations that tf2onnx writes
_OPSET = 18


def convert(core: Callable[..., Any], specs: saved_functions.Specs) -> bytes:
    """The function as an ONNX file; its inputs and outputs have the names of the tensors.

    Args:
        core: of a dict of tensors to a dict of tensors.
        specs: of its tensors; the batch may be of any size.

    Raises:
        ValueError: ONNX has no such operations, or its extra is not installed.
    """
    try:
        # extras
        import onnx
        import onnxruntime
        import tf2onnx
    except ImportError:
        raise ValueError(not_installed("onnx")) from None
    # it prints each operation that it does not know, which the error below says
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    graph = saved_functions.graph(core, specs)
    traced = graph.get_concrete_function()
    proto, _ = tf2onnx.convert.from_function(
        graph,
        input_signature=[dict(specs)],
        opset=_OPSET,
        # ONNX Runtime has no Fourier transform of real numbers
        custom_op_handlers={
            "RFFT": (lambda *_: None, []),
            "Real": (functools.partial(_as_product, np.real), []),
            "Imag": (functools.partial(_as_product, np.imag), []),
        },
    )
    outputs = zip((one.name for one in proto.graph.output), sorted(traced.structured_outputs))
    _rename(proto, dict(outputs) | {f"{name}:0": name for name in specs})
    _keep_constants(proto, traced)
    content: bytes = proto.SerializeToString()
    try:
        onnx.checker.check_model(proto)
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    # each has errors of its own
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"form onnx cannot hold this model ({' '.join(str(error).split())}): choose another"
            " tower, or the form saved_model"
        ) from error
    return content


def _as_product(part: Callable[..., Any], graph: Any, node: Any, name: str, _: Any) -> None:
    """Replaces a part of a Fourier transform of real numbers by a product with a matrix."""
    (transform,) = node.inputs
    if transform.type != "RFFT":
        raise ValueError(f"{name}: no part of a Fourier transform of real numbers")
    length = int(transform.inputs[1].get_tensor_value()[0])
    waves = part(np.fft.rfft(np.eye(length))).astype(np.float32)
    matrix = graph.make_const(f"{name}_waves", waves)
    graph.remove_node(name)
    graph.make_node(
        "MatMul", [transform.input[0], matrix.output[0]], name=name, outputs=node.output
    )


def _keep_constants(proto: Any, traced: Any) -> None:
    """Constants that the function reads from outside of it were converted to inputs."""
    import onnx

    read = {name for node in proto.graph.node for name in node.input}
    values = {inner.name: outer for outer, inner in traced.graph.captures}
    for one in list(proto.graph.input):
        if one.name in values:
            proto.graph.input.remove(one)
        if one.name in values and one.name in read:
            constant = onnx.numpy_helper.from_array(values[one.name].numpy(), one.name)
            proto.graph.initializer.append(constant)


def _rename(proto: Any, names: dict[str, str]) -> None:
    """Renames tensors of a graph, wherever they stand."""
    graph = proto.graph
    for one in (*graph.input, *graph.output):
        one.name = names.get(one.name, one.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
