"""Stretches of a sound in time and frequency."""

import math

import numpy as np
from scipy.signal import ShortTimeFFT, windows

from multimodal_tf.corruptions.wav import samples, wav
from multimodal_tf.evaluation.explanations.parts import Parts

BANDS, TIMES = 8, 8
# seconds, about
_WINDOW = 0.032
# of O'Shaughnessy's mel scale
_MEL, _CORNER = 2595.0, 700.0


def bands(cell: bytes, sample_rate: int, seconds: float) -> Parts:
    """A sound as bands of frequency, equally wide on the mel scale, by stretches of time; what is
    left out is silent in all channels.

    Sounds come out as WAV files of 32-bit floats, of the same rate and channels, softer as a whole
    where they would be louder than full scale. Frequencies above those that the model reads go with
    the highest band, and what comes later goes with the last stretch; a second later, the sound is
    cut.

    Args:
        cell: bytes of a WAV file.
        sample_rate: int, Hz, at which the model reads it.
        seconds: float, of which the model reads the first.

    Raises:
        ValueError: it cannot be decoded.

    Example:
        >>> parts = bands(wav(np.zeros((16_000, 2), np.float32), 16_000), 8_000, 2.0)
        >>> parts.shape, parts.edges[0].astype(int)
        ((8, 8), array([   0,  218,  437,  750, 1125, 1625, 2250, 3031, 4000]))

    Source: Griffin and Lim 1984, «Signal estimation from modified short-time Fourier transform»;
    the scale: O'Shaughnessy 1987, Speech Communication.
    """
    sound, rate = samples(cell)
    # the served graph reads a second more, to resample the end
    sound = sound[: math.ceil((seconds + 1) * rate)]
    transform = short_time(rate, len(sound))
    padded = np.pad(sound, [(0, max(0, transform.m_num - len(sound))), (0, 0)])
    # (frequencies, channels, times)
    spectrum = transform.stft(padded, axis=0)
    of_bin, hertz = _cut_frequencies(transform.f, min(rate, sample_rate) / 2)
    of_time, moments = _cut_times(transform.t(len(padded)), min(len(sound) / rate, seconds))

    def keep(kept):
        there = kept[of_bin][:, of_time]
        made = transform.istft(spectrum * there[:, None, :], k1=len(padded), f_axis=0)[: len(sound)]
        return wav(made / max(1.0, np.abs(made).max()), rate)

    return Parts((hertz, moments), keep)


def short_time(rate: int, length: int) -> ShortTimeFFT:
    """The transform: Hann windows of 23 to 45 ms that overlap by three quarters; shorter ones for a
    sound of fewer than eight of them.

    Args:
        rate: int, Hz.
        length: int, samples.
    """
    size = 2 ** max(4, round(math.log2(max(1.0, min(_WINDOW * rate, length / TIMES)))))
    return ShortTimeFFT(windows.hann(size, sym=False), size // 4, rate)


def _cut_frequencies(frequencies, highest):
    """The band of each frequency, and the edges in Hz; low bands that hold none are not there."""
    mel = np.linspace(0, _MEL * np.log10(1 + highest / _CORNER), BANDS + 1)[:-1]
    starts = np.unique(np.searchsorted(frequencies, _CORNER * (10 ** (mel / _MEL) - 1)))
    return np.searchsorted(starts, np.arange(len(frequencies)), side="right") - 1, np.append(
        frequencies[starts], highest
    )


def _cut_times(times, seconds):
    """The stretch of each window, and the edges in seconds."""
    edges = np.linspace(0, seconds, TIMES + 1)
    return np.clip(np.searchsorted(edges, times, side="right") - 1, 0, TIMES - 1), edges
