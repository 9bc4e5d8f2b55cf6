"""Simple features of cells, for baselines of scikit-learn.

`raw` is by split and column the cells: bytes of texts, images and audio (empty if missing), floats
of numbers (NaN if missing), strings of categories ("" if missing). Features are matrices by split.
"""

import functools
import io

import numpy as np
import soundfile
import tensorflow as tf
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from multimodal_tf.models.towers.spectrogram import LogMelSpectrogram, fft_length

# per channel of a colour histogram
BINS = 8
# pixels of a thumbnail's side
THUMBNAIL = 16
# mel bands of a spectrogram
BANDS = 40
# cells whose features are kept for the next seed
KEPT = 20_000


def words(raw, column):
    """TF-IDF, a sparse matrix by split; a missing text is an empty one."""
    texts = {split: [text.decode() for text in cells[column]] for split, cells in raw.items()}
    vectorizer = TfidfVectorizer().fit(texts["train"])
    return {split: vectorizer.transform(one) for split, one in texts.items()}


def by_cell(raw, column, feature):
    """`feature` of every cell; zeros if it is missing."""
    found = {
        split: [feature(cell) if cell else None for cell in cells[column]]
        for split, cells in raw.items()
    }
    zero = np.zeros_like(
        next(vector for split in found.values() for vector in split if vector is not None)
    )
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
    bins = np.asarray(reduced(data), int).reshape(-1, 3) * BINS // 256
    counts = np.bincount(bins @ [BINS * BINS, BINS, 1], minlength=BINS**3)
    return np.sqrt(counts / counts.sum())


def on_white(data):
    """The image as RGB; transparent pixels are white."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


@functools.lru_cache(KEPT)
def reduced(data):
    """The image as RGB of 96 x 96 pixels."""
    return on_white(data).resize((96, 96), Image.Resampling.BILINEAR)


def thumbnail(data):
    """Grey values 0 to 1, float `(THUMBNAIL**2,)`."""
    size = (THUMBNAIL, THUMBNAIL)
    image = reduced(data).convert("L").resize(size, Image.Resampling.BOX)
    return np.asarray(image, float).ravel() / 255


def pixels(data):
    """Grey values 0 to 1 of all pixels; the images must be of one size."""
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


@functools.lru_cache(KEPT)
def mel_bands(data):
    """Mean and standard deviation over time of each mel band in dB, float `(2 * BANDS,)`."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return bands_of(rate)(samples.mean(axis=1)[None]).numpy()


def numbers(raw, column):
    """The number, normalized, 0 if it is missing; and whether it is missing."""
    columns = {split: np.asarray(cells[column], float)[:, None] for split, cells in raw.items()}
    normalized = scaled(columns)
    return {
        split: np.hstack([np.nan_to_num(normalized[split]), np.isnan(one)])
        for split, one in columns.items()
    }


def categories(raw, column):
    """One column per category of the training split; sparse."""
    columns = {split: np.asarray(cells[column], str)[:, None] for split, cells in raw.items()}
    encoder = OneHotEncoder(handle_unknown="ignore").fit(columns["train"])
    return {split: encoder.transform(one) for split, one in columns.items()}
