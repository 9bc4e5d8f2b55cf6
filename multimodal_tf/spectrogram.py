"""Log-mel spectrograms of waveforms and waveforms of log-mel spectrograms, in core TensorFlow ops.

Data, models and serving share these formulas: what a target is learned from, what a tower reads and
what is heard are one spectrogram.
"""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

# Hz, the lower edge of the mel bands
LOWEST = 20.0
# dB, the least power: about the noise floor of 16-bit samples; digital silence would be -infinity
SILENCE = -60.0
# power
FLOOR = 10 ** (SILENCE / 10)
# of the fast algorithm, as in librosa
_MOMENTUM = 0.99
# share of the largest sum of squared windows below which samples are not divided by it
_LEAST_WEIGHT = 0.1
_AS_PRODUCT = contextvars.ContextVar("fourier_transform_as_matrix_product", default=False)


@dataclasses.dataclass(frozen=True)
class Mel:
    """The settings of a log-mel spectrogram.

    Args:
        sample_rate: int, Hz.
        window, hop: int, samples; the hop is at most the window.
        fft_length: int, samples, at least `window`; see `fft_length`.
        bins: int, mel bands.
    """

    sample_rate: int
    window: int
    hop: int
    fft_length: int
    bins: int

    def frames(self, samples: int) -> int:
        """Frames of a waveform of so many samples."""
        return math.ceil(samples / self.hop)

    def bands(self) -> tf.Tensor:
        """Weights of frequencies in mel bands, float32 `(fft_length // 2 + 1, bins)`."""
        return tf.signal.linear_to_mel_weight_matrix(
            self.bins, self.fft_length // 2 + 1, self.sample_rate, LOWEST, self.sample_rate / 2
        )

    def hann(self) -> tf.Tensor:
        """The window, float32 `(fft_length,)`."""
        return tf.pad(tf.signal.hann_window(self.window), [[0, self.fft_length - self.window]])


def fft_length(sample_rate: int, window: int, mel_bins: int) -> int:
    """The least power of two that holds the window and gives each mel band two frequencies or more.

    The lowest band is the narrowest in Hz.

    Example:
        >>> fft_length(16000, window=400, mel_bins=64), fft_length(16000, window=400, mel_bins=128)
        (512, 1024)
    """
    lowest, highest = (
        1127 * math.log1p(frequency / 700) for frequency in (LOWEST, sample_rate / 2)
    )
    # upper edge of the lowest band, in mel
    edge = lowest + 2 * (highest - lowest) / (mel_bins + 1)
    width = 700 * math.expm1(edge / 1127) - LOWEST
    power = math.ceil(math.log2(max(window, sample_rate / width)))
    return int(2**power)


def decibels(x: Any, mel: Mel) -> tf.Tensor:
    """Power in decibels by time and mel band, at least -60.

    Args:
        x: float32 `(batch, samples)`, -1 to 1; a batch of 0 rows is none of TensorFlow's `stft`.
        mel: the settings.

    Returns:
        float32 `(batch, ceil(samples / hop), bins)`.

    Example:
        >>> decibels(tf.zeros([1, 100]), Mel(8000, 200, 80, 256, 4)).numpy().tolist()
        [[[-60.0, -60.0, -60.0, -60.0], [-60.0, -60.0, -60.0, -60.0]]]
    """
    real, imaginary = _parts(x, mel)
    bands = tf.tensordot(tf.square(real) + tf.square(imaginary), mel.bands(), 1)
    return 10.0 * tf.math.log(tf.maximum(bands, FLOOR)) / math.log(10)


