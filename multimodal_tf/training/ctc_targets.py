"""Training rows whose text a head with `decoder: ctc` cannot learn."""

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config, TextHead
from multimodal_tf.config.names import PRESENT, TARGET
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models.decoders.ctc import CTCScores, is_aligned
from multimodal_tf.models.generating import scores_layer
from multimodal_tf.schema import Schema

# rows in a call of the model; counts do not depend on it
_BATCH = 256


def unaligned_note(model: keras.Model, config: Config, schema: Schema, records: PathLike) -> str:
    """A sentence on training rows whose text CTC cannot align to the row's time steps.

    Args:
        model: of `build_model`.
        config, schema: of the model.
        records: folder of ingested records.

    Returns:
        "" where there are none, or no head has `decoder: ctc`.

    Raises:
        ValueError: no training row of such a head can be aligned.
    """
    layers = {name: scores_layer(model, name) for name in config.heads}
    of_ctc = {name: layer for name, layer in layers.items() if isinstance(layer, CTCScores)}
    if not of_ctc:
        return ""
    notes = []
    for name, (known, cut, unaligned) in _counts(of_ctc, model, config, schema, records).items():
        head, lost = config.heads[name], cut + unaligned
        if not lost or not isinstance(head, TextHead):
            continue
        found = (
            f"heads.{name}: of {known} training rows with a text and an input {lost} teach nothing,"
            f" {cut} with more tokens than max_tokens, {head.max_tokens}, and {unaligned} that need"
            " more time steps than the tower gives them"
        )
        if lost == known:
            raise ValueError(f"{found}: raise max_tokens, or take a tower with more time steps")
        notes.append(found)
    return "; ".join(notes)


def _counts(
    of_ctc: dict[str, CTCScores],
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
) -> dict[str, np.ndarray]:
    """By head its rows with a text and an input, those with a cut text, those without alignment."""
    # target, tokens and visible frames are the first that the layer reads
    visible = {name: layer.input[2] for name, layer in of_ctc.items()}
    frames = keras.Model(model.input, visible)
    count = tf.function(
        lambda x: {
            name: tf.reduce_sum(tf.cast(one, tf.int32), axis=1)
            for name, one in frames(x, training=False).items()
        },
        reduce_retracing=True,
        autograph=False,
    )
    counts = {name: np.zeros(3, int) for name in of_ctc}
    for inputs, _, weights in load_split(config, schema, records, "train", batch_size=_BATCH):
        lengths = count(inputs)
        for name, layer in of_ctc.items():
            target = inputs[name + TARGET]
            known = weights[name] > 0
            own = config.head_vectors(name)[0]
            if config.fusion.presence:
                known &= inputs[own + PRESENT] > 0.5
            cut = known & ~tf.reduce_any(target == layer.end, axis=1)
            lost = known & ~cut & ~is_aligned(target, layer.end, lengths[name])
            counts[name] += [int(np.count_nonzero(one)) for one in (known, cut, lost)]
    return counts
