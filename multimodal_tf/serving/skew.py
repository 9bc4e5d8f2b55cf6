"""Training-serving skew: the SavedModel on raw bytes against the model on the training pipeline."""

import os
import pathlib
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import cell_tensors, generating, output_key
from multimodal_tf.config.saved_model.files import load_temperatures
from multimodal_tf.config.saved_model.form import load_exported
from multimodal_tf.data import requests
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.schema import Schema
from multimodal_tf.serving import temperature
from multimodal_tf.serving.endpoints import predictions
from multimodal_tf.serving.served_heads import served_config, served_model


def skew(
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: str | os.PathLike[str],
    path: str | os.PathLike[str],
    split: str = "test",
) -> dict[str, float]:
    """Compares `model.predict` on the training pipeline with `serving_default` on raw records.

    Where the SavedModel has a temperature, it is applied to the model's probabilities before they
    are compared.

    Args:
        model: the model that was exported.
        config: of both.
        schema: of both.
        records: folder that `ingest` wrote.
        path: folder that `export_model` wrote.
        split: "train", "validation" or "test"; all of its rows are compared.

    Returns:
        dict of head to float, the largest absolute difference of a probability, of a number in its
        own unit, of a number of an embedding, of a text's log probability, or of a pixel of an
        image, 0 to 1, in 256 steps.

    Raises:
        ValueError: the two have different numbers of rows.
    """
    config = served_config(config)
    batches = load_split(config, schema, records, split)
    if generating(config.heads):
        model = served_model(model, config)
        batches = batches.map(lambda x, y, weight: (cell_tensors(x, config.heads), y, weight))
    trained = model.predict(batches, verbose=0)
    served, present = _served(
        path, load_raw(config, records, split, config.training.batch_size), config
    )
    temperatures = load_temperatures(path)
    differences = {}
    for name, head in config.heads.items():
        if len(served[name]) != len(trained[name]):
            raise ValueError(
                f"the training pipeline gives {len(trained[name])} rows of the split {split!r}, "
                f"the records hold {len(served[name])}"
            )
        own = tf.constant(trained[name])
        if name in temperatures:
            own = temperature.scaled(own, temperatures[name], present, config, name)
        key = output_key(name, head)
        own = (
            trained[key]
            if key != name and key in trained
            else predictions(name, head, own, schema)[key].numpy()
        )
        differences[name] = _largest(served[name], own)
    return differences


def _largest(served: np.ndarray, own: np.ndarray) -> float:
    """The largest difference of two arrays of numbers, or of pixels, 0 to 1, in PNG files."""
    if served.dtype == object:
        pairs = zip(served.tolist(), own.tolist())
        return max((_largest(_pixels(one), _pixels(other)) for one, other in pairs), default=0.0)
    return float(np.abs(served - own).max(initial=0))


def _pixels(file: bytes) -> np.ndarray:
    return np.asarray(tf.io.decode_png(file)) / np.float32(255)


def _served(
    path: str | os.PathLike[str],
    batches: Iterable[tuple[object, dict[str, tf.Tensor], object]],
    config: Config,
) -> tuple[dict[str, np.ndarray], tf.Tensor]:
    """The whole outputs by head of all rows, and which inputs are present."""
    signature = load_exported(pathlib.Path(path)).signatures["serving_default"]
    results = [signature(**requests.of_records(config, raw)) for _, raw, _ in batches]
    keys = {name: output_key(name, head) for name, head in config.heads.items()}
    outputs = {
        name: np.concatenate([result[key].numpy() for result in results])
        for name, key in keys.items()
    }
    return outputs, tf.concat([result["present"] for result in results], axis=0)
