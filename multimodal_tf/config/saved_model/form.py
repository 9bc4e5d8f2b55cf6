"""An exported model whose network runs in LiteRT or ONNX Runtime, between TensorFlow graphs.

The SavedModel in its folder has three signatures: `prepare`, from raw cells to the network's input
tensors and the status of each row; `finish` and `finish_embed`, from the network's outputs and the
status to what `predict` and `embed` serve.
"""

import functools
import pathlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from multimodal_tf.config.forms import Form
from multimodal_tf.config.json_files import read_object
from multimodal_tf.config.saved_model.files import ASSETS
from multimodal_tf.config.saved_model.load import load

# what holds the network, and the file that says so
NETWORKS: dict[Literal["litert", "onnx"], str] = {"litert": "core.tflite", "onnx": "core.onnx"}
FORM_FILE = "form.json"
# what begins the names of tensors between the three graphs and the network
INPUTS, STATUS, PREDICTIONS, VECTORS = "inputs_", "status_", "predictions_", "vectors_"

Tensors: TypeAlias = dict[str, tf.Tensor]
# arrays by name to arrays by name
Network: TypeAlias = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class FormModel:
    """What `load_exported` gives of such a folder: `signatures` as a loaded SavedModel has them.

    Args:
        loaded: the SavedModel.
        network: the function of the network.
    """

    def __init__(self, loaded: Any, network: Network) -> None:
        of = loaded.signatures
        prepare, finish, finish_embed = of["prepare"], of["finish"], of["finish_embed"]
        raw = prepare.structured_input_signature[1]
        predict = _Signature(functools.partial(_served, prepare, network, finish), raw, finish)
        embed = _Signature(
            functools.partial(_served, prepare, network, finish_embed), raw, finish_embed
        )
        inputs = _under(INPUTS, prepare.structured_outputs)
        core = _Signature(functools.partial(_core, network), inputs, None)
        core.structured_outputs = _under(PREDICTIONS, finish.structured_input_signature[1])
        self.signatures: dict[str, Any] = {
            "serving_default": predict,
            "predict": predict,
            "embed": embed,
            "core": core,
        }


class _Signature:
    """A function with the attributes of a signature that was loaded."""

    def __init__(self, function: Callable[..., Tensors], specs: Any, last: Any) -> None:
        self._function = function
        self.structured_input_signature = ((), specs)
        self.structured_outputs = {} if last is None else last.structured_outputs

    def __call__(self, **tensors: Any) -> Tensors:
        return self._function(tensors)


def load_exported(path: pathlib.Path) -> Any:
    """What `export_model` wrote, of whatever form: an object with `signatures` by name.

    Args:
        path: its folder.

    Raises:
        ValueError: as `load`; or the file of the network is damaged, or its runtime not installed.
    """
    form, loaded = form_of(path), load(path)
    return loaded if form == "saved_model" else FormModel(loaded, network(path, form))


def form_of(path: pathlib.Path) -> Form:
    """What holds the network of an exported model.

    Raises:
        ValueError: the file that says so is damaged.
    """
    file = path / ASSETS / FORM_FILE
    if not file.is_file():
        return "saved_model"
    given = read_object(file, "the form of a model").get("form")
    for form in NETWORKS:
        if given == form:
            return form
    raise ValueError(
        f"{file} is damaged, export the model again: form must be one of {', '.join(NETWORKS)}, "
        f"received {given!r}"
    )


def network(path: pathlib.Path, form: Literal["litert", "onnx"]) -> Network:
    """The network of a folder, which takes a batch of no rows, too. Threads take turns.

    Raises:
        ValueError: its file is missing or damaged, or the runtime is not installed.
    """
    file = path / NETWORKS[form]
    if not file.is_file() or file.is_symlink():
        raise ValueError(f"{path} is damaged, export it again: it has no file {file.name}")
    try:
        run = _litert(file) if form == "litert" else _onnx(file)
    except ImportError:
        raise ValueError(not_installed(form)) from None
    # each runtime raises errors of its own
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"{file} is damaged, export it again: {' '.join(str(error).split())}"
        ) from error
    return functools.partial(_of_any_batch, run, threading.Lock())


def not_installed(form: Literal["litert", "onnx"]) -> str:
    """The sentence for a form whose extra is not installed."""
    return f"form {form} needs its extra, which is not installed: pip install multimodal_tf[{form}]"


def _of_any_batch(
    run: Network, lock: threading.Lock, arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    rows = len(next(iter(arrays.values())))
    if not rows:
        arrays = {name: np.zeros([1, *one.shape[1:]], one.dtype) for name, one in arrays.items()}
    with lock:
        outputs = run(arrays)
    return {name: one[:rows] for name, one in outputs.items()}


def _litert(file: pathlib.Path) -> Network:
    # an extra
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(file)).get_signature_runner("core")
    return lambda arrays: runner(**arrays)


def _onnx(file: pathlib.Path) -> Network:
    # an extra
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]

    def run(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {one.name: arrays[one.name] for one in session.get_inputs()}
        return dict(zip(names, session.run(names, given)))

    return run


def _served(prepare: Any, network: Network, finish: Any, raw: Tensors) -> Tensors:
    prepared = prepare(**raw)
    outputs = network({name: one.numpy() for name, one in _under(INPUTS, prepared).items()})
    taken = {name: one for name, one in prepared.items() if name.startswith(STATUS)}
    taken |= {name: tf.constant(one) for name, one in outputs.items()}
    wanted = finish.structured_input_signature[1]
    served: Tensors = finish(**{name: taken[name] for name in wanted})
    return served


def _core(network: Network, inputs: Tensors) -> Tensors:
    outputs = network({name: np.asarray(one) for name, one in inputs.items()})
    return {name: tf.constant(one) for name, one in _under(PREDICTIONS, outputs).items()}


def _under(room: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(room): one for name, one in tensors.items() if name.startswith(room)}
