"""Cells of every kind of input and all corruptions of each."""

import functools
import hashlib
import math

import numpy as np

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    DateInput,
    ImageInput,
    NumberInput,
    TextInput,
    VideoInput,
)
from multimodal_tf.corruptions import SEVERITIES, corrupted, corruptions_for, image_files, wav
from multimodal_tf.schema import Moments, Vocabulary

MOMENTS, WORDS = Moments(mean=2.0, std=10.0), Vocabulary(words=["red", "blue", "green"])


@functools.cache
def cells():
    """By kind of input: its configuration, statistics and cells, the last one missing."""
    random = np.random.default_rng(0)
    photo = image_files.encode_png(random.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    clips = [wav.encode(random.uniform(-0.3, 0.3, (2000, 1)), 8000) for _ in range(6)]
    return {
        "image": (ImageInput(height=8, width=8), None, [photo, b""]),
        "video": (VideoInput(height=8, width=8, frames=2), None, [[photo, photo], []]),
        "audio": (AudioInput(sample_rate=8000, seconds=0.25), None, [*clips, b""]),
        "text": (TextInput(), None, [b"A small red shoe", "ça va 中文 Ω".encode(), b""]),
        "number": (NumberInput(), MOMENTS, [3.5, -1e19, math.nan]),
        "category": (CategoryInput(), WORDS, [b"red", b"unheard of", b""]),
        "boolean": (BooleanInput(), None, [1.0, 0.0, math.nan]),
        "date": (
            DateInput(),
            MOMENTS,
            [b"2024-05-17", b"2024-05-17T08:30:00Z", b"0001-01-01", b"9999-12-31", b""],
        ),
    }


def all_of(kind):
    """`(configuration, cells, all corruptions)` of a kind of input."""
    input_config, stats, given = cells()[kind]
    pool = given[:-1] if kind == "audio" else ()
    return input_config, given, corruptions_for(input_config, stats, pool)


def digest():
    """SHA-256 of every corruption at every severity of every kind of cell."""
    found = hashlib.sha256()
    for kind in cells():
        _, given, corruptions = all_of(kind)
        for corruption in corruptions:
            for severity in SEVERITIES:
                changed = corrupted(given, kind, corruption, severity, 7, range(len(given)))
                found.update(repr(changed).encode())
    return found.hexdigest()
