"""A table of every kind of good and bad cell, smaller ones, and what ingest wrote of them.

The fixture `ingested` has the first, ingested by one process.
"""

import base64
import csv
import struct

import numpy as np
import pandas as pd
import tensorflow as tf
from media import audio_bytes, huge_png, image_bytes, random_image
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    CategoryInput,
    ClassificationHead,
    Config,
    ImageInput,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    Split,
    TextInput,
)
from multimodal_tf.data import record_files
from multimodal_tf.data.filesystem import to_path

ROWS_PER_SHARD = 5
CONFIG = Config(
    inputs={
        "photo": ImageInput(height=8, width=8),
        "clip": AudioInput(sample_rate=2000, seconds=0.5),
        "title": TextInput(column="the title/題名"),
        "price": NumberInput(),
    },
    heads={"label": ClassificationHead(column="present")},
    split=Split(column="side"),
)
WAVE = (0.4 * np.sin(np.arange(4000) * 0.05)).astype(np.float32)


FOUR_ROWS = pd.DataFrame(
    {
        "title": ["a b", "c", None, "d"],
        "tags": ["x;y", ";", "x", None],
        "price": [1, 2, 3, None],
        "class": list("xyxx"),
    }
)
FOUR_CONFIG = Config(
    inputs={"title": TextInput()},
    heads={"tags": MultiLabelHead(), "price": RegressionHead()},
    split=Split(validation=0, test=0),
)
MANY_CONFIG = Config(
    inputs={"kind": CategoryInput(), "price": NumberInput()},
    heads={"label": ClassificationHead()},
    split=Split(column="side"),
)


def many_rows():
    """Forty rows without files, one of them with a bad cell."""
    return pd.DataFrame(
        {
            "kind": [f"kind {row % 7}" for row in range(40)],
            "price": [str(row) if row != 9 else "cheap" for row in range(40)],
            "label": ["a", "a", "b", "b"] * 10,
            "side": ["train", "test", "train", "val"] * 10,
        }
    )


def wave_file(samples=WAVE, rate=4000, kind="WAV", **options):
    return audio_bytes(samples, rate, kind, **options)


def with_rate(rate):
    data = wave_file()
    return data[:24] + struct.pack("<I", rate) + data[28:]


def small_image(kind, size=(20, 10), **options):
    return random_image(0, size, kind, **options)


def moving_gif():
    frames = [Image.new("P", (6, 4), colour) for colour in (1, 2, 3)]
    return image_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])


def make_files(root):
    """Writes files of every kind; returns reasons (None: kept) of images and of audio by name."""
    (root / "folder").mkdir()
    images = {
        "a.jpg": (small_image("JPEG"), None),
        "cmyk.jpg": (small_image("JPEG", mode="CMYK"), None),
        "pixel.png": (small_image("PNG", (1, 1)), None),
        "moving.gif": (moving_gif(), None),
        "scan.tif": (small_image("TIFF"), None),
        "b.webp": (small_image("WEBP"), None),
        "empty.jpg": (b"", "an empty file (0 bytes)"),
        "page.jpg": (b"<!DOCTYPE html>", "not an image of a format that is read"),
        "cut.jpg": (small_image("JPEG", (200, 200))[:-2000], "truncated"),
        "huge.png": (huge_png(), "20000 x 20000 pixels"),
        "folder": (None, "a directory, not a file"),
        "gone.jpg": (None, "no such file"),
    }
    clips = {
        "a.wav": (wave_file(), None),
        "b.flac": (wave_file(kind="FLAC"), None),
        "c.ogg": (wave_file(kind="OGG"), None),
        "d.mp3": (wave_file(rate=8000, kind="MP3"), None),
        "silence.wav": (wave_file(0 * WAVE), None),
        "one.wav": (wave_file(WAVE[1:2]), None),
        "lying.wav": (wave_file()[:40] + b"\xff\xff\xff\x7f" + wave_file()[44:], None),
        "long.wav": (wave_file(np.zeros(30 * 60 * 1000), 1000, subtype="PCM_U8"), None),
        "fast.wav": (with_rate(768_000), None),
        "slow.wav": (with_rate(1), "sample rate"),
        "none.wav": (wave_file(WAVE[:0]), "an audio file without samples"),
        "page.wav": (b"<!DOCTYPE html>", "not an audio file"),
    }
    for name, (data, _) in (images | clips).items():
        if data is not None:
            (root / name).write_bytes(data)
    return {name: reason for name, (_, reason) in images.items()}, {
        name: reason for name, (_, reason) in clips.items()
    }


TEXTS = {
    "plain words": None,
    "a\0b": None,
    "שלום עולם": None,
    "🦉🦉": None,
    "今天天氣很好": None,
    "long " * 200_000: None,
    b"caf\xe9": "not UTF-8: byte 0xe9 at 3",
    "": None,
}


def make_table(root):
    """Returns a table with a row per bad cell, and the expected (row, column, path, reason)."""
    images, clips = make_files(root)
    rows, rejected = [], []

    def add(column=None, path="", reason=None, **cells):
        label = cells.pop("label", "aab"[len(rows) % 3])
        side = ("train", "test", "train", "val")[len(rows) % 4]
        if reason:
            rejected.append((len(rows), column, path, reason))
        rows.append(
            {
                "photo": None,
                "clip": None,
                "the title/題名": "a word",
                "price": 1.5,
                "present": label,
                "side": side,
            }
            | cells
        )

    for name, reason in images.items():
        add("photo", name, reason, photo=name)
    for name, reason in clips.items():
        add("clip", name, reason, clip=name)
    for text, reason in TEXTS.items():
        add("the title/題名", "", reason, **{"the title/題名": text})
    add("price", "", "not a number: 'cheap'", price="cheap")
    add(
        photo=(root / "a.jpg").read_bytes(),
        clip="data:audio/wav;base64," + base64.b64encode(wave_file()).decode(),
    )
    add("", "", "no label", label=None)
    add("present", "", "neither text nor a number, but list", label=["a"])
    add("", "", "no input is left", **{"the title/題名": " ", "price": None})
    add(
        "photo",
        "gone.jpg",
        "no such file",
        photo="gone.jpg",
        **{"the title/題名": None, "price": float("nan")},
    )
    rejected.append((len(rows) - 1, "", "", "no input is left"))
    add(label="only in the test", side="test")
    add(label="only in the test", side="test")
    return pd.DataFrame(rows), rejected


def contents(directory):
    """Bytes by name of all files in a directory, local or not."""
    directory = to_path(directory)
    return {
        str(path).removeprefix(f"{directory}/"): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def rejected_in(directory):
    with open(directory / "rejected.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def states(directory):
    """By file of a directory: what changes if it is written again."""
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def read_rows(manifest, config, split):
    """Rows by number: (inputs, labels) without what is missing."""
    rows = {}
    for serialized in tf.data.TFRecordDataset(list(map(str, manifest.shards(split)))).batch(7):
        numbers, inputs, labels = record_files.parse(config, serialized)
        for index, number in enumerate(numbers.numpy()):
            cells = [
                {name: tensor.numpy()[index] for name, tensor in room.items()}
                for room in (inputs, labels)
            ]
            rows[int(number)] = [
                {name: cell for name, cell in room.items() if cell not in (b"",) and cell == cell}
                for room in cells
            ]
    return rows
