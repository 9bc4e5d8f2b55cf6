"""What the tests of cells share: an image and an audio file as bytes of any format."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from multimodal_tf.config import AudioInput, ImageInput
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell

IMAGE = ImageInput(max_pixels=10_000)
AUDIO = AudioInput(seconds=2.0)
RATE = 8000
WAVE = (0.4 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)
STEREO = np.stack([WAVE, -0.3 * WAVE[::-1]], axis=1)


def image_bytes(mode="RGB", kind="PNG", size=(13, 7), **options):
    image = Image.effect_noise(size, 120).resize(size)
    file = io.BytesIO()
    (image if mode == "L" else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def audio_bytes(samples=STEREO, rate=RATE, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **options)
    return file.getvalue()


def pixels(data, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode)).astype(int)


def samples_of(wav_bytes):
    return soundfile.read(io.BytesIO(wav_bytes), dtype="float32")


def reason(value, input_config, root="."):
    with pytest.raises(CellError) as caught:
        read_cell(value, input_config, root)
    return str(caught.value)
