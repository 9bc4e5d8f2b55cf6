"""Schemas that fit a configuration, and random rows and targets for its model."""

import numpy as np

from multimodal_tf import schema
from multimodal_tf.config import PRESENT, labelled
from multimodal_tf.config.heads import generating
from multimodal_tf.config.names import TARGET
from multimodal_tf.schema import (
    Classes,
    Images,
    Moments,
    Schema,
    Subwords,
    Texts,
    Vectors,
    Vocabulary,
)

WORDS = ["red", "green", "blue"]
_DATES = {"mean": 19_000.25, "std": 400.0}


def schema_of(config, rows=10):
    """A schema that fits the configuration."""
    inputs = {name: _stats(one) for name, one in config.inputs.items() if one.stats_type}
    classes = Classes(names=["a", "b", "c"], counts=[4, 3, 3])
    heads = {
        name: Moments(mean=100.0, std=10.0) if head.target_type == "number" else classes
        for name, head in labelled(config.heads).items()
    }
    heads |= {
        name: images_of(head) if head.type == "image" else texts_of(head)
        for name, head in generating(config.heads).items()
    }
    return Schema(rows=rows, inputs=inputs, heads=heads)


def texts_of(head):
    """What a text head learned of the texts "ab", "b" and so on."""
    letters = Vocabulary(words=["a", "b", "c"], tokenizer="characters")
    return Texts(tokens=letters, rows=10, commonest="ab", commonest_ids=[2, 3], share=0.3)


def images_of(head):
    """What an image head learned of random images."""
    return Images.of(np.random.default_rng(0).integers(0, 255, head.target_shape), rows=10)


def _stats(one):
    match one.stats_type:
        case "moments":
            return Moments(**_DATES) if one.type == "date" else Moments(mean=5.0, std=2.0)
        case "vector_moments":
            return schema.VectorMoments(mean=[5.0] * one.dim, std=[2.0] * one.dim, rows=10)
        case _ if one.type == "text":
            return _text_stats(one)
        case _:
            return Vocabulary(words=WORDS)


def rows_of(config, rows, seed=0):
    """Random rows in which every input is present."""
    random = np.random.default_rng(seed)
    values = {name: _VALUES[one.type](one, rows, random) for name, one in config.inputs.items()}
    present = {name + PRESENT: np.ones(rows, "float32") for name in values}
    targets = {
        name + TARGET: generated_target(head, rows, random)
        for name, head in generating(config.heads).items()
    }
    return values | (present if config.fusion.presence else {}) | targets


def without(rows, name, missing, value=None):
    """The same rows, with `name` missing where `missing` is true.

    Its values there are `value`, or else those that do most harm.
    """
    values = rows[name].copy()
    harm = {"f": np.nan, "O": "blue"}.get(values.dtype.kind, 10**9)
    nothing = "" if values.dtype.kind == "O" else value
    values[missing] = harm if value is None else nothing
    return rows | {
        name: values,
        name + PRESENT: np.where(missing, 0, rows[name + PRESENT]).astype("float32"),
    }


def targets_of(config, rows, seed=0):
    random = np.random.default_rng(seed)
    return {name: _target(head, rows, random) for name, head in config.heads.items()}


def _target(head, rows, random):
    if head.compared_cells:
        # cells that all differ, beyond what float32 can tell apart
        return 2**60 + np.arange(rows * len(head.compared_cells)).reshape(rows, -1)
    if head.generates:
        return np.ones((rows, 1), "float32")
    return _TARGETS[head.target_type](rows, random)


def generated_target(head, rows, random):
    """Token ids of texts of `max_tokens` letters and the end, int32 `(rows, max_tokens + 1)`.

    Of an image head uint8 pixels.
    """
    if head.type == "image":
        return random.integers(0, 255, (rows, *head.target_shape), "uint8")
    end = np.full((rows, 1), texts_of(head).end)
    letters = random.integers(2, 5, (rows, head.max_tokens))
    return np.concatenate([letters, end], axis=1).astype("int32")


def _text_stats(text):
    """The vocabulary of a text; of subwords only what a model reads."""
    tokenizer = text.tokenizer
    if tokenizer.type not in ("words", "characters"):
        return Subwords(
            tokenizer=tokenizer.type,
            preset=getattr(tokenizer, "preset", None),
            layer={},
            assets={},
            size=len(WORDS) + 2,
            padding=2,
        )
    vectors = None
    if text.vectors is not None:
        rows = np.random.default_rng(0).normal(size=(len(WORDS), text.tower.embedding_dim))
        vectors = Vectors.of(rows)
    return Vocabulary(words=WORDS, tokenizer=tokenizer.type, vectors=vectors)


def _uniform(one, rows, random):
    return random.random((rows, *one.model_shape), "float32")


def _audio(one, rows, random):
    return random.uniform(-1, 1, (rows, one.samples)).astype("float32")


def _texts(one, rows, random):
    if one.tokenizer.type == "none":
        return np.array([" ".join(random.choice(WORDS, 3)) for _ in range(rows)], object)
    return random.integers(1, len(WORDS) + 2, (rows, one.max_tokens), "int32")


def _dates(one, rows, random):
    return random.integers([18_000, 0], [20_000, 86_400], (rows, 2), "int32")


_VALUES = {
    "image": _uniform,
    "video": _uniform,
    "audio": _audio,
    "text": _texts,
    "category": lambda one, rows, random: random.integers(0, len(WORDS) + 1, rows, "int32"),
    "number": lambda one, rows, random: random.normal(5, 2, rows).astype("float32"),
    "boolean": lambda one, rows, random: random.integers(0, 2, rows).astype("float32"),
    "date": _dates,
    "vector": _uniform,
}
# by the target type of a head; None: it reads no column
_TARGETS = {
    "class": lambda rows, random: random.integers(0, 3, rows, "int32"),
    "classes": lambda rows, random: random.integers(0, 2, (rows, 3)).astype("float32"),
    "number": lambda rows, random: random.normal(100, 10, (rows, 1)).astype("float32"),
    None: lambda rows, random: np.ones((rows, 1), "float32"),
}
