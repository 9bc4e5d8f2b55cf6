"""Whether the signature of an exported model is that of the configuration beside it."""

import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import output_key
from multimodal_tf.config.saved_model.files import CONFIG_FILE, SCHEMA_FILE
from multimodal_tf.data.requests import request_spec
from multimodal_tf.data.units import centre_of
from multimodal_tf.schema import Schema, check_schema


def check(path: pathlib.Path, config: Config, schema: Schema, model: Any) -> None:
    """Compares `serving_default` with a configuration and schema by names, dtypes and shapes.

    Args:
        path: of the exported model, for errors.
        config: that lies in its folder.
        schema: that lies there.
        model: the loaded SavedModel.

    Raises:
        ValueError: they do not fit.
    """
    try:
        check_schema(config, schema)
    except ValueError as error:
        raise ValueError(
            f"{path}: {SCHEMA_FILE} is of another model than {CONFIG_FILE}: {error}"
        ) from error
    function = getattr(model, "signatures", {}).get("serving_default")
    if function is None:
        raise ValueError(
            f"{path} was not written by export_model: it lacks the signature 'serving_default'"
        )
    difference = _difference(
        {name: request_spec(one) for name, one in config.inputs.items()},
        function.structured_input_signature[1],
    ) or _difference(_outputs(config, schema), function.structured_outputs, only=False)
    if difference:
        raise ValueError(f"{path}: {CONFIG_FILE} is another model's: {difference}")


def _outputs(config: Config, schema: Schema) -> dict[str, tf.TensorSpec]:
    """The specs of the served tensors that the client reads, by key."""
    specs = {
        "valid": tf.TensorSpec([None], tf.bool),
        "error": tf.TensorSpec([None], tf.string),
        "present": tf.TensorSpec([None, len(config.inputs)], tf.bool),
    }
    for name, head in config.heads.items():
        is_string = head.target_type in ("class", "classes", "text", "image")
        is_vector = head.target_type is None and head.reads_fused
        shape = None if is_vector else [None]
        number = tf.float64 if centre_of(schema.heads.get(name)) else tf.float32
        specs[name] = tf.TensorSpec(shape, tf.string if is_string else number)
        whole = head.output_shape(len(getattr(schema.heads.get(name), "names", ())))
        choices = getattr(schema.heads.get(name), "choices", [])
        if head.generates and head.endings:
            wide = [None, len(choices)] if choices else [None]
            specs[output_key(name, head)] = tf.TensorSpec(wide, tf.float32)
        elif head.endings and whole is not None:
            specs[output_key(name, head)] = tf.TensorSpec([None, *whole], number)
    return specs


def _difference(
    wanted: Mapping[str, tf.TensorSpec], given: Mapping[str, tf.TensorSpec], only: bool = True
) -> str:
    """How a signature differs from what a configuration says; "" if it does not.

    Args:
        wanted: specs by the configuration.
        given: of the signature.
        only: whether the signature may have no others.
    """
    lacking = sorted(set(wanted) - set(given))
    more = sorted(set(given) - set(wanted)) if only else []
    if lacking or more:
        return f"the graph has {', '.join(map(repr, sorted(given)))}, the configuration says " + (
            repr(lacking[0]) if lacking else f"no {more[0]!r}"
        )
    for name, spec in wanted.items():
        own = given[name]
        if own.dtype != spec.dtype or not own.shape.is_compatible_with(spec.shape):
            return (
                f"the graph's {name!r} is {own.dtype.name} {own.shape}, the configuration says"
                f" {spec.dtype.name} {spec.shape}"
            )
    return ""
