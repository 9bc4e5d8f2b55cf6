"""Rows whose prediction depends on one patch, one word, one band."""

import numpy as np

from multimodal_tf.config import (
    AudioInput,
    CategoryInput,
    ClassificationHead,
    Config,
    ImageInput,
    NumberInput,
    TextInput,
    VideoInput,
)
from multimodal_tf.corruptions import image_files, wav
from multimodal_tf.evaluation.explanations import Row, parts_of, relevance

CONFIG = Config(
    inputs={
        "photo": ImageInput(),
        "title": TextInput(),
        "sound": AudioInput(sample_rate=8000, seconds=1.0),
        "clip": VideoInput(),
        "price": NumberInput(),
        "colour": CategoryInput(),
    },
    heads={"label": ClassificationHead()},
)
MISSING = {"photo": b"", "title": b"", "sound": b"", "clip": [b""], "price": np.nan, "colour": b""}


def bright(cell):
    return bool(cell) and float((image_files.decode(cell) > 200).mean())


def power(hertz, start, end):
    """A function that measures the power of a tone in an interval of audio."""

    def of(cell):
        if not cell:
            return 0.0
        waveform, rate = wav.decode(cell)
        waveform = waveform.mean(axis=1)[round(start * rate) : round(end * rate)]
        return float(
            np.abs(np.exp(-2j * np.pi * hertz * np.arange(len(waveform)) / rate) @ waveform)
            / len(waveform)
        )

    return of


def predicted(**measures):
    """A `predict` function that sums a measure of each input, and counts its calls."""

    def predict(raw):
        predict.calls += 1
        (rows,) = {len(cells) for cells in raw.values()}
        scores = np.zeros(rows)
        for name, measure in measures.items():
            scores += [float(measure(cell)) for cell in raw[name]]
        return {"label": np.stack([scores, 1 - scores], axis=1)}

    predict.calls = 0
    return predict


def row(predict, **cells):
    """The row of these cells; all others are missing."""
    arrays = {}
    for name, cell in (MISSING | cells).items():
        if name == "clip":
            arrays[name] = np.array([[*cell, b""]], dtype=object)
        else:
            arrays[name] = np.array([cell], dtype=float if name == "price" else object)
    return Row(arrays, predict, lambda predictions: predictions["label"][:, 0])


def found(name, cell, measure):
    """The row, the parts of a cell and their relevance, where `measure` gives the prediction."""
    one = row(predicted(**{name: measure}), **{name: cell})
    parts = parts_of(CONFIG.inputs[name], one.cell(name))
    return one, parts, relevance(one, name, parts)
