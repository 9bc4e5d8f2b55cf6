"""Configuration to inputs and towers: which function encodes which input, and what becomes of it
where it is absent.
"""

import keras

from multimodal_tf.config import EMBEDDING, PRESENT, TABULAR, TOKENS, FramesTower
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.presence import (
    AnyPresent,
    ModalityDropout,
    TokensPresent,
    ZeroWhereAbsent,
)
from multimodal_tf.models.towers import TableColumn, encode_columns, encode_input
from multimodal_tf.models.towers.encoding import Encoding


def inputs(config):
    """Keras inputs by name, and the presence flags by the input's name."""
    inputs = {
        name: keras.Input(part.model_shape, None, part.model_dtype, name=name)
        for name, part in config.inputs.items()
    }
    present = (
        {name: keras.Input((), name=name + PRESENT, dtype="float32") for name in inputs}
        if config.fusion.presence
        else {}
    )
    return inputs, present


def with_dropout(fusion, present, name):
    """A presence flag with the fusion's modality dropout, if it has any."""
    if fusion.modality_dropout == 0:
        return present
    return ModalityDropout(
        fusion.modality_dropout, name=f"{name}_modality_dropout", dtype="float32"
    )(present)


def flags(config, present):
    """Presence by name, with that of the tower over several columns: whether any of them is there."""
    together = config.tabular_inputs()
    if not (present and together):
        return present
    return present | {
        TABULAR: AnyPresent(name=f"{TABULAR}_any", dtype="float32")(
            [present[name] for name in together]
        )
    }


def encodings(config, schema, inputs, present, with_tokens):
    """`Encoding` by name of every tower; `present` is empty if the model does not know presence."""
    encodings = {}
    for name in config.vectors():
        if name in inputs:
            encodings[name] = _encoding(
                config.inputs[name],
                schema.inputs.get(name),
                inputs[name],
                present.get(name),
                name,
                with_tokens,
            )
        else:
            encodings[name] = _tabular(config, schema, inputs, present)
    return encodings


def _encoding(input_config, stats, x, present, name, with_tokens):
    """One input's encoding.

    If the model knows presence, a missing input is hidden from the tower, and its encoding is zero.
    """
    if present is None:
        return encode_input(input_config, stats, x, None, name, name + EMBEDDING, with_tokens)
    # In float32 under mixed precision too: the next layers decide about their precision.
    x = ZeroWhereAbsent(name=f"{name}_value", dtype="float32")(x, present)
    encoding = encode_input(input_config, stats, x, present, name, f"{name}_vector", with_tokens)
    return _zeroed(encoding, present, name)


def _tabular(config, schema, inputs, present):
    """The encoding of the tower over several columns."""
    columns = {
        name: TableColumn(
            config.inputs[name], schema.inputs.get(name), inputs[name], present.get(name)
        )
        for name in config.tabular_inputs()
    }
    if not present:
        return encode_columns(config.tabular, columns, TABULAR, TABULAR + EMBEDDING)
    encoding = encode_columns(config.tabular, columns, TABULAR, f"{TABULAR}_vector")
    return _zeroed(encoding, present[TABULAR], TABULAR)


def _zeroed(encoding, present, name):
    """The same, zero where the input is absent."""
    tokens, mask, vector = encoding
    if tokens is not None:
        tokens = ZeroWhereAbsent(name=name + TOKENS)(tokens, present)
        mask = TokensPresent(name=f"{name}_tokens_present")(mask, present)
    return Encoding(tokens, mask, ZeroWhereAbsent(name=name + EMBEDDING)(vector, present))


def regularize(model, config):
    """Gives the kernels and embeddings of each tower its `l2`; also set on the layer, so that a
    saved model keeps it.
    """
    towers = {name: part.tower for name, part in config.inputs.items()} | {TABULAR: config.tabular}
    towers |= {
        f"{name}_frame": tower.frame
        for name, tower in towers.items()
        if isinstance(tower, FramesTower)
    }
    for outer in model.layers:
        l2 = getattr(towers.get(layer_paths.beginning(outer.name, towers)), "l2", 0.0)
        for layer in outer._flatten_layers() if l2 else ():
            for weight in ("kernel", "embeddings"):
                # an LSTM's is its cell's
                if hasattr(layer, weight) and getattr(layer, f"{weight}_regularizer", None) is None:
                    regularizer = getattr(layer, weight).regularizer = keras.regularizers.L2(l2)
                    setattr(layer, f"{weight}_regularizer", regularizer)
