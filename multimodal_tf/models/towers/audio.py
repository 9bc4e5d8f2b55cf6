"""Sounds: a log-mel spectrogram, computed in the model, read like an image."""

import math
from functools import partial

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.image import convolutions

LOWEST = 20.0  # Hz, the lower edge of the mel bands
FLOOR = 1e-6  # power, -60 dB: about where the hiss of 16-bit samples lies; silence is -60 dB too, and not minus infinity


@keras.saving.register_keras_serializable("multimodal_tf")
class LogMelSpectrogram(layers.Layer):
    """Loudness in decibels by time and pitch.

    Hann windows, one every `hop` samples, the last ones filled up with silence; power spectrum; triangular mel bands from 20 Hz to half
    the sample rate; `10 log10`, at least -60 dB. `keras.layers.MelSpectrogram` 3.15 was tried first: its loudness depends on the loudest
    row of the batch, it fails on a batch of 0 and on a clip shorter than half a window, and its static shape can be a frame too long.

    Args:
        sample_rate: int, Hz.
        window, hop: int, samples.
        fft_length: int, samples, at least `window`; `fft_length(...)` suggests one.
        mel_bins: int.

    Call:
        `x` is float32 `(batch, samples)`, -1 to 1. Returns float32 `(batch, ceil(samples / hop), mel_bins)`, dB.

    Example:
        >>> spectrogram = LogMelSpectrogram(sample_rate=8000, window=200, hop=80, fft_length=256, mel_bins=4)
        >>> spectrogram(ops.zeros((1, 100))).numpy().tolist()
        [[[-60.0, -60.0, -60.0, -60.0], [-60.0, -60.0, -60.0, -60.0]]]

    Source: the mel scale of the Hidden Markov Model Toolkit, as in `tf.signal.linear_to_mel_weight_matrix`.
    """

    def __init__(self, sample_rate, window, hop, fft_length, mel_bins, **kwargs):
        super().__init__(**kwargs)
        self.sample_rate, self.window, self.hop, self.fft_length, self.mel_bins = sample_rate, window, hop, fft_length, mel_bins

    def call(self, x):
        # tf.signal.stft would pad the windows to the FFT's length itself, but not those of a batch of 0, and then fail
        hann = tf.pad(tf.signal.hann_window(self.window), [[0, self.fft_length - self.window]])
        spectrum = tf.signal.rfft(tf.signal.frame(x, self.fft_length, self.hop, pad_end=True) * hann)
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        bands = tf.signal.linear_to_mel_weight_matrix(
            self.mel_bins, self.fft_length // 2 + 1, self.sample_rate, LOWEST, self.sample_rate / 2
        )
        return 10.0 * ops.log10(ops.maximum(tf.tensordot(power, bands, 1), FLOOR))

    def compute_output_shape(self, shape):
        return (shape[0], math.ceil(shape[1] / self.hop), self.mel_bins)

    def get_config(self):
        names = ("sample_rate", "window", "hop", "fft_length", "mel_bins")
        return super().get_config() | {name: getattr(self, name) for name in names}


def spectrogram_cnn(part, x, present, name, last):
    """The tower of a sound.

    Args:
        part: `config.AudioInput`.
        x: float32 `(batch, samples)`, -1 to 1.
        present, name, last: as `models.towers` says.

    Returns:
        `(batch, dim)` in the compute dtype; `dim` is `part.tower.dim`, or what the pooling leaves where that is null.

    Raises:
        ValueError: window and hop do not fit the sample rate or each other, or the spectrogram is too small for so many blocks.
    """
    window, hop = _window(part, name)
    mel_bins, frames = part.tower.mel_bins, math.ceil(part.samples / hop)
    # float32 under mixed precision too: bfloat16 has 8 bits, a sound 16
    decibels = partial(
        LogMelSpectrogram, part.sample_rate, window, hop, fft_length(part.sample_rate, window, mel_bins), mel_bins, dtype="float32"
    )
    steps = {
        "spectrogram": decibels,
        "scale": partial(layers.Rescaling, 1 / 30, offset=1 / 3, dtype="float32"),  # -60 .. 40 dB, where speech lies, to -1.7 .. 1.7
        "channel": partial(layers.Reshape, (frames, mel_bins, 1)),
    }
    return chain(x, steps | convolutions(part.tower, (frames, mel_bins), present, name), name, last)


def fft_length(sample_rate, window, mel_bins):
    """The power of two that holds the window and is so fine that the lowest mel band, the narrowest in Hz, spans two frequencies.

    Example:
        >>> fft_length(sample_rate=16000, window=400, mel_bins=64), fft_length(sample_rate=16000, window=400, mel_bins=128)
        (512, 1024)
    """
    lowest, highest = (1127 * math.log1p(frequency / 700) for frequency in (LOWEST, sample_rate / 2))
    band = lowest + 2 * (highest - lowest) / (mel_bins + 1)  # upper edge of the first band, in mel
    width = 700 * math.expm1(band / 1127) - LOWEST
    return 2 ** math.ceil(math.log2(max(window, sample_rate / width)))


def _window(part, name):
    """Window and hop in samples."""
    tower = part.tower
    window, hop = (round(part.sample_rate * ms / 1000) for ms in (tower.window_ms, tower.hop_ms))
    if hop < 1 or window < 2:
        raise ValueError(
            f"inputs.{name}.tower: at {part.sample_rate} Hz window_ms must span 2 samples or more and hop_ms 1, "
            f"received {tower.window_ms} and {tower.hop_ms}"
        )
    if hop > window:
        raise ValueError(f"inputs.{name}.tower.hop_ms: must be at most window_ms ({tower.window_ms}), received {tower.hop_ms}")
    return window, hop
