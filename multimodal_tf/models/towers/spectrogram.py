"""Sounds as pictures: loudness by time and pitch, computed in the model."""

import math
from functools import partial

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.audio_mask import SILENCE, SoundMask
from multimodal_tf.models.towers.augment_audio import SpecAugment

# Hz, the lower edge of the mel bands
LOWEST = 20.0
# power
FLOOR = 10 ** (SILENCE / 10)


@keras.saving.register_keras_serializable("multimodal_tf")
class LogMelSpectrogram(layers.Layer):
    """Loudness in decibels by time and pitch.

    Hann windows, one every `hop` samples, the last ones filled up with silence; power spectrum;
    triangular mel bands from 20 Hz to half the sample rate; `10 log10`, at least -60 dB. In
    `keras.layers.MelSpectrogram` 3.15 the loudness depends on the loudest row of the batch; it
    fails on a batch of 0 and on a clip shorter than half a window, and its static shape can be a
    frame too long.

    Args:
        sample_rate: int, Hz.
        window, hop: int, samples.
        fft_length: int, samples, at least `window`; `fft_length(...)` suggests one.
        mel_bins: int.

    Call:
        `x` is float32 `(batch, samples)`, -1 to 1. Returns float32 `(batch, ceil(samples / hop),
        mel_bins)`, dB.

    Example:
        >>> spectrogram = LogMelSpectrogram(sample_rate=8000, window=200, hop=80, fft_length=256, mel_bins=4)
        >>> spectrogram(ops.zeros((1, 100))).numpy().tolist()
        [[[-60.0, -60.0, -60.0, -60.0], [-60.0, -60.0, -60.0, -60.0]]]

    Source: the mel scale of the Hidden Markov Model Toolkit, as in
    `tf.signal.linear_to_mel_weight_matrix`.
    """

    def __init__(self, sample_rate, window, hop, fft_length, mel_bins, **kwargs):
        super().__init__(**kwargs)
        self.sample_rate, self.window, self.hop, self.fft_length, self.mel_bins = (
            sample_rate,
            window,
            hop,
            fft_length,
            mel_bins,
        )

    def call(self, x):
        # tf.signal.stft would pad the windows to the FFT's length itself, but not those of a batch
        # of 0, and then fail
        hann = tf.pad(tf.signal.hann_window(self.window), [[0, self.fft_length - self.window]])
        spectrum = tf.signal.rfft(
            tf.signal.frame(x, self.fft_length, self.hop, pad_end=True) * hann
        )
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


def log_mel(part, x, name):
    """What the towers over spectrograms read.

    Args:
        part: `config.AudioInput`, whose tower has `mel_bins`, `window_ms` and `hop_ms`.
        x: float32 `(batch, samples)`, -1 to 1.
        name: str. The input's.

    Returns:
        float32 `(batch, frames, mel_bins, 1)`; silence is 0, the loudest of speech (40 dB) 3.3.

    Raises:
        ValueError: window and hop do not fit the sample rate or each other, or a mask of
        SpecAugment is wider than the spectrogram.
    """
    tower, (window, hop) = part.tower, spans(part, name)
    # float32 under mixed precision too: bfloat16 has 8 bits, a sound 16
    length = fft_length(part.sample_rate, window, tower.mel_bins)
    steps: dict = {
        "spectrogram": partial(
            LogMelSpectrogram,
            part.sample_rate,
            window,
            hop,
            length,
            tower.mel_bins,
            dtype="float32",
        )
    }
    frames = math.ceil(part.samples / hop)
    if part.augmentation.time_masks or part.augmentation.frequency_masks:
        steps["spec_augment"] = _spec_augment(part, x, hop, frames, name)
    # silence is 0, as what convolutions see beyond the end is
    steps["scale"] = partial(layers.Rescaling, 1 / 30, offset=-SILENCE / 30, dtype="float32")
    steps["channel"] = partial(layers.Reshape, (frames, tower.mel_bins, 1))
    return chain(x, steps, name, None)


def fft_length(sample_rate, window, mel_bins):
    """The power of two that holds the window and is so fine that the lowest mel band, the narrowest
    in Hz, spans two frequencies.

    Example:
        >>> fft_length(sample_rate=16000, window=400, mel_bins=64), fft_length(sample_rate=16000, window=400, mel_bins=128)
        (512, 1024)
    """
    lowest, highest = (
        1127 * math.log1p(frequency / 700) for frequency in (LOWEST, sample_rate / 2)
    )
    # upper edge of the first band, in mel
    band = lowest + 2 * (highest - lowest) / (mel_bins + 1)
    width = 700 * math.expm1(band / 1127) - LOWEST
    return 2 ** math.ceil(math.log2(max(window, sample_rate / width)))


def spans(part, name):
    """Window and hop of `part`'s spectrogram, in samples; `ValueError` where they cannot be."""
    tower = part.tower
    window, hop = (round(part.sample_rate * ms / 1000) for ms in (tower.window_ms, tower.hop_ms))
    if hop < 1 or window < 2:
        raise ValueError(
            f"inputs.{name}.tower: at {part.sample_rate} Hz window_ms must span 2 samples or more and hop_ms 1, "
            f"received {tower.window_ms} and {tower.hop_ms}"
        )
    if hop > window:
        raise ValueError(
            f"inputs.{name}.tower.hop_ms: must be at most window_ms ({tower.window_ms}), received {tower.hop_ms}"
        )
    return window, hop


def _spec_augment(part, x, hop, frames, name):
    """The step of `log_mel` that masks stretches of time and bands, in training."""
    ours, bins = part.augmentation, part.tower.mel_bins
    width = round(part.sample_rate * ours.time_mask_ms / 1000 / hop)
    if ours.frequency_masks and ours.frequency_mask_bins >= bins:
        raise ValueError(
            f"inputs.{name}.augmentation.frequency_mask_bins: must be less than tower.mel_bins ({bins}), "
            f"received {ours.frequency_mask_bins}"
        )
    if ours.time_masks and not 1 <= width < frames:
        raise ValueError(
            f"inputs.{name}.augmentation.time_mask_ms: must span from 1 frame to less than all {frames}, received {ours.time_mask_ms}, "
            f"which is {width}"
        )
    there = SoundMask(hop, frames, name=f"{name}_frames", dtype="float32")(x)

    def step(name):
        layer = SpecAugment(
            ours.time_masks,
            width,
            ours.frequency_masks,
            ours.frequency_mask_bins,
            name=name,
            dtype="float32",
        )
        return lambda decibels: layer(decibels, there)

    return step
