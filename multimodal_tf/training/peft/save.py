"""A small file with the weights that fine-tuning trained or added, for one base model.

The file is a `.safetensors` (https://github.com/huggingface/safetensors): numbers and names, no
code. It stores digests of the base model's weights, and can be loaded into that model only.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Literal

import keras
import numpy as np
import pydantic
import safetensors
import safetensors.numpy

from multimodal_tf.config.names import Width, first_fault
from multimodal_tf.data import atomic
from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.training.peft.freeze import ids, is_added, trained_ids

_FORMAT = "multimodal_tf peft 1"


class _LowRank(pydantic.BaseModel):
    type: Literal["low_rank"]
    layers: list[str]
    rank: Width
    alpha: pydantic.FiniteFloat | None


class _Adapter(pydantic.BaseModel):
    type: Literal["adapter"]
    layers: list[str]
    units: Width
    activation: str


_Added = Annotated[_LowRank | _Adapter, pydantic.Field(discriminator="type")]


class _Metadata(pydantic.BaseModel):
    """What a file says beside its numbers; each is JSON in the file."""

    # as `attach.describe` returns it
    added: pydantic.Json[list[_Added]]
    # digests of the base model's weights
    base: pydantic.Json[dict[str, str]]


Weights = Mapping[str, keras.Variable]
Tensors = dict[str, np.ndarray]


def save_peft(model: keras.Model, path: str | pathlib.Path) -> None:
    """Writes the trained and added weights of a model by name, and digests of all others.

    Args:
        model: a functional `keras.Model` that functions of `peft` have changed.
        path: of a `.safetensors` file, which is written atomically.

    Raises:
        ValueError: the suffix is another one, or nothing of the model is trained or was added.
        OSError: it cannot be written.

    Example:
        >>> save_peft(model, "runs/shop/peft.safetensors")  # doctest: +SKIP
    """
    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"path: must end in .safetensors, received {str(path)!r}")
    weights, saved = _layer_weights(model), _saved_names(model)
    if not saved:
        raise ValueError(
            "model: must have trained weights, LoRA or adapters, received one with all of its "
            "weights frozen"
        )
    base = {name: _digest(weight) for name, weight in weights.items() if name not in saved}
    metadata = {
        "format": _FORMAT,
        "added": json.dumps(attach.describe(model)),
        "base": json.dumps(base),
    }
    tensors = {name: np.array(weights[name], order="C") for name in saved}
    with atomic.replacing(path) as temporary:
        safetensors.numpy.save_file(tensors, temporary, metadata=metadata)


def load_peft(model: keras.Model, path: str | pathlib.Path) -> None:
    """Applies a file of `save_peft` to its base model. Compile the model afterwards.

    The outputs are then those of the model that was saved.

    Args:
        model: the base, built anew or loaded, without LoRA and adapters; changed in place. It may
            have further layers, which do not change. Of the others the same weights are trained as
            in the model that was saved.
        path: the file.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is no such file, or is of another base: the message names the layer or weight
            that is missing or differs. The model is unchanged then.

    Example:
        >>> import tempfile
        >>> from multimodal_tf.training.peft.add import add_lora
        >>> x = keras.Input((8,))
        >>> y = keras.layers.Dense(8, name="photo_dense", kernel_initializer="ones")(x)
        >>> y = keras.layers.Dense(2, name="label", kernel_initializer="ones")(y)
        >>> model = keras.Model(x, y)
        >>> base = keras.models.clone_model(model)
        >>> add_lora(model, "photo_*", rank=1)
        >>> file = pathlib.Path(tempfile.mkdtemp(), "shop.safetensors")
        >>> save_peft(model, file)
        >>> load_peft(base, file)
        >>> bool((base(np.ones((1, 8))) == model(np.ones((1, 8)))).numpy().all())
        True
    """
    path = pathlib.Path(path)
    metadata, tensors = _read(path)
    weights = _layer_weights(model)
    _check_base(path, weights, metadata.base, tensors)
    try:
        attach.attach(model, [one.model_dump() for one in metadata.added])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    frozen = ids(weights[name] for name in metadata.base)
    weights = _layer_weights(model)
    for name, tensor in tensors.items():
        _check_tensor(path, name, weights, tensor)
    for name, tensor in tensors.items():
        weights[name].assign(tensor)
    attach.train(model, trained_ids(model) - frozen | ids(weights[name] for name in tensors))


def _check_base(
    path: pathlib.Path, weights: Weights, base: Mapping[str, str], tensors: Tensors
) -> None:
    """Checks that a model is the base of a file.

    Raises:
        ValueError: a weight is missing or differs.
    """
    for name, digest in base.items():
        _check_exists(path, name, weights)
        if _digest(weights[name]) != digest:
            raise ValueError(
                f"{path}: {name}: must have the values of the model that was fine-tuned, "
                "received others: it is of another base"
            )
    for name, tensor in tensors.items():
        if not is_added(name):
            _check_tensor(path, name, weights, tensor)


def _check_tensor(path: pathlib.Path, name: str, weights: Weights, tensor: np.ndarray) -> None:
    _check_exists(path, name, weights)
    if weights[name].shape != tensor.shape:
        raise ValueError(
            f"{path}: {name}: must be of the shape {tensor.shape} that the file has, "
            f"received {weights[name].shape}: it is of another base"
        )


def _check_exists(path: pathlib.Path, name: str, weights: Weights) -> None:
    if name not in weights:
        raise ValueError(
            f"{path}: {name}: must be a weight of the model, which has none of this name: "
            "it is of another base"
        )


def _layer_weights(model: keras.Model) -> Weights:
    """All weights of layers by path.

    Weights of the model itself are left out: they weigh the losses, and do not affect outputs.
    """
    weights = layer_paths.weights(model)
    return {path: weight for path, weight in weights.items() if "/" in path}


def _saved_names(model: keras.Model) -> list[str]:
    """Names of the weights that are trained or were added, and statistics of trained layers."""
    statistics = {
        id(weight)
        for layer in layer_paths.layers(model).values()
        if any(weight.trainable for weight in layer._trainable_variables)
        for weight in layer._non_trainable_variables
    }
    return [
        name
        for name, weight in _layer_weights(model).items()
        if weight.trainable or is_added(name) or id(weight) in statistics
    ]


def _digest(weight: keras.Variable) -> str:
    """Of a weight's type, shape and values."""
    values = np.array(weight, order="C")
    content = f"{values.dtype} {values.shape}".encode() + values.tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _read(path: pathlib.Path) -> tuple[_Metadata, Tensors]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no file of save_peft")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            # not a dict
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: must be a file of save_peft, received a damaged or other one: {error}"
        ) from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: must be of the format {_FORMAT!r}, received {metadata.get('format')!r}"
        )
    try:
        return _Metadata.model_validate(metadata), tensors
    except pydantic.ValidationError as error:
        raise ValueError(f"{path} is damaged: {first_fault(error)}") from error
