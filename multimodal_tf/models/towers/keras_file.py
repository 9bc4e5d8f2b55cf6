"""A saved Keras model up to one of its layers as a tower, frozen or trained further."""

import pathlib
import zipfile

import keras

from multimodal_tf.models.towers.pretrained import (
    as_trained,
    encoding,
    fit,
    is_answer,
    line,
    listed,
    near,
    run,
)


def keras_file(part, stats, x, present, name, last):
    """The layers of a `.keras` file; `part.tower` is `config.KerasTower`.

    They become layers of this model, with the weights that they had, in the precision in which they
    were saved.

    Args:
        part: `config.ImageInput`, `TextInput` or `AudioInput`.
        x: Keras tensor: float32 `(batch, height, width, channels)` 0 to 1, float32 `(batch,
            samples)` -1 to 1, or int32 `(batch, max_tokens)`; the model must take that, up to an
            axis of size 1 at its end.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: the layer's output `(batch, dim)` is one token, `(batch, length, dim)` so many,
        `(batch, height, width, dim)` one a place.

    Raises:
        FileNotFoundError: nothing is at `part.tower.path`.
        ValueError: it is no Keras file, or one that Keras' safe mode does not load (a Lambda layer,
            an unknown class); the model is not functional or has several inputs; it has no such
            layer, or that has no one floating-point output of 1 to 3 axes a row; what the input
            gives does not fit; or all of it is to be trained and nothing can be.
    """
    tower, field = part.tower, f"inputs.{name}.tower"
    network = _up_to(_loaded(tower.path, field), tower.layer, f"{name}_keras", field)
    # also of layers that were frozen in the file
    network.trainable = tower.trainable
    (own,) = network.inputs
    x = as_trained(part, x, name)
    x = fit(
        x,
        tuple(own.shape[1:]),
        keras.backend.standardize_dtype(own.dtype),
        name,
        f"{field}.path",
        f"the model {tower.path!r}",
    )
    answer = run(network, x, present, name, tower.trainable)
    if tower.trainable and not network.trainable_weights:
        raise ValueError(
            f"{field}.trainable: the model has no weights before {network.output.shape} that can be trained, received true"
        )
    return encoding(tower, answer, None, name, last)


def _loaded(path, field):
    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"{field}.path: must be a .keras file, nothing is at {path!r}")
    # Keras also reads HDF5, without its safe mode
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{field}.path: must be a file in the .keras format, which is a zip archive, {path!r} is none"
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # noqa: BLE001  Keras raises whatever it likes on a file that is not as it should be
        raise ValueError(
            f"{field}.path: Keras does not load {path!r} in its safe mode: {line(error)}"
        ) from error
    if len(getattr(model, "inputs", None) or []) != 1 or not hasattr(model, "layers"):
        found = [getattr(one, "name", one) for one in getattr(model, "inputs", None) or []]
        raise ValueError(
            f"{field}.path: must be a functional or sequential model of one input, {path!r} has the inputs {found}"
        )
    return model


def _up_to(model, layer, name, field):
    """The model from its input to the output of `layer`, or to its own."""
    outputs = model.outputs
    if layer is not None:
        names = [one.name for one in model.layers]
        if layer not in names:
            raise ValueError(
                f"{field}.layer: must be a layer of the model, such as {near(layer, names)}, received {layer!r}"
            )
        outputs = keras.tree.flatten(model.get_layer(layer).output)
    shapes = [f"{one.dtype} (batch, {listed(one.shape[1:])})" for one in outputs]
    if (
        len(outputs) != 1
        or not is_answer(outputs[0].shape[1:])
        or "float" not in keras.backend.standardize_dtype(outputs[0].dtype)
    ):
        raise ValueError(
            f"{field}.layer: must have one floating-point output with one to three axes a row, received {layer!r} with {shapes}"
        )
    return keras.Model(model.inputs[0], outputs[0], name=name)
