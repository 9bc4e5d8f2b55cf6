"""A split whose cells show their class, and a hand-made model with known predictions."""

import functools

import numpy as np

from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    Config,
    CountHead,
    ImageInput,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    QuantileHead,
    RegressionHead,
    TextInput,
)
from multimodal_tf.corruptions import image_files, wav
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.report import page
from multimodal_tf.report.page import Note
from multimodal_tf.schema import Classes, Moments, Schema

CLASSES = ("bird", "<b>cat</b>", "dog")
WORDS = ("wing", "whiskers", "bark")
RATE, SAMPLES = 4000, 1000
INPUTS = {
    "photo": ImageInput(),
    "title": TextInput(),
    "sound": AudioInput(sample_rate=RATE, seconds=SAMPLES / RATE),
    "price": NumberInput(),
}


@functools.cache
def photo(label):
    """A bright spot in another corner for each class."""
    pixels = np.full((16, 16), 50, np.uint8)
    y, x = ((2, 2), (2, 10), (10, 2))[label]
    pixels[y : y + 4, x : x + 4] = 220
    return image_files.encode_png(pixels)


@functools.cache
def sound(label, channels):
    wave = 0.3 * np.sin(2 * np.pi * (300, 700, 1500)[label] * np.arange(SAMPLES) / RATE)
    return wav.encode(np.repeat(wave[:, None], channels, axis=1), RATE)


@functools.cache
def shown(cell, name):
    """Evidence for each class in a cell, float (3,)."""
    if name == "title":
        return np.array([word.encode() in cell for word in WORDS], float)
    if not cell:
        return np.zeros(3)
    if name == "photo":
        pixels = image_files.decode(cell)
        return np.array(
            [(pixels[y : y + 4, x : x + 4] > 200).mean() for y, x in ((2, 2), (2, 10), (10, 2))]
        )
    samples, rate = wav.decode(cell)
    spectrum = np.abs(np.fft.rfft(samples.mean(axis=1)))
    return spectrum[np.array([300, 700, 1500]) * len(samples) // rate] / (0.15 * len(samples))


def predictor(config, sure=3.0):
    def predict(raw):
        rows = len(raw["title"])
        votes = sum(
            np.stack([shown(raw[name][row], name) for row in range(rows)])
            for name in ("photo", "title", "sound")
        )
        kind = config.heads["label"].type
        probability = np.exp(sure * votes) / np.exp(sure * votes).sum(axis=1, keepdims=True)
        made = {
            "classification": probability,
            "multi_label": 1 / (1 + np.exp(-sure * (votes - 0.5))),
            "regression": votes[:, :1],
            "count": votes[:, :1] + 0.5,
            "quantile": votes[:, :1] + [[-1.0, 0.0, 1.0]],
        }
        predictions = {"label": made[kind]}
        if "match" in config.heads:
            pair = [
                np.stack([shown(raw[name][row], name) for row in range(rows)])
                for name in ("photo", "title")
            ]
            predictions["match"] = np.stack(
                [np.concatenate([part, np.ones((rows, 1))], axis=1) for part in pair], axis=1
            )
        return predictions

    return predict


def eval_split(
    rows=45, head=None, matching=False, sure=3.0, wrong=6, seed=0, groups=None, table=None
):
    """A split whose inputs show the class, except `wrong` rows, which show the next class."""
    heads = {"label": head or ClassificationHead()} | (
        {"match": MatchingHead(inputs=["photo", "title"])} if matching else {}
    )
    config = Config(inputs=INPUTS, heads=heads)
    labels = np.arange(rows) % 3
    shown_class = np.where(np.arange(rows) < wrong, (labels + 1) % 3, labels)
    random = np.random.default_rng(seed)
    raw = {name: np.empty(rows, object) for name in ("photo", "title", "sound")}
    for row, label in enumerate(shown_class):
        raw["photo"][row] = photo(label)
        raw["title"][row] = f"a {WORDS[label]} of {row}".encode()
        raw["sound"][row] = sound(label, 1 + row % 2) if row % 5 else b""
    raw["price"] = random.normal(size=rows).astype(np.float32)
    predict = predictor(config, sure)
    if heads["label"].target_type == "class":
        stats, target = Classes(names=list(CLASSES), counts=[9, 9, 9]), labels
    elif heads["label"].target_type == "classes":
        stats, target = Classes(names=list(CLASSES), counts=[9, 9, 9]), np.eye(3)[labels]
    else:
        stats, target = Moments(mean=0.0, std=1.0), labels[:, None].astype(float)
    return EvalSplit(
        config=config,
        schema=Schema(rows=9, inputs={}, heads={"label": stats}),
        split="test",
        head="label",
        rows=np.arange(rows) + 100,
        raw=raw,
        present=np.stack(
            [[bool(cell) for cell in raw[name]] for name in ("photo", "title", "sound")]
            + [np.ones(rows, bool)],
            axis=1,
        ),
        groups=groups,
        labels=target,
        known=np.ones(rows, bool),
        predictions=predict(raw),
        embeddings={},
        table=table,
        predict=predict,
        embed=lambda raw: {},
        validation=None,
    )


def blocks(section, kind, title=""):
    return [
        block
        for block in section.section.blocks
        if isinstance(block, kind) and title in getattr(block, "title", "")
    ]


def notes(section):
    return " ".join(block.text for block in blocks(section, Note))


def saved(section, tmp_path):
    """The section as a page."""
    page.save(page.Page("x", ["y"], [section.section], {}), tmp_path / "page")
    return (tmp_path / "page" / "index.html").read_text()


# those that do not choose one class
HEADS = [
    MultiLabelHead(),
    RegressionHead(),
    CountHead(),
    QuantileHead(quantiles=[0.1, 0.5, 0.9]),
]
