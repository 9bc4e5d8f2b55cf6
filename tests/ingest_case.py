"""A table with every kind of good and bad cell, for the tests of ingest."""

import base64
import io
import struct

import numpy as np
import pandas as pd
import soundfile
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    Config,
    ImageInput,
    NumberInput,
    Split,
    TextInput,
)
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


def image_file(kind, size=(20, 10), mode="RGB", **options):
    file = io.BytesIO()
    Image.effect_noise(size, 90).convert(mode).save(file, kind, **options)
    return file.getvalue()


def audio_file(samples=WAVE, rate=4000, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def with_rate(rate):
    data = audio_file()
    return data[:24] + struct.pack("<I", rate) + data[28:]


def png_of_400_million_pixels():
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


def animated_gif():
    file = io.BytesIO()
    frames = [Image.new("P", (6, 4), colour) for colour in (1, 2, 3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def make_files(root):
    """Writes files of every kind; returns reasons (None: kept) of images and of audio by name."""
    (root / "folder").mkdir()
    images = {
        "a.jpg": (image_file("JPEG"), None),
        "cmyk.jpg": (image_file("JPEG", mode="CMYK"), None),
        "pixel.png": (image_file("PNG", (1, 1)), None),
        "moving.gif": (animated_gif(), None),
        "scan.tif": (image_file("TIFF"), None),
        "b.webp": (image_file("WEBP"), None),
        "empty.jpg": (b"", "an empty file (0 bytes)"),
        "page.jpg": (b"<!DOCTYPE html>", "not an image: it begins with b'<!DOCTYPE ht'"),
        "cut.jpg": (image_file("JPEG", (200, 200))[:-2000], "truncated"),
        "huge.png": (png_of_400_million_pixels(), "20000 x 20000 pixels"),
        "folder": (None, "a directory, not a file"),
        "gone.jpg": (None, "no such file"),
    }
    clips = {
        "a.wav": (audio_file(), None),
        "b.flac": (audio_file(kind="FLAC"), None),
        "c.ogg": (audio_file(kind="OGG"), None),
        "d.mp3": (audio_file(rate=8000, kind="MP3"), None),
        "silence.wav": (audio_file(0 * WAVE), None),
        "one.wav": (audio_file(WAVE[1:2]), None),
        "lying.wav": (audio_file()[:40] + b"\xff\xff\xff\x7f" + audio_file()[44:], None),
        "long.wav": (audio_file(np.zeros(30 * 60 * 1000), 1000, subtype="PCM_U8"), None),
        "fast.wav": (with_rate(768_000), None),
        "slow.wav": (with_rate(1), "sample rate"),
        "none.wav": (audio_file(WAVE[:0]), "an audio file without samples"),
        "page.wav": (b"<!DOCTYPE html>", "not an audio file: it begins with b'<!DOCTYPE ht'"),
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
    "long " * 2_000_000: None,
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
        clip="data:audio/wav;base64," + base64.b64encode(audio_file()).decode(),
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
