"""A split of rows with three aligned inputs that show a class, and a hand-made model of them."""

import re

import numpy as np

from multimodal_tf.config import ClassificationHead, Config, MatchingHead, TextInput
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.report.page import Note, Table
from multimodal_tf.schema import Classes, Moments, Schema

NAMES, CLASSES, DIM = ("photo", "title", "sound"), 4, 8
PAIRS = {
    "photo_title": ("photo", "title"),
    "title_sound": ("title", "sound"),
    "photo_sound": ("photo", "sound"),
}


def configured(pairs=tuple(PAIRS), head=None):
    heads = {"label": head or ClassificationHead()} | {
        name: MatchingHead(inputs=list(PAIRS[name]), dim=DIM) for name in pairs
    }
    return Config(inputs={name: TextInput() for name in NAMES}, heads=heads)


def vector(cell, name):
    """The embedding of a cell.

    `b"class 2, row 7"` is near the centre of class 2; other words are far from all centres; a
    missing cell is 0.
    """
    if not cell or cell == b"\xff\xfe":
        return np.zeros(DIM)
    random = np.random.default_rng([*cell, *name.encode()])
    if not re.match(rb"class [0-3],", cell):
        return random.normal(0, 3, DIM)
    return np.eye(DIM)[int(cell[6:7])] + random.normal(0, 0.05, DIM)


def model_of(config, probabilities_only=False):
    """The functions `predict` and `embed` of the model."""

    def embed(raw):
        own = {
            name: np.stack([vector(cell, name) for cell in raw[name]]).astype(np.float32)
            for name in NAMES
        }
        return own | {"fused": np.concatenate(list(own.values()), axis=1)}

    def predict(raw):
        own = embed(raw)
        logits = 3 * sum(own[name][:, :CLASSES] for name in NAMES)
        predictions = {"label": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)}
        if config.heads["label"].target_type == "number":
            predictions["label"] = logits[:, :1]
        for name in PAIRS.keys() & config.heads.keys():
            first, second = (own[one] for one in PAIRS[name])
            ones = np.ones((len(first), 1), np.float32)
            predictions[name] = np.stack(
                [np.concatenate([5 * first, ones], 1), np.concatenate([second, 0.3 * ones], 1)],
                axis=1,
            )
            if probabilities_only:
                predictions[name] = 1 / (1 + np.exp(-(first * second).sum(axis=1)))
        return predictions

    return predict, embed


def eval_split(rows=120, split="test", seed=0, config=None, groups=None, gaps=0.1, **options):
    """A split in which all inputs of a row show its class, and some are missing."""
    config = config or configured()
    predict, embed = model_of(config, **options)
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(rows) % CLASSES)
    present = random.random((rows, 3)) >= gaps
    present[:, 0] |= ~present.any(axis=1)
    raw = {name: np.empty(rows, object) for name in NAMES}
    for index, name in enumerate(NAMES):
        raw[name][:] = [
            f"class {c}, row {r} of {seed}".encode() if present[r, index] else b""
            for r, c in enumerate(labels)
        ]
    classes = Classes(names=list("abcd"), counts=[5] * CLASSES)
    stats = Moments(mean=0.0, std=1.0) if config.heads["label"].target_type == "number" else classes
    return EvalSplit(
        config=config,
        schema=Schema(rows=20, inputs={}, heads={"label": stats}),
        split=split,
        head="label",
        rows=np.arange(rows) + 1000 * seed,
        raw=raw,
        present=present,
        groups=groups,
        labels=labels if stats is classes else labels.astype(float),
        known=np.ones(rows, bool),
        predictions=predict(raw),
        embeddings=embed(raw),
        table=None,
        predict=predict,
        embed=embed,
        train=None
        if split != "test"
        else eval_split(rows, "train", seed + 1, config, gaps=gaps, **options),
        validation=None
        if split != "test"
        else eval_split(rows, "validation", seed + 2, config, gaps=gaps, **options),
    )


def cells(section, title):
    """A table of the section as a dict by its texts, of dicts by its numbers' columns."""
    table = next(
        block
        for block in section.section.blocks
        if isinstance(block, Table) and title in block.title
    )
    texts = [index for index, column in enumerate(table.columns) if column.kind == "text"]
    names = [column.name for column in table.columns if column.kind == "number"]
    return {
        tuple(row[index] for index in texts): dict(
            zip(names, (x for p, x in enumerate(row) if p not in texts))
        )
        for row in table.rows
    }


def notes(section):
    return " ".join(block.text for block in section.section.blocks if isinstance(block, Note))
