"""Log-mel spectrograms, computed in the model."""

import math
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from multimodal_tf.config import AudioAugmentation
from multimodal_tf.config.tower_bases import Spectrogram
from multimodal_tf.models.chain import Shape, Steps, chain
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.audio_mask import SILENCE, AudioMask
from multimodal_tf.models.towers.augment_audio import SpecAugment

# Hz, the lower edge of the mel bands
LOWEST = 20.0
# power
FLOOR = 10 ** (SILENCE / 10)


@keras.saving.register_keras_serializable("multimodal_tf")
class LogMelSpectrogram(Layer):
    """Power in decibels by time and mel band.

    Hann windows, one every `hop` samples, the last ones padded with silence; power spectrum;
    triangular mel bands from 20 Hz to half the sample rate; `10 log10`, at least -60 dB. In
    `keras.layers.MelSpectrogram` 3.15 the level depends on the loudest row of the batch, a batch of
    0 and a clip shorter than half a window fail, and the static shape can be a frame too long.

    Args:
        sample_rate: int, Hz.
        window, hop: int, samples.
        fft_length: int, samples, at least `window`; see `fft_length`.
        mel_bins: int.

    Call:
        `x` is float `(batch, samples)`, -1 to 1. Returns `(batch, ceil(samples / hop), mel_bins)`,
        dB, in the compute dtype; all is computed in float32.

    Example:
        >>> spectrogram = LogMelSpectrogram(8000, window=200, hop=80, fft_length=256, mel_bins=4)
        >>> spectrogram(ops.zeros((1, 100))).numpy().tolist()
        [[[-60.0, -60.0, -60.0, -60.0], [-60.0, -60.0, -60.0, -60.0]]]

    Source: the mel scale of the Hidden Markov Model Toolkit, as in
    `tf.signal.linear_to_mel_weight_matrix`.
    """

    def __init__(
        self,
        sample_rate: int,
        window: int,
        hop: int,
        fft_length: int,
        mel_bins: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sample_rate, self.window, self.hop = sample_rate, window, hop
        self.fft_length, self.mel_bins = fft_length, mel_bins

    def call(self, x: KerasTensor) -> KerasTensor:
        # of float16 there is no Fourier transform
        x = ops.cast(x, "float32")
        # tf.signal.stft also pads the windows to the FFT's length, but fails on a batch of 0.
        hann = tf.pad(tf.signal.hann_window(self.window), [[0, self.fft_length - self.window]])
        spectrum = tf.signal.rfft(
            tf.signal.frame(x, self.fft_length, self.hop, pad_end=True) * hann
        )
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        bands = tf.signal.linear_to_mel_weight_matrix(
            self.mel_bins, self.fft_length // 2 + 1, self.sample_rate, LOWEST, self.sample_rate / 2
        )
        decibels = 10.0 * ops.log10(ops.maximum(tf.tensordot(power, bands, 1), FLOOR))
        return ops.cast(decibels, self.compute_dtype)

    def compute_output_shape(self, shape: tuple[int | None, int]) -> Shape:
        return (shape[0], math.ceil(shape[1] / self.hop), self.mel_bins)

    def get_config(self) -> dict[str, Any]:
        names = ("sample_rate", "window", "hop", "fft_length", "mel_bins")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def log_mel(
    tower: Spectrogram,
    x: KerasTensor,
    sample_rate: int,
    augmentation: AudioAugmentation,
    name: str,
) -> KerasTensor:
    """The scaled spectrogram that the towers read, with SpecAugment in training.

    Args:
        tower: the configuration of the spectrogram.
        x: float32 `(batch, samples)`, -1 to 1.
        sample_rate: Hz.
        augmentation: its masks are applied in training.
        name: str. The input's.

    Returns:
        float32 `(batch, frames, mel_bins, 1)`; silence is 0, the loudest of speech (40 dB) 3.3.

    Raises:
        ValueError: window and hop do not fit the sample rate or each other, or a mask of
            SpecAugment is wider than the spectrogram.
    """
    window, hop = window_and_hop(tower, sample_rate, name)
    length = fft_length(sample_rate, window, tower.mel_bins)
    # In float32 under mixed precision too: bfloat16 has 8 significant bits, a sample 16.
    spectrogram = partial(
        LogMelSpectrogram,
        sample_rate,
        window,
        hop,
        length,
        tower.mel_bins,
        dtype="float32",
    )
    steps: Steps = {"spectrogram": spectrogram}
    frames = math.ceil(x.shape[1] / hop)
    if augmentation.time_masks or augmentation.frequency_masks:
        steps["spec_augment"] = _spec_augment(tower, augmentation, x, sample_rate, hop, name)
    # Silence becomes 0, the value of the convolutions' padding.
    steps["scale"] = partial(layers.Rescaling, 1 / 30, offset=-SILENCE / 30, dtype="float32")
    steps["channel"] = partial(layers.Reshape, (frames, tower.mel_bins, 1))
    return chain(x, steps, name, None)


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


def window_and_hop(tower: Spectrogram, sample_rate: int, name: str) -> tuple[int, int]:
    """Window and hop of a spectrogram, in samples.

    Raises:
        ValueError: one is too short for the sample rate, or the hop is longer than the window.
    """
    window, hop = (round(sample_rate * ms / 1000) for ms in (tower.window_ms, tower.hop_ms))
    if hop < 1 or window < 2:
        raise ValueError(
            f"inputs.{name}.tower: at {sample_rate} Hz window_ms must span 2 samples or more and"
            f" hop_ms 1, received {tower.window_ms} and {tower.hop_ms}"
        )
    if hop > window:
        raise ValueError(
            f"inputs.{name}.tower.hop_ms: must be at most window_ms ({tower.window_ms}), received"
            f" {tower.hop_ms}"
        )
    return window, hop


def _spec_augment(
    tower: Spectrogram,
    augmentation: AudioAugmentation,
    x: KerasTensor,
    sample_rate: int,
    hop: int,
    name: str,
) -> Any:
    """The step of `log_mel` that masks time and frequency in training."""
    bins, frames = tower.mel_bins, math.ceil(x.shape[1] / hop)
    width = round(sample_rate * augmentation.time_mask_ms / 1000 / hop)
    if augmentation.frequency_masks and augmentation.frequency_mask_bins >= bins:
        raise ValueError(
            f"inputs.{name}.augmentation.frequency_mask_bins: must be less than tower.mel_bins"
            f" ({bins}), received {augmentation.frequency_mask_bins}"
        )
    if augmentation.time_masks and not 1 <= width < frames:
        raise ValueError(
            f"inputs.{name}.augmentation.time_mask_ms: must span from 1 frame to less than all"
            f" {frames}, received {augmentation.time_mask_ms}, which is {width}"
        )
    valid = AudioMask(hop, frames, name=f"{name}_frames", dtype="float32")(x)

    def step(name: str) -> Any:
        layer = SpecAugment(
            augmentation.time_masks,
            width,
            augmentation.frequency_masks,
            augmentation.frequency_mask_bins,
            name=name,
            dtype="float32",
        )
        return lambda decibels: layer(decibels, valid)

    return step
