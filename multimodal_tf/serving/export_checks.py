"""Checks of what `export_model` is given, before anything is traced or written."""

import os
import pathlib
import re

import keras

from multimodal_tf.config import Config
from multimodal_tf.config.forms import WEIGHTS, Form, Weights
from multimodal_tf.config.heads import cell_tensors, generating
from multimodal_tf.config.model import check_config
from multimodal_tf.schema import Schema, check_schema, thresholds
from multimodal_tf.serving.endpoints import Prepare

# what the server's file watcher reads as a version: an int64
_VERSION = re.compile(r"[0-9]{1,18}")


def check(
    path: pathlib.Path,
    model: keras.Model,
    config: Config,
    schema: Schema,
    explainer: keras.Model | None,
) -> None:
    """Checks the path, the configuration, and that the model and the explainer fit it."""
    check_path(path)
    check_config(config)
    _check_outputs(model, config, schema)
    _check_explainer(explainer, model)


def check_weights(form: Form, weights: Weights) -> None:
    """Checks that a form can hold weights of this type.

    Raises:
        ValueError: it cannot.
    """
    if form not in WEIGHTS:
        raise ValueError(f"form must be one of {', '.join(WEIGHTS)}, received {form!r}")
    if weights not in WEIGHTS[form]:
        raise ValueError(
            f"weights of the form {form} must be one of {', '.join(WEIGHTS[form])}, received "
            f"{weights!r}"
        )


def check_form(form: Form, weights: Weights, config: Config) -> None:
    """Checks that a form can hold weights of this type, and a model with these heads.

    Raises:
        ValueError: it cannot.
    """
    check_weights(form, weights)
    made = generating(config.heads)
    if made and form != "saved_model":
        name = next(iter(made))
        raise ValueError(
            f"form {form} holds no heads of texts or images, which a loop in TensorFlow makes:"
            f" choose the form saved_model, received heads.{name} of type {made[name].type}"
        )


def check_path(path: str | os.PathLike[str]) -> None:
    """Checks that a path can be the folder of a new version.

    Raises:
        ValueError: its name is not a whole number, or it exists and is not empty, or stands beside
            the same number in other digits, such as `01` beside `1`.
    """
    path = pathlib.Path(path)
    if not _VERSION.fullmatch(path.name):
        raise ValueError(
            "the exported model's folder must be NAME/VERSION with a whole number as version, "
            f"received {str(path)!r}"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"{path} exists already, and a version is never overwritten: choose another number"
        )
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    for other in beside:
        same = _VERSION.fullmatch(other.name) and int(other.name) == int(path.name)
        if same and other.name != path.name:
            raise ValueError(
                f"{path} is the same version to TensorFlow Serving as {other}: "
                "choose another number"
            )


def _check_outputs(model: keras.Model, config: Config, schema: Schema) -> None:
    if isinstance(model, str | os.PathLike):
        raise ValueError(
            "the model must be a keras.Model, such as load_run(path).model, received the path "
            f"{os.fspath(model)!r}"
        )
    if not all(isinstance(getattr(model, side, None), dict) for side in ("input", "output")):
        raise ValueError(
            "the model must be a functional keras.Model with a dict of inputs and a dict of "
            f"outputs, received {type(model).__name__}"
        )
    if model.output.keys() != config.heads.keys():
        raise ValueError(
            f"the model's outputs are {sorted(model.output)}, "
            f"but the configuration's heads are {sorted(config.heads)}"
        )
    check_schema(config, schema)
    for name, head in config.heads.items():
        stats = schema.heads.get(name)
        thresholds(name, head, stats)
        shape = head.output_shape(len(getattr(stats, "names", ())))
        if shape is not None and model.output[name].shape != (None, *shape):
            raise ValueError(
                f"the model's output {name!r} must be of shape {(None, *shape)}, "
                f"received {model.output[name].shape}"
            )


def check_inputs(model: keras.Model, prepare: Prepare) -> None:
    """Compares the model's inputs with the preprocessing's, by name, shape and dtype."""
    given, _ = prepare.get_concrete_function().structured_outputs  # type: ignore[attr-defined]
    inputs = cell_tensors(model.input, model.output)
    if inputs.keys() != given.keys():
        raise ValueError(
            f"the model's inputs are {sorted(inputs)}, but the configuration gives {sorted(given)}"
        )
    for name, spec in given.items():
        wanted = model.input[name]
        if wanted.dtype != spec.dtype.name or not spec.shape.is_compatible_with(wanted.shape):
            raise ValueError(
                f"the model's input {name!r} is {wanted.dtype} {wanted.shape}, "
                f"but the configuration gives {spec.dtype.name} {spec.shape}"
            )


def _check_explainer(explainer: keras.Model | None, model: keras.Model) -> None:
    """Checks that the explainer has the model's inputs and layers: weights are written once."""
    if explainer is None:
        return
    own = {id(weight) for weight in model.weights}
    inputs = cell_tensors(model.input, model.output)
    if explainer.input.keys() != inputs.keys() or any(
        id(weight) not in own for weight in explainer.weights
    ):
        raise ValueError(
            "the explainer must be explanations(model) of the model itself, "
            f"received {explainer.name!r} of another one"
        )
