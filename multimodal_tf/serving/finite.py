"""Served numbers are finite: what a row gets where the model's arithmetic overflows."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config.names import LOG_PROBABILITY

Tensors: TypeAlias = dict[str, tf.Tensor]
NOT_FINITE = "the output is not finite"


def outputs_without_inputs(
    model: keras.Model, call: Callable[[keras.Model, Tensors], Tensors]
) -> dict[str, np.ndarray]:
    """The model's outputs of a row without any input, which replace those that are not finite.

    Args:
        model: functional `keras.Model`, dict in, dict out.
        call: calls it.

    Returns:
        dict of output to `(1, ...)`.

    Raises:
        ValueError: a trainable weight, or such an output, is NaN or infinite.
    """
    for weight in model.trainable_weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight).astype(np.float32)).all():
            raise ValueError(
                "the model's weights must be finite numbers: its training diverged, train again"
                f" with a lower learning rate, received NaN or infinity in {weight.path!r}"
            )
    zeros = {
        name: tf.zeros([1, *(size or 1 for size in tensor.shape[1:])], tensor.dtype)
        for name, tensor in model.input.items()
    }
    outputs = {name: output.numpy() for name, output in call(model, zeros).items()}
    for name, output in outputs.items():
        if not np.isfinite(output.astype(np.float32)).all():
            raise ValueError(
                "the model's outputs of a row without inputs must be finite numbers, received NaN"
                f" or infinity of {name!r}"
            )
    return outputs


def replaced(
    outputs: Mapping[str, tf.Tensor], others: Mapping[str, np.ndarray] | None = None
) -> tuple[Tensors, Tensors]:
    """Replaces the rows of outputs that are not finite.

    Args:
        outputs: `(batch, ...)` by name; what is no floating-point number stays.
        others: what replaces a row, `(1, ...)` by name; None: zeros.

    Returns:
        `(outputs, reasons)`: the same, and by name string `(batch,)`, "" where nothing was
        replaced.
    """
    kept, reasons = {}, {}
    for name, output in outputs.items():
        kept[name] = output
        if not output.dtype.is_floating:
            continue
        fine = tf.reduce_all(tf.math.is_finite(output), axis=list(range(1, output.shape.rank)))
        row = tf.reshape(fine, [-1, *[1] * (output.shape.rank - 1)])
        other = tf.zeros([], output.dtype) if others is None else others[name]
        kept[name] = tf.where(row, output, tf.cast(other, output.dtype))
        reasons[name] = tf.where(fine, "", f"{name}: {NOT_FINITE}")
    return kept, reasons


def replaced_texts(
    outputs: Tensors, reasons: Mapping[str, tf.Tensor], others: Mapping[str, np.ndarray]
) -> Tensors:
    """The token ids of a row without inputs, where the log probability of a text is not finite.

    Args:
        outputs, reasons: of `replaced`.
        others: what replaces a row, `(1, ...)` by name.
    """
    found = dict(outputs)
    for key, reason in reasons.items():
        name = key.removesuffix(LOG_PROBABILITY)
        if name != key and name in outputs and not outputs[name].dtype.is_floating:
            row = (reason == "")[:, tf.newaxis]
            found[name] = tf.where(row, outputs[name], tf.cast(others[name], tf.int32))
    return found


def with_reasons(status: Tensors, reasons: Mapping[str, tf.Tensor]) -> Tensors:
    """The status of each row, with what `replaced` says of it."""
    error = status["error"]
    for reason in reasons.values():
        both = tf.strings.join([error, reason], "; ")
        error = tf.where(reason == "", error, tf.where(error == "", reason, both))
    return status | {"error": error, "valid": error == ""}
