"""scikit-learn's logistic regression on simple features of texts, images and sounds: what a tower
has to beat.
"""

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
# logistic regression's C
STRENGTHS = (1.0, 10.0, 100.0)
# of a colour histogram, per channel
BINS = 8
# of a spectrogram
BANDS = 40


def read_raw(directory, split, config):
    """The cells of a split as training reads them: bytes by input, with the rows' numbers as `row`
    and the classes as `LABEL`.
    """
    batches = list(load_raw(config, directory, split, 256))
    cells = {
        name: np.concatenate([inputs[name].numpy() for _, inputs, _ in batches])
        for name in config.inputs
    }
    labels = np.concatenate([labels[LABEL].numpy() for _, _, labels in batches]).astype(str)
    return cells | {"row": np.concatenate([rows.numpy() for rows, _, _ in batches]), LABEL: labels}


def baselines(raw):
    """By name, whether logistic regression on these features is right in each row of the test
    split.
    """
    text = "description" if "description" in raw["train"] else "text"
    pictures = ("colour histogram", histogram) if text == "description" else ("pixels", pixels)
    features = {
        "TF-IDF": words(raw, text),
        pictures[0]: by_cell(raw, "image", pictures[1]),
        "mel bands": scaled(by_cell(raw, "sound", mel_bands)),
    }
    together = [["TF-IDF"], [pictures[0]], ["mel bands"], ["TF-IDF", pictures[0]], [*features]]
    labels = {split: cells[LABEL] for split, cells in raw.items()}
    majority = pandas.Series(labels["train"]).mode()[0]
    found = {"majority class": labels["test"] == majority}
    for names in together:
        x = {split: np.hstack([features[name][split] for name in names]) for split in raw}
        found[" + ".join(names)] = regression(x, labels) == labels["test"]
    return found


def regression(x, labels):
    """What logistic regression answers on the test split, with the regularisation that suits the
    validation split best.
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
    return {split: vectorizer.transform(part).toarray() for split, part in texts.items()}


def by_cell(raw, column, feature):
    """`feature` of every cell; zeros where it is missing."""
    found = {
        split: [feature(cell) if cell else None for cell in cells[column]]
        for split, cells in raw.items()
    }
    zero = np.zeros_like(next(vector for vector in found["train"] if vector is not None))
    return {
        split: np.stack([zero if vector is None else vector for vector in part])
        for split, part in found.items()
    }


def scaled(features):
    scaler = StandardScaler().fit(features["train"])
    return {split: scaler.transform(part) for split, part in features.items()}


def histogram(data):
    """The square roots of the shares of `BINS`^3 colours, float `(BINS**3,)`; transparent is white."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    image = (
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        .convert("RGB")
        .resize((96, 96), Image.Resampling.BILINEAR)
    )
    places = np.asarray(image, int).reshape(-1, 3) * BINS // 256
    counts = np.bincount(places @ [BINS * BINS, BINS, 1], minlength=BINS**3)
    return np.sqrt(counts / counts.sum())


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), float).ravel() / 255


@functools.cache
def bands_of(rate):
    """A graph function, because it is called clip by clip: samples to mean and standard deviation
    over time of each mel band's decibels.
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
    """Mean and standard deviation over time of the loudness in each mel band, float `(2 * BANDS,)`."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return bands_of(rate)(samples.mean(axis=1)[None]).numpy()
