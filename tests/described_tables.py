"""Descriptions of small tables, and the image and audio files that stand in them."""

import numpy as np
import pandas as pd
from media import audio_bytes, image_bytes
from PIL import Image

from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table


def png(width=40, height=30, mode="RGB"):
    return image_bytes(Image.new(mode, (width, height)))


def clip_bytes(seconds=1.0, rate=22_050, kind="WAV"):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * rate))
    return audio_bytes(samples, rate, kind)


def described(columns, root=None, **arguments):
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    return describe(read_table(frame, root=root), **arguments)


def types_of(description):
    return {column.column: column.type for column in description.columns}


def column_of(description, name):
    return next(column for column in description.columns if column.column == name)
