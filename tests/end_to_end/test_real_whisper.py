"""Whisper tiny.en's real weights: from WAV bytes to words in one SavedModel, without training.

It runs where `TEST_PRESETS` names a folder of presets, as `test_real_weights.py`, and where
espeak-ng is installed, which speaks.
"""

import os
import pathlib
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from benchmarks.presets import whisper
from multimodal_tf.config import AudioInput, Config, PresetDecoder, PresetTower, TextHead
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.models import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model

pytestmark = pytest.mark.slow

TEXTS = ["the quick brown fox jumps over the lazy dog", "The seventh house has a green garden."]


@pytest.fixture(scope="module")
def clips():
    if shutil.which("espeak-ng") is None:
        return pytest.skip("espeak-ng is not installed")
    command = ["espeak-ng", "-v", "en-us", "--stdout"]
    return [
        subprocess.run([*command, one], check=True, capture_output=True).stdout for one in TEXTS
    ]


def test_words_of_one_saved_model_are_those_of_the_backbone(clips, tmp_path):
    presets = os.environ.get("TEST_PRESETS")
    if not presets:
        pytest.skip("TEST_PRESETS names no folder")
    folder = str(pathlib.Path(presets) / whisper.NAME)
    tower = PresetTower(preset=folder)
    config = Config(
        inputs={"clip": AudioInput(sample_rate=whisper.RATE, seconds=30, tower=tower)},
        heads={"words": TextHead(decoder=PresetDecoder(preset=folder), max_tokens=30)},
    )
    table = pd.DataFrame({"clip": clips * 6, "words": TEXTS * 6})
    ingest(read_table(table), config, tmp_path / "records", processes=1)
    schema = Schema.load(tmp_path / "records" / "schema.json")
    model = build_model(config, schema)
    assert not model.trainable_weights
    export_model(model, config, schema, tmp_path / "saved" / "1")
    found = Client(tmp_path / "saved" / "1").predict([*({"clip": one} for one in clips), {}])
    expected = [whisper.transcribe(folder, whisper.samples_of(one)).strip() for one in clips]
    assert found["words"].tolist() == [*expected, schema.heads["words"].commonest]
    # most words are right
    for text, written in zip(TEXTS, expected):
        said = text.lower().strip(".").split()
        assert np.mean([one in written.lower() for one in said]) > 0.7
