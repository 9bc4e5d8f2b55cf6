"""Baselines: logistic regression on simple features of texts, images and audio."""

import numpy as np
import pandas
from sklearn.linear_model import LogisticRegression

from benchmarks.features import by_cell, histogram, mel_bands, pixels, scaled, words
from multimodal_tf.data.pipeline import load_raw

LABEL = "label"
# `C` of the logistic regression
STRENGTHS = (1.0, 10.0, 100.0)


def read_raw(directory, split, config):
    """The cells of a split as read in training: bytes by input.

    The result also has the row numbers as `row` and the classes as `LABEL`.
    """
    batches = list(load_raw(config, directory, split, 256))
    cells = {
        name: np.concatenate([inputs[name].numpy() for _, inputs, _ in batches])
        for name in config.inputs
    }
    labels = np.concatenate([labels[LABEL].numpy() for _, _, labels in batches]).astype(str)
    return cells | {"row": np.concatenate([rows.numpy() for rows, _, _ in batches]), LABEL: labels}


def baselines(raw):
    """By name, whether logistic regression is right in each row of the test split."""
    text = "description" if "description" in raw["train"] else "text"
    images = ("colour histogram", histogram) if text == "description" else ("pixels", pixels)
    features = {
        "TF-IDF": {split: one.toarray() for split, one in words(raw, text).items()},
        images[0]: by_cell(raw, "image", images[1]),
        "mel bands": scaled(by_cell(raw, "sound", mel_bands)),
    }
    together = [["TF-IDF"], [images[0]], ["mel bands"], ["TF-IDF", images[0]], [*features]]
    labels = {split: cells[LABEL] for split, cells in raw.items()}
    majority = pandas.Series(labels["train"]).mode()[0]
    found = {"majority class": labels["test"] == majority}
    for names in together:
        x = {split: np.hstack([features[name][split] for name in names]) for split in raw}
        found[" + ".join(names)] = regression(x, labels) == labels["test"]
    return found


def regression(x, labels):
    """Predictions of logistic regression on the test split.

    The validation split selects the regularization.
    """
    models = [
        LogisticRegression(C=strength, max_iter=5000).fit(x["train"], labels["train"])
        for strength in STRENGTHS
    ]
    return max(
        models, key=lambda model: model.score(x["validation"], labels["validation"])
    ).predict(x["test"])
