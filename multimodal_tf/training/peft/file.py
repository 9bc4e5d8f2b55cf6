"""A small file with what a PEFT configuration taught, by name: it fits the model that it was made
on, and no other.

The file is a `.safetensors` (https://github.com/huggingface/safetensors): numbers and names, no
code.
"""

import hashlib
import json
import pathlib

import keras
import numpy as np
import safetensors
import safetensors.numpy

from multimodal_tf.data import atomic
from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.training.peft.freeze import trained

_FORMAT = "multimodal_tf peft 1"


def save_peft(model: keras.Model, path: str | pathlib.Path) -> None:
    """Writes what is trained of a model (LoRA, adapters, heads, biases) by name, and marks of all
    that is not.

    Args:
        model: a functional `keras.Model` that functions of `adapt` have changed.
        path: of a `.safetensors` file, which is there whole or not at all.

    Raises:
        ValueError: another ending, or nothing of the model is trained or was added.
        OSError: it cannot be written.

    Example:
        >>> save_peft(model, "runs/shop/peft.safetensors")  # doctest: +SKIP
    """
    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"path: must end in .safetensors, received {str(path)!r}")
    every, taught = _of_layers(model), _taught(model)
    if not taught:
        raise ValueError(
            "model: must train or bear something, received one with all of its weights frozen"
        )
    base = {name: _mark(weight) for name, weight in every.items() if name not in taught}
    described = {
        "format": _FORMAT,
        "grafts": json.dumps(attach.describe(model)),
        "base": json.dumps(base),
    }
    tensors = {name: np.array(every[name], order="C") for name in taught}
    with atomic.replacing(path) as temporary:
        safetensors.numpy.save_file(tensors, temporary, metadata=described)


def load_peft(model: keras.Model, path: str | pathlib.Path) -> None:
    """Gives a model what `save_peft` wrote: its answers are then those of the model that was saved.
    Compile it afterwards.

    Args:
        model: the base, built anew or loaded, without what was added; changed in place. It may have
            further layers, which are left alone; of the others those that were trained are, and
            those that were frozen are not.
        path: the file.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is no such file, or was made on another base: the sentence names the layer or
            weight that is missing, or differs. The model is unchanged then.

    Example:
        >>> import tempfile
        >>> from multimodal_tf.training.peft.add import lora
        >>> x = keras.Input((8,))
        >>> label = keras.layers.Dense(2, name="label", kernel_initializer="ones")
        >>> model = keras.Model(x, label(keras.layers.Dense(8, name="photo_dense", kernel_initializer="ones")(x)))
        >>> base = keras.models.clone_model(model)
        >>> lora(model, "photo_*", rank=1)
        >>> file = pathlib.Path(tempfile.mkdtemp(), "shop.safetensors")
        >>> save_peft(model, file)
        >>> load_peft(base, file)
        >>> bool((base(np.ones((1, 8))) == model(np.ones((1, 8)))).numpy().all())
        True
    """
    path = pathlib.Path(path)
    described, tensors = _read(path)
    every, added, base = (
        _of_layers(model),
        json.loads(described["grafts"]),
        json.loads(described["base"]),
    )
    for name, mark in base.items():
        _check_there(path, name, every)
        if _mark(every[name]) != mark:
            raise ValueError(
                f"{path}: {name}: must have the numbers that the PEFT configuration was made on, received others: it is of another base"
            )
    for name, tensor in tensors.items():
        if "/graft/" not in name:
            _check_there(path, name, every)
            if every[name].shape != tensor.shape:
                raise ValueError(
                    f"{path}: {name}: must be of the shape {tensor.shape} that the PEFT configuration has, received {every[name].shape}: "
                    "it is of another base"
                )
    try:
        attach.attach(model, added)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    frozen, every = {id(every[name]) for name in base}, _of_layers(model)
    for name, tensor in tensors.items():
        every[name].assign(tensor)
    attach.train(model, trained(model) - frozen | {id(every[name]) for name in tensors})


def _of_layers(model):
    """All weights by path but those of the model itself: these weigh losses, and have no part in an
    answer.
    """
    return {path: weight for path, weight in layer_paths.weights(model).items() if "/" in path}


def _taught(model):
    """Names of the weights that a PEFT configuration consists of: all that is trained or was added,
    and statistics of layers that are trained.
    """
    learning = [
        layer
        for layer in layer_paths.layers(model).values()
        if any(weight.trainable for weight in layer._trainable_variables)
    ]
    statistics = {id(weight) for layer in learning for weight in layer._non_trainable_variables}
    every = _of_layers(model).items()
    return [
        name
        for name, weight in every
        if weight.trainable or "/graft/" in name or id(weight) in statistics
    ]


def _mark(weight):
    """What tells a weight of a base from another: a digest of its shape and numbers."""
    values = np.array(weight, order="C")
    return hashlib.sha256(f"{values.dtype} {values.shape}".encode() + values.tobytes()).hexdigest()[
        :16
    ]


def _check_there(path, name, every):
    if name not in every:
        raise ValueError(
            f"{path}: {name}: must be a weight of the model, which has none of this name: it is of another base"
        )


def _read(path):
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no PEFT configuration")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            described = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: must be a file of save_peft, received a damaged or other one: {error}"
        ) from error
    if described.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: must be of the format {_FORMAT!r}, received {described.get('format')!r}"
        )
    return described, tensors
