"""The texts that a model predicts for the rows of a split."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from multimodal_tf.config import Config, TextHead
from multimodal_tf.config.heads import cell_tensors
from multimodal_tf.data.tokenizers.target_texts import texts_of
from multimodal_tf.schema import Schema, Texts


def predicted_texts(
    model: keras.Model | None,
    config: Config,
    schema: Schema,
    batches: Iterable[Mapping[str, tf.Tensor]],
) -> dict[str, list[str]]:
    """The predicted text of each row, by head.

    Args:
        model: of `build_model`; None: there are none.
        config, schema: of the model.
        batches: inputs of the model; targets are not read.

    Returns:
        By text head a text for each row; empty without a model or without such heads.
    """
    found: dict[str, list[str]] = {
        name: [] for name, head in config.heads.items() if isinstance(head, TextHead)
    }
    made: Any = model
    if made is None or not found or not hasattr(made, "generating"):
        return {}
    whole = made.generating()
    generator = keras.Model(whole.input, {name: whole.output[name] for name in found})
    predict = tf.function(
        lambda x: made.outputs_of(x, training=False, model=generator),
        reduce_retracing=True,
        autograph=False,
    )
    for inputs in batches:
        outputs = predict(cell_tensors(inputs, config.heads))
        for name, texts in found.items():
            stats = schema.heads[name]
            if isinstance(stats, Texts):
                texts += [one.decode() for one in texts_of(outputs[name], stats).numpy()]
    return found
