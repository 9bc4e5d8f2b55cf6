"""Sounds: a log-mel spectrogram, computed in the model, read like an image."""

import math
from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.image import convolutions

LOWEST = 20.0  # Hz, the lower edge of the mel bands
FLOOR = 1e-6  # power; -60 dB: below the noise of 16-bit samples' loud recordings, and silence is -60 dB, not minus infinity


def spectrogram_cnn(part, x, name, last):
    """The tower of a sound.

    Args:
        part: `config.AudioInput`.
        x: float32 `(batch, samples)`, -1 to 1.
        name, last: str. Names of the layers: `models.towers`.

    Returns:
        `(batch, dim)` in the compute dtype; `dim` is `part.tower.dim`, or what the pooling leaves where that is null.

    Raises:
        ValueError: window and hop do not fit the sample rate or each other, or the spectrogram is too small for so many blocks.
    """
    window, hop = _window(part, name)
    bins = _fft_length(part, window)
    samples = _padded(part.samples, hop, bins)
    steps = {
        # everything up to the decibels is float32 under mixed precision too: bfloat16 has 8 bits, a sound 16
        "samples": partial(layers.Reshape, (part.samples, 1), dtype="float32"),
        "silence": partial(layers.ZeroPadding1D, (0, samples - part.samples), dtype="float32"),
        "waveform": partial(layers.Reshape, (samples,), dtype="float32"),
        "spectrogram": partial(_decibels, part, window, hop, bins),
        "scale": partial(layers.Rescaling, 1 / 30, offset=1 / 3, dtype="float32"),  # -60 .. 40 dB, what speech has, to -1.7 .. 1.7
        "channel": partial(layers.Reshape, (part.tower.mel_bins, 1 + samples // hop, 1)),
    }
    size = (part.tower.mel_bins, 1 + samples // hop)
    return chain(x, steps | convolutions(part.tower, size, name), name, last)


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


def _fft_length(part, window):
    """The power of two that holds the window and is fine enough for every mel band to see at least one frequency."""
    lowest, highest = (_mel(frequency) for frequency in (LOWEST, part.sample_rate / 2))
    second = lowest + 2 * (highest - lowest) / (part.tower.mel_bins + 1)  # upper edge of the first band, the narrowest in Hz
    return 2 ** math.ceil(math.log2(max(window, part.sample_rate / (_hertz(second) - LOWEST))))


def _mel(frequency):
    return 1127 * math.log1p(frequency / 700)


def _hertz(mel):
    return 700 * math.expm1(mel / 1127)


def _padded(samples, hop, bins):
    """Length to which silence is added.

    Longer than half a window, since the spectrogram reflects the sound at both ends; and a multiple of the hop, since Keras 3.15's
    `MelSpectrogram.compute_output_shape` counts one frame too many where the length is one short of a multiple.
    """
    return hop * math.ceil(max(samples, bins // 2 + 1) / hop)


def _decibels(part, window, hop, bins, name):
    return layers.MelSpectrogram(
        fft_length=bins,
        sequence_stride=hop,
        sequence_length=window,
        sampling_rate=part.sample_rate,
        num_mel_bins=part.tower.mel_bins,
        min_freq=LOWEST,
        min_power=FLOOR,
        top_db=1000.0,  # no cut: Keras cuts below the maximum of the whole batch, and a row must not depend on its neighbours
        dtype="float32",
        name=name,
    )
