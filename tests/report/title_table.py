"""A table whose titles contain the class, and the configuration of a model that finds it."""

import small_table

from multimodal_tf.config import BagTower, Config, TextInput, Training

CONFIG = Config(
    inputs=small_table.CONFIG.inputs
    | {"title": TextInput(max_tokens=4, tower=BagTower(embedding_dim=8))},
    heads=small_table.CONFIG.heads,
    fusion={"hidden": [16], "dropout": 0.0},
    split=small_table.CONFIG.split,
    training=Training(epochs=8, batch_size=8, learning_rate=0.1),
    seed=7,
)
# what a report takes from the rows, small for speed
FEW = {"resamples": 50, "corrupted": 8}


def frame():
    """Of the test rows, those without a label have no title; other rows lack it sometimes."""
    frame = small_table.frame(train=60, validation=15, test=24)
    names = frame["label"].map({"b": "bird", "c": "cat", "d": "dog"})
    frame["title"] = frame["title"].where(frame["split"] != "test", names)
    return frame
