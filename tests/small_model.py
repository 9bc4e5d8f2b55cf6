"""A small model with several kinds of inputs and heads, one with a guard, and their rows."""

import random

import numpy as np
import tensorflow as tf
from media import random_audio, random_image

from multimodal_tf.config import (
    AudioInput,
    CategoryInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ConvTower,
    DenseTower,
    ImageInput,
    LSTMTower,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    SpectrogramTower,
    TextInput,
)
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Mahalanobis

CONFIG = Config(
    inputs={
        "photo": ImageInput(
            height=16, width=12, column="Photo (front)", tower=ConvTower(filters=[4], dim=5)
        ),
        "title": TextInput(max_tokens=6, tower=LSTMTower(embedding_dim=4, units=6)),
        "sound": AudioInput(
            sample_rate=4000, seconds=0.5, tower=SpectrogramTower(filters=[4], dim=5, mel_bins=8)
        ),
        "price": NumberInput(tower=DenseTower(dim=3)),
        "colour": CategoryInput(tower=DenseTower(dim=3)),
    },
    heads={
        "label": ClassificationHead(),
        "tags": MultiLabelHead(separator=" | "),
        "age": RegressionHead(),
    },
    fusion=ConcatenationFusion(hidden=[8]),
)
SCHEMA = Schema(
    rows=9,
    inputs={
        "title": Vocabulary(words=["a", "red", "bird", "的"]),
        "price": Moments(mean=3.0, std=2.0),
        "colour": Vocabulary(words=["red", "dark blue"]),
    },
    heads={
        "label": Classes(names=["bird", "猫", "dog"], counts=[3, 3, 3]),
        "tags": Classes(names=["old", "new", "odd"], counts=[1, 2, 3]),
        "age": Moments(mean=40.0, std=10.0),
    },
)

# without media, and with heads that compare inputs
MATCHING = CONFIG.model_copy(
    update={
        "inputs": {name: CONFIG.inputs[name] for name in ("title", "price", "colour")},
        "heads": CONFIG.heads
        | {
            "match": MatchingHead(inputs=["title", "price"], dim=4),
            "tinted": MatchingHead(inputs=["price", "colour"], dim=3),
        },
    }
)


def build(config=CONFIG, schema=SCHEMA):
    """A model of random weights, every variable moved off its initial value.

    Every process builds the same.
    """
    random.seed(1)
    model = build_model(config, schema)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.3, variable.shape))
    return model


def guard():
    """A guard of a model of `MATCHING`."""
    generator = np.random.default_rng(4)
    score = Mahalanobis(generator.normal(0, 2, (8, 8)), generator.normal(0, 1, (3, 8)))
    return Guard(score, threshold=40.0, agreement_threshold=0.1)


def raw_rows(count, config=CONFIG):
    """`count` rows for the signatures, a dict of NumPy arrays; some cells are missing."""
    kept = np.random.default_rng(5).random((count, 5)) < 0.8
    kept[:, 1] |= ~kept.any(axis=1)
    rows = [
        (
            random_image(i) if kept[i, 0] else b"",
            f"A red bird {i} 的".encode() if kept[i, 1] else b"",
            random_audio(i) if kept[i, 2] else b"",
            float(i) if kept[i, 3] else float("nan"),
            ("red", "dark blue", "unheard")[i % 3].encode() if kept[i, 4] else b"",
        )
        for i in range(count)
    ]
    columns = zip(*rows) if rows else [[]] * 5
    return {
        name: np.array(list(cells), np.float64 if name == "price" else object)
        for name, cells in zip(CONFIG.inputs, columns)
        if name in config.inputs
    }


def tensors(raw):
    """What the signatures take."""
    return {
        name: tf.constant(cells, tf.float64 if name == "price" else tf.string)
        for name, cells in raw.items()
    }


def served(signature, raw):
    """What a signature of a loaded SavedModel gives for rows, NumPy arrays."""
    return {name: output.numpy() for name, output in signature(**tensors(raw)).items()}
