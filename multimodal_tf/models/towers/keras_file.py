"""A saved Keras model, up to one of its layers, as a tower."""

import pathlib
import zipfile

import keras

from multimodal_tf.config import Input, KerasTower
from multimodal_tf.models.keras_archive import load_keras_file
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.towers.pretrained import (
    encode_output,
    fit_shape,
    format_shape,
    is_encodable,
    nearest_names,
    one_line,
    run,
    scale_pixels,
)


def keras_file(tower: KerasTower, given: TowerInput[Input], last: str) -> Encoding:
    """The layers of a `.keras` file, which become layers of this model.

    They keep their weights, and the precision in which they were saved.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)` 0 to 1, float32 `(batch,
            samples)` -1 to 1, or int32 `(batch, max_tokens)`; the model must take that, up to a
            last axis of size 1.

    Returns:
        `Encoding`: the layer's output `(batch, dim)` is one token, `(batch, length, dim)` are
        `length` tokens, `(batch, height, width, dim)` one per cell.

    Raises:
        FileNotFoundError: nothing is at `tower.path`.
        ValueError: it is no Keras file, or Keras' safe mode does not load it (a Lambda layer, an
            unknown class); the model is not functional or has several inputs; it lacks the layer,
            or this has not one floating-point output of 1 to 3 axes per row; the input does not
            fit; or it is trainable and has nothing to train.
    """
    name = given.name
    field = f"inputs.{name}.tower"
    network = _up_to(_loaded(tower.path, field), tower.layer, f"{name}_keras", field)
    # This includes layers that were frozen in the file.
    network.trainable = tower.trainable
    (own,) = network.inputs
    shape, dtype = tuple(own.shape[1:]), keras.backend.standardize_dtype(own.dtype)
    x = scale_pixels(tower.pixels, given.config, given.x, name)
    x = fit_shape(x, shape, dtype, name, f"{field}.path", f"the model {tower.path!r}")
    output = run(network, x, given.present, name, tower.trainable)
    if tower.trainable and not network.trainable_weights:
        raise ValueError(
            f"{field}.trainable: the model has no weights before {network.output.shape} that can"
            " be trained, received true"
        )
    return encode_output(tower, output, None, name, last)


def _loaded(path: str, field: str) -> keras.Model:
    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"{field}.path: must be a .keras file, nothing is at {path!r}")
    # Keras also reads HDF5, but without its safe mode.
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{field}.path: must be a file in the .keras format, which is a zip archive, {path!r}"
            " is none"
        )
    try:
        model = load_keras_file(path, compiled=False)
    except ValueError as error:
        raise ValueError(
            f"{field}.path: Keras does not load {path!r} in its safe mode: {one_line(error)}"
        ) from error
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or not hasattr(model, "layers"):
        raise ValueError(
            f"{field}.path: must be a functional or sequential model of one input, {path!r} has"
            f" the inputs {[getattr(one, 'name', one) for one in inputs]}"
        )
    return model


def _up_to(model: keras.Model, layer: str | None, name: str, field: str) -> keras.Model:
    """The model from its input to the output of `layer`, or to its own if None."""
    outputs = model.outputs
    if layer is not None:
        names = [one.name for one in model.layers]
        if layer not in names:
            raise ValueError(
                f"{field}.layer: must be a layer of the model, such as"
                f" {nearest_names(layer, names)}, received {layer!r}"
            )
        outputs = keras.tree.flatten(model.get_layer(layer).output)
    if (
        len(outputs) != 1
        or not is_encodable(outputs[0].shape[1:])
        or "float" not in keras.backend.standardize_dtype(outputs[0].dtype)
    ):
        shapes = [f"{one.dtype} (batch, {format_shape(one.shape[1:])})" for one in outputs]
        raise ValueError(
            f"{field}.layer: must have one floating-point output with one to three axes per row,"
            f" received {layer!r} with {shapes}"
        )
    return keras.Model(model.inputs[0], outputs[0], name=name)
