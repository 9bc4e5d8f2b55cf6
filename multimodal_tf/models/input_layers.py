"""Keras inputs, presence flags and encodings of a configuration."""

from typing import Any, NamedTuple, cast

import keras

from multimodal_tf.config import EMBEDDING, PRESENT, TABULAR, TOKENS, Config, Input, TabularTower
from multimodal_tf.models.presence import (
    AnyPresent,
    ModalityDropout,
    TokensPresent,
    ZeroWhereMissing,
)
from multimodal_tf.models.regularize import regularize
from multimodal_tf.models.towers import augment_input, encode_columns, encode_input
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.towers.tabular import TabularInput
from multimodal_tf.schema import Schema

# Keras tensors by name
Tensors = dict[str, keras.KerasTensor]


class Encodings(NamedTuple):
    """The inputs of a model and the outputs of its towers, all by name.

    `inputs` holds the Keras inputs, presence flags included. `present` has float32 `(batch,)` flags
    of the vectors in `by_name`, after modality dropout; it is empty without presence. `given` has
    what the towers of single inputs read, before any augmentation, `augmented` the same after it.
    """

    inputs: Tensors
    present: Tensors
    by_name: dict[str, Encoding]
    given: dict[str, TowerInput[Input]]
    augmented: Tensors


def encode(config: Config, schema: Schema, with_tokens: bool) -> Encodings:
    """Makes the Keras inputs and runs each through its tower.

    Args:
        config: what the model is.
        schema: what was learned from the training split.
        with_tokens: whether something reads the towers' tokens. If nothing does, recurrent towers
            have none.
    """
    values = {
        name: keras.Input(one.model_shape, dtype=one.model_dtype, name=name)
        for name, one in config.inputs.items()
    }
    flags: Tensors = {}
    if config.fusion.presence:
        flags = {name: keras.Input((), name=name + PRESENT, dtype="float32") for name in values}
    present = _present(config, flags)
    by_name: dict[str, Encoding] = {}
    given: dict[str, TowerInput[Input]] = {}
    augmented: Tensors = {}
    for name in config.vectors():
        if name in values:
            one, stats = config.inputs[name], schema.inputs.get(name)
            given[name] = _given(name, one, stats, values[name], present.get(name))
            augmented[name] = augment_input(one, given[name].x, name)
            by_name[name] = _encoding(given[name]._replace(x=augmented[name]), with_tokens)
        elif config.tabular is not None:
            by_name[name] = _tabular(config.tabular, config, schema, values, present)
    inputs = values | {name + PRESENT: flag for name, flag in flags.items()}
    return Encodings(inputs, present, by_name, given, augmented)


def _present(config: Config, flags: Tensors) -> Tensors:
    """The flags after modality dropout, and that of the tower over several columns."""
    rate = config.fusion.modality_dropout
    if rate > 0:
        flags = {
            name: ModalityDropout(rate, name=f"{name}_modality_dropout", dtype="float32")(flag)
            for name, flag in flags.items()
        }
    together = config.tabular_inputs()
    if not (flags and together):
        return flags
    any_present = AnyPresent(name=f"{TABULAR}_any", dtype="float32")
    return flags | {TABULAR: any_present([flags[name] for name in together])}


def _given(
    name: str,
    input_config: Input,
    stats: Any,
    x: keras.KerasTensor,
    present: keras.KerasTensor | None,
) -> TowerInput[Input]:
    """What one input's tower reads: zeros where the input is missing, if the model knows that."""
    if present is not None:
        # float32 under mixed precision too: the following layers know what precision they need
        x = ZeroWhereMissing(name=f"{name}_value", dtype="float32")(x, present)
    return TowerInput(name, input_config, stats, x, present)


def _encoding(given: TowerInput[Input], with_tokens: bool) -> Encoding:
    """One input's encoding; that of a missing input is zero, if the model knows presence."""
    name, input_config, stats, x, present = given
    last = name + EMBEDDING if present is None else f"{name}_vector"
    encoding = encode_input(input_config, stats, x, present, name, last, with_tokens)
    l2 = getattr(input_config.tower, "l2", 0.0)
    regularize(x, [encoding.vector, encoding.tokens], l2)
    return encoding if present is None else _zeroed(encoding, present, name)


def _tabular(
    tower: TabularTower, config: Config, schema: Schema, values: Tensors, present: Tensors
) -> Encoding:
    """The encoding of the tower over several columns."""
    columns = [
        TowerInput(
            name,
            cast(TabularInput, config.inputs[name]),
            schema.inputs.get(name),
            values[name],
            present.get(name),
        )
        for name in config.tabular_inputs()
    ]
    if not present:
        return encode_columns(tower, columns, TABULAR, TABULAR + EMBEDDING)
    encoding = encode_columns(tower, columns, TABULAR, f"{TABULAR}_vector")
    return _zeroed(encoding, present[TABULAR], TABULAR)


def _zeroed(encoding: Encoding, present: keras.KerasTensor, name: str) -> Encoding:
    """The same encoding, zero where the input is missing."""
    tokens, mask, vector, wide = encoding
    if tokens is not None:
        tokens = ZeroWhereMissing(name=name + TOKENS)(tokens, present)
        mask = TokensPresent(name=f"{name}_tokens_present")(mask, present)
    if wide is not None:
        wide = ZeroWhereMissing(name=f"{name}_wide_zeroed", dtype="float32")(wide, present)
    return Encoding(tokens, mask, ZeroWhereMissing(name=name + EMBEDDING)(vector, present), wide)