def waveform(spectrogram: Any, mel: Mel, samples: int, iterations: int) -> tf.Tensor:
    """A waveform with about this spectrogram: the phases are found by Griffin and Lim's algorithm.

    Power by frequency is that of the bands by their pseudo-inverse, at least 0. The first phases
    are random and always the same, so that a row's waveform depends on its spectrogram alone.

    Args:
        spectrogram: float32 `(batch, frames, bins)`, dB, as `decibels` gives it.
        mel: its settings.
        samples: int, of the waveform.
        iterations: int, 0 or more; each is two Fourier transforms of the whole.

    Returns:
        float32 `(batch, samples)`; silence where the spectrogram is at its least.

    Source: Griffin and Lim 1984, «Signal Estimation from Modified Short-Time Fourier Transform»;
    with momentum Perraudin, Balazs and Søndergaard 2013, «A Fast Griffin-Lim Algorithm».
    """
    power = tf.pow(10.0, spectrogram / 10) - FLOOR
    inverse = tf.linalg.pinv(mel.bands())
    magnitude = tf.sqrt(tf.maximum(tf.tensordot(tf.maximum(power, 0.0), inverse, 1), 0.0))
    shape = [mel.frames(samples), mel.fft_length // 2 + 1]
    angles = 2 * math.pi * tf.random.stateless_uniform(shape, [0, 0])
    phases = tf.complex(tf.cos(angles), tf.sin(angles)) * tf.cast(
        tf.ones_like(magnitude), tf.complex64
    )
    size = tf.cast(magnitude, tf.complex64)

    def improved(phases: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = _spectrum(_samples(size * phases, mel, samples), mel)
        moved = found - before * (_MOMENTUM / (1 + _MOMENTUM))
        return moved / tf.cast(tf.abs(moved) + 1e-12, tf.complex64), found

    phases, _ = tf.while_loop(
        lambda *_: True,
        improved,
        (phases, tf.zeros_like(phases)),
        maximum_iterations=iterations,
    )
    return _samples(size * phases, mel, samples)


@contextlib.contextmanager
def as_matrix_product() -> Iterator[None]:
    """Graphs that are traced here compute the Fourier transform of `decibels` by a matrix product.

    ONNX has no operation that takes its place; the product is slower and as exact.
    """
    token = _AS_PRODUCT.set(True)
    try:
        yield
    finally:
        _AS_PRODUCT.reset(token)


def _parts(x: Any, mel: Mel) -> tuple[tf.Tensor, tf.Tensor]:
    """Real and imaginary part of the spectrum, float32 `(batch, frames, frequencies)`."""
    if not _AS_PRODUCT.get():
        spectrum = _spectrum(x, mel)
        return tf.math.real(spectrum), tf.math.imag(spectrum)
    framed = tf.signal.frame(x, mel.fft_length, mel.hop, pad_end=True) * mel.hann()
    spectra = np.fft.rfft(np.eye(mel.fft_length)).astype(np.complex64)
    return tf.tensordot(framed, spectra.real, 1), tf.tensordot(framed, spectra.imag, 1)


def _spectrum(x: Any, mel: Mel) -> tf.Tensor:
    """complex64 `(batch, frames, frequencies)`; the last windows are padded with silence."""
    # tf.signal.stft also pads the windows to the FFT's length, but fails on a batch of 0
    framed = tf.signal.frame(x, mel.fft_length, mel.hop, pad_end=True)
    return tf.signal.rfft(framed * mel.hann())


def _samples(spectrum: tf.Tensor, mel: Mel, samples: int) -> tf.Tensor:
    """The waveform whose spectrum is nearest, float32 `(batch, samples)`."""
    hann = mel.hann()
    framed = tf.signal.irfft(spectrum, [mel.fft_length]) * hann
    weights = tf.tile(tf.square(hann)[tf.newaxis], [mel.frames(samples), 1])
    weight = tf.signal.overlap_and_add(weights, mel.hop)[:samples]
    # at the very beginning and end few windows add up, and errors would be large
    weight = tf.maximum(weight, _LEAST_WEIGHT * tf.reduce_max(weight))
    found: tf.Tensor = tf.signal.overlap_and_add(framed, mel.hop)[:, :samples] / weight
    return found
