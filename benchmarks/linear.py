"""Baselines: logistic regression on simple features of texts, images and audio."""

import functools
import io

import numpy as np
import pandas
import soundfile
import tensorflow as tf
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.models.towers.spectrogram import LogMelSpectrogram, fft_length

LABEL = "label"
# `C` of the logistic regression
STRENGTHS = (1.0, 10.0, 100.0)
# per channel of a colour histogram
BINS = 8
# mel bands of a spectrogram
BANDS = 40


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
        "TF-IDF": words(raw, text),
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


def words(raw, column):
    texts = {split: [text.decode() for text in cells[column]] for split, cells in raw.items()}
    vectorizer = TfidfVectorizer().fit(texts["train"])
    return {split: vectorizer.transform(one).toarray() for split, one in texts.items()}


def by_cell(raw, column, feature):
    """`feature` of every cell; zeros if it is missing."""
    found = {
        split: [feature(cell) if cell else None for cell in cells[column]]
        for split, cells in raw.items()
    }
    zero = np.zeros_like(next(vector for vector in found["train"] if vector is not None))
    return {
        split: np.stack([zero if vector is None else vector for vector in vectors])
        for split, vectors in found.items()
    }


def scaled(features):
    scaler = StandardScaler().fit(features["train"])
    return {split: scaler.transform(one) for split, one in features.items()}


def histogram(data):
    """Square roots of the frequencies of `BINS`^3 colours, float `(BINS**3,)`.

    Transparent pixels are white.
    """
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    image = (
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        .convert("RGB")
        .resize((96, 96), Image.Resampling.BILINEAR)
    )
    bins = np.asarray(image, int).reshape(-1, 3) * BINS // 256
    counts = np.bincount(bins @ [BINS * BINS, BINS, 1], minlength=BINS**3)
    return np.sqrt(counts / counts.sum())


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), float).ravel() / 255


@functools.cache
def bands_of(rate):
    """A function from samples to mean and standard deviation over time of each mel band, in dB.

    It is a graph function because it is called clip by clip.
    """
    window = rate // 40
    spectrogram = LogMelSpectrogram(
        rate, window, window // 2, fft_length(rate, window, BANDS), BANDS
    )

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)], autograph=False)
    def bands(samples):
        decibels = spectrogram(samples)[0]
        return tf.concat([tf.reduce_mean(decibels, 0), tf.math.reduce_std(decibels, 0)], 0)

    return bands


def mel_bands(data):
    """Mean and standard deviation over time of each mel band in dB, float `(2 * BANDS,)`."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return bands_of(rate)(samples.mean(axis=1)[None]).numpy()
