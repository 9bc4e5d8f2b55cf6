"""Trains on images and audio with all augmentations, in a process that a test may kill.

python tests/training/media_program.py RECORDS RUN
"""

import pathlib
import sys

from multimodal_tf.config import (
    AudioAugmentation,
    AudioInput,
    ClassificationHead,
    Config,
    ImageAugmentation,
    ImageInput,
    NumberInput,
    Split,
    Training,
)
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit

CONFIG = Config(
    inputs={
        "photo": ImageInput(
            height=8,
            width=8,
            tower={"type": "cnn", "filters": [4]},
            augmentation=ImageAugmentation(
                flip="horizontal", crop=0.2, rand_augment=0.3, erasing=0.2
            ),
        ),
        "sound": AudioInput(
            sample_rate=8000,
            seconds=0.25,
            tower={"type": "spectrogram_cnn", "filters": [4]},
            augmentation=AudioAugmentation(
                shift_ms=20, gain_db=6, noise_db=-40, time_masks=1, frequency_masks=1
            ),
        ),
        "price": NumberInput(),
    },
    heads={"label": ClassificationHead()},
    fusion={"hidden": [8], "dropout": 0.2},
    split=Split(column="split"),
    training=Training(epochs=4, batch_size=8, checkpoint_steps=2),
)


def train(records, run):
    fit(CONFIG, Schema.load(records / "schema.json"), records, run, verbose=0)


if __name__ == "__main__":
    train(*map(pathlib.Path, sys.argv[1:]))
