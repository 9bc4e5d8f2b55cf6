"""Chooses the signature and output of a SavedModel that fit an input, and tries them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from keras import KerasTensor

from multimodal_tf.config import SavedModelTower
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.towers.pretrained import (
    fitting_shape,
    format_shape,
    is_encodable,
    one_line,
    same_dtype_kind,
)
from multimodal_tf.models.towers.saved_model_layer import weights_of


class Choice(NamedTuple):
    """A signature and output, with arguments of `SavedModelLayer`."""

    signature: str
    output: str
    row_shape: list[int | None]
    row_by_row: bool
    batch_of_one: bool

    @property
    def takes_a_row(self) -> bool:
        """Whether the signature takes a row without a batch axis."""
        return self.row_by_row and not self.batch_of_one


def choose(
    signatures: Mapping[str, Any], tower: SavedModelTower, x: KerasTensor, field: str
) -> Choice:
    """Returns the signature and output that the configuration names, or the only usable ones.

    Args:
        signatures: of the loaded SavedModel, by name.
        tower: its `signature` and `output` are read.
        x: the input's Keras tensor.
        field: str. The tower's path, for errors.

    Raises:
        ValueError: no signature takes the input, or several do and none is named.
    """
    if tower.signature is not None and tower.signature not in signatures:
        raise ValueError(
            f"{field}.signature: must be one of the SavedModel's, which has"
            f" {_listing(signatures)}, received {tower.signature!r}"
        )
    choices = [
        choice
        for key, function in signatures.items()
        if tower.signature in (None, key)
        and not (tower.signature is None and _is_duplicate(key, signatures))
        for choice in _usable(key, function, x)
    ]
    if not choices:
        row = f"{x.dtype} (batch, {format_shape(x.shape[1:])})".replace("(batch, )", "(batch)")
        raise ValueError(
            f"{field}: no signature takes this input, {row}, the SavedModel has"
            f" {_listing(signatures)}"
        )
    named = [choice for choice in choices if tower.output in (None, choice.output)]
    if len(named) != 1:
        wanted = "output" if len({choice.signature for choice in choices}) == 1 else "signature"
        received = repr(getattr(tower, wanted)) if getattr(tower, wanted) is not None else "none"
        raise ValueError(
            f"{field}.{wanted}: must name one of those that can be used, which are"
            f" {_listing(signatures)}, received {received}"
        )
    return named[0]


def try_out(
    function: Any, choice: Choice, trainable: bool, field: str
) -> tuple[list[int | None], list[bool]]:
    """Calls a signature once on zeros.

    Args:
        function: the signature.
        choice: its input and output.
        trainable: bool. Whether its weights are to be trained.
        field: str. The tower's path, for errors.

    Returns:
        `(shape, reached)`: the shape of the output for one row, and for each weight whether a
        gradient reaches it (True for all if not `trainable`).

    Raises:
        ValueError: the call fails, the output cannot be encoded, or no weight can be trained.
    """
    weights, rows = weights_of(function), 1 if choice.row_by_row else 2
    (name, spec), *_ = function.structured_input_signature[1].items()
    shape = choice.row_shape if choice.takes_a_row else [rows, *choice.row_shape]
    sample = tf.zeros(shape, spec.dtype)
    gradients: list[Any] = []

    def attempt() -> tf.Tensor:
        with tf.GradientTape() as tape:
            output = function(**{name: sample})[choice.output]
            mean = tf.reduce_mean(output)
        gradients[:] = tape.gradient(mean, weights) if trainable else weights
        return output

    # Under a strategy, its variables can be read in a replica only.
    strategy = tf.distribute.get_strategy()
    try:
        output = strategy.experimental_local_results(strategy.run(attempt))[0]
    except (tf.errors.OpError, LookupError, ValueError, TypeError) as error:
        raise ValueError(
            f"{field}.path: signature {choice.signature!r} fails on an input of zeros:"
            f" {one_line(error)}"
        ) from error
    row = output.shape.as_list()[0 if choice.takes_a_row else 1 :]
    if not is_encodable(row) or not (choice.row_by_row or output.shape[0] == rows):
        raise ValueError(
            f"{field}.output: must have one to three axes for each of {rows} rows,"
            f" {choice.output!r} is of shape {output.shape.as_list()}"
        )
    reached = [gradient is not None for gradient in gradients]
    if trainable and not any(weight.trainable and one for weight, one in zip(weights, reached)):
        raise ValueError(
            f"{field}.trainable: signature {choice.signature!r} has no variable that can be"
            " trained, received true"
        )
    return row, reached


def _is_duplicate(key: str, signatures: Mapping[str, Any]) -> bool:
    """Whether this is `serving_default` beside the endpoint it repeats, as Keras writes it."""
    if key != "serving_default":
        return False
    own = signatures[key]
    return any(
        other != key
        and function.structured_input_signature == own.structured_input_signature
        and function.structured_outputs == own.structured_outputs
        for other, function in signatures.items()
    )


def _usable(key: str, function: Any, x: KerasTensor) -> Iterator[Choice]:
    """The outputs of a signature that a tower can use, if it takes the input."""
    _, inputs = function.structured_input_signature
    if len(inputs) != 1:
        return
    (spec,) = inputs.values()
    if not same_dtype_kind(x.dtype, spec.dtype.name):
        return
    fit = _fit(spec, tuple(x.shape[1:]))
    if fit is None:
        return
    for name, output in function.structured_outputs.items():
        choice = Choice(key, name, *fit)
        rank = output.shape.rank
        if rank is not None and not choice.takes_a_row:
            rank -= 1
        if output.dtype.is_floating and (rank is None or rank in (1, 2, 3)):
            yield choice


def _fit(spec: tf.TensorSpec, given: Shape) -> tuple[list[int | None], bool, bool] | None:
    """`row_shape, row_by_row, batch_of_one` for rows of shape `given`; None if they do not fit."""
    if spec.shape.rank is None:
        return list(given), False, False
    batch, *rest = spec.shape.as_list() or [0]
    row = fitting_shape(given, rest)
    if row is not None and batch in (None, 1):
        return list(row), batch == 1, batch == 1
    # A signature may take a single row, as YAMNet takes a single clip.
    row = fitting_shape(given, spec.shape.as_list())
    return None if row is None else (list(row), True, False)


def _listing(signatures: Mapping[str, Any]) -> str:
    """All signatures with their inputs and outputs, for an error."""
    if not signatures:
        return "none"
    return "; ".join(
        f"{key}({_specs(function.structured_input_signature[1])})"
        f" -> {_specs(function.structured_outputs)}"
        for key, function in signatures.items()
    )


def _specs(specs: Mapping[str, tf.TensorSpec]) -> str:
    return ", ".join(
        f"{name}: {spec.dtype.name} "
        + (
            f"({format_shape(spec.shape.as_list())})"
            if spec.shape.rank is not None
            else "of any shape"
        )
        for name, spec in specs.items()
    )
