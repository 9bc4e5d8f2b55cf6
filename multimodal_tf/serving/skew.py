"""Training-serving skew: how far the SavedModel on raw bytes is from the model on the training
pipeline.
"""

import numpy as np
import tensorflow as tf

from multimodal_tf.config import PROBABILITIES, QUANTILES
from multimodal_tf.config.saved_model import load_temperatures
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.scoring.temperature import tempered
from multimodal_tf.serving import temperature

_SUFFIXES = dict.fromkeys(("classification", "ordinal", "multi_label"), PROBABILITIES) | {
    "quantile": QUANTILES
}


def skew(model, exported_path, directory, config, schema, split="test"):
    """Compares `model.predict` on the training pipeline with `serving_default` on the raw records,
    over all rows of a split.

    Where the SavedModel has a temperature, the model's probabilities are given the same before they
    are compared.

    Args:
        model: `keras.Model` that was exported.
        exported_path: folder that `export_model` wrote.
        directory: folder that `ingest` wrote.
        config: `Config` of both.
        schema: `Schema` of both.
        split: "train", "validation" or "test".

    Returns:
        dict of head to float, the largest absolute difference of a probability, of a number in its
        own unit, or of a part of an embedding.

    Raises:
        ValueError: the two saw different numbers of rows.
    """
    trained = model.predict(load_split(config, schema, directory, split), verbose=0)
    served, present = _served(
        exported_path, load_raw(config, directory, split, config.training.batch_size), config
    )
    temperatures = load_temperatures(exported_path)
    differences = {}
    for name, answers in served.items():
        if len(answers) != len(trained[name]):
            raise ValueError(
                f"the training pipeline gives {len(trained[name])} rows of the split {split!r}, the records hold {len(answers)}"
            )
        own = _chance(trained[name]) if config.heads[name].type == "matching" else trained[name]
        if name in temperatures:
            own = tempered(
                own, temperatures[name], temperature.any_present(present, config, name)
            ).numpy()
        differences[name] = float(np.abs(answers - own.reshape(answers.shape)).max(initial=0))
    return differences


def _served(path, batches, config):
    """The SavedModel's probabilities and numbers by head, all rows, and which inputs were present."""
    loaded = tf.saved_model.load(str(path))
    answers = [loaded.signatures["serving_default"](**raw) for _, raw, _ in batches]
    keys = {name: name + _SUFFIXES.get(head.type, "") for name, head in config.heads.items()}
    collected = {
        name: np.concatenate([answer[key].numpy() for answer in answers])
        for name, key in keys.items()
    }
    return collected, tf.concat([answer["present"] for answer in answers], axis=0)


def _chance(vectors):
    """The probability that a matching head serves, from what its model answers."""
    return 1 / (1 + np.exp(-(vectors[:, 0] * vectors[:, 1]).sum(axis=1)))
