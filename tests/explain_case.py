"""Rows whose answer hangs on one patch, one word, one band."""

import io

import numpy as np
from PIL import Image

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
RATE = 8000
MISSING = {"photo": b"", "title": b"", "sound": b"", "clip": [b""], "price": np.nan, "colour": b""}


def spotted(mode="RGB", size=(48, 32), spot=(slice(8, 12), slice(36, 42))):
    """A picture of grey noise, 32 x 48, with a bright spot in one of its patches, row 2 and column
    6 of 5 x 8.
    """
    pixels = np.random.default_rng(0).integers(60, 90, (size[1], size[0]), dtype=np.uint8)
    pixels[spot] = 250
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def tones(*hertz, seconds=1.0, channels=1, rate=RATE):
    """Tones one after the other."""
    length = round(seconds * rate / len(hertz))
    sound = np.concatenate(
        [0.3 * np.sin(2 * np.pi * each * np.arange(length) / rate) for each in hertz]
    )
    return wav.encode(np.repeat(sound[:, None], channels, axis=1), rate)


def bright(cell):
    return bool(cell) and float((image_files.decode(cell) > 200).mean())


def power(hertz, start, end):
    """How much of a tone there is in a stretch of a sound."""

    def of(cell):
        if not cell:
            return 0.0
        sound, rate = wav.decode(cell)
        sound = sound.mean(axis=1)[round(start * rate) : round(end * rate)]
        return float(
            np.abs(np.exp(-2j * np.pi * hertz * np.arange(len(sound)) / rate) @ sound) / len(sound)
        )

    return of


def predicted(**measures):
    """The function of raw cells that adds up what each measure says of a cell, and counts its
    calls.
    """

    def answer(raw):
        answer.calls += 1
        (rows,) = {len(cells) for cells in raw.values()}
        said = np.zeros(rows)
        for name, measure in measures.items():
            said += [float(measure(cell)) for cell in raw[name]]
        return {"label": np.stack([said, 1 - said], axis=1)}

    answer.calls = 0
    return answer


def row(answer, **cells):
    """The row of these cells; all others are missing."""
    arrays = {}
    for name, cell in (MISSING | cells).items():
        if name == "clip":
            arrays[name] = np.array([[*cell, b""]], dtype=object)
        else:
            arrays[name] = np.array([cell], dtype=float if name == "price" else object)
    return Row(arrays, answer, lambda answers: answers["label"][:, 0])


def found(name, cell, measure):
    """The parts of a cell and their map, where the answer is what `measure` says."""
    one = row(predicted(**{name: measure}), **{name: cell})
    parts = parts_of(CONFIG.inputs[name], one.cell(name))
    return one, parts, relevance(one, name, parts)
