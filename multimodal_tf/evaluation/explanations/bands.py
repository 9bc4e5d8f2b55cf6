"""Time-frequency bands of a waveform."""

import math

import numpy as np
from scipy.fft import irfft
from scipy.signal import ShortTimeFFT, windows

from multimodal_tf.corruptions import wav
from multimodal_tf.evaluation.explanations.parts import Parts

BANDS, TIMES = 8, 8
# seconds of a window, about
_WINDOW = 0.032
# of O'Shaughnessy's mel scale
_MEL, _CORNER = 2595.0, 700.0


def bands(cell: bytes, sample_rate: int, seconds: float) -> Parts:
    """Splits a WAV file into frequency bands of equal width on the mel scale, by intervals of time.

    A part that is left out is silent in all channels. Results are WAV files of 32-bit floats with
    the same rate and channels, scaled down if they exceed full scale. Frequencies above the model's
    belong to the highest band, later times to the last interval. The waveform is cut one second
    after the model's end.

    Args:
        cell: bytes of a WAV file.
        sample_rate: int, Hz, at which the model reads it.
        seconds: float, how much of it the model reads.

    Raises:
        ValueError: the file cannot be decoded.

    Example:
        >>> parts = bands(wav.encode(np.zeros((16_000, 2), np.float32), 16_000), 8_000, 2.0)
        >>> parts.shape, parts.edges[0].astype(int)
        ((8, 8), array([   0,  218,  437,  750, 1125, 1625, 2250, 3031, 4000]))

    Source: Griffin and Lim 1984, «Signal estimation from modified short-time Fourier transform»;
    mel scale: O'Shaughnessy 1987, Speech Communication.
    """
    waveform, rate = wav.decode(cell)
    # the served graph reads a second more, to resample the end
    waveform = waveform[: math.ceil((seconds + 1) * rate)]
    transform = short_time_fft(rate, len(waveform))
    padded = np.pad(waveform, [(0, max(0, transform.m_num - len(waveform))), (0, 0)])
    # (frequencies, channels, times)
    spectrum = transform.stft(padded, axis=0)
    band_of_bin, hertz = _frequency_bands(transform.f, min(rate, sample_rate) / 2)
    interval_of_window, moments = _time_intervals(
        transform.t(len(padded)), min(len(waveform) / rate, seconds)
    )

    def keep(mask: np.ndarray) -> bytes:
        of_spectrum = mask[band_of_bin][:, interval_of_window][:, None, :]
        masked = inverse(transform, spectrum * of_spectrum, len(waveform))
        return wav.encode(masked / max(1.0, np.abs(masked).max()), rate)

    return Parts((hertz, moments), keep)


def short_time_fft(rate: int, length: int) -> ShortTimeFFT:
    """The transform: Hann windows of 23 to 45 ms that overlap by three quarters.

    Windows are shorter if fewer than eight would fit.

    Args:
        rate: int, Hz.
        length: int, samples.
    """
    size = 2 ** max(4, round(math.log2(max(1.0, min(_WINDOW * rate, length / TIMES)))))
    return ShortTimeFFT(windows.hann(size, sym=False), size // 4, rate)


def inverse(transform: ShortTimeFFT, spectrum: np.ndarray, length: int) -> np.ndarray:
    """`transform.istft`, of all windows in one call: SciPy takes one after the other.

    Args:
        transform: of `short_time_fft`.
        spectrum: complex array (frequencies, channels, windows), what `transform.stft` gave.
        length: int, samples.

    Returns:
        Array (length, channels).
    """
    size, hop = transform.m_num, transform.hop
    # SciPy's phases are of the middle of a window
    samples = np.roll(irfft(spectrum, n=size, axis=0), transform.m_num_mid, axis=0)
    samples *= transform.dual_win[:, None, None]
    quarters = samples.reshape(size // hop, hop, *samples.shape[1:])
    windows_and_more = samples.shape[2] + len(quarters) - 1
    added = np.zeros((windows_and_more, hop, samples.shape[1]))
    for number, quarter in enumerate(quarters):
        added[number : number + samples.shape[2]] += np.moveaxis(quarter, 2, 0)
    first = transform.m_num_mid - transform.p_min * hop
    return added.reshape(-1, samples.shape[1])[first : first + length]


def _frequency_bands(frequencies: np.ndarray, highest: float) -> tuple[np.ndarray, np.ndarray]:
    """The band of each frequency, and the edges in Hz. Bands without a frequency are dropped."""
    mel = np.linspace(0, _MEL * np.log10(1 + highest / _CORNER), BANDS + 1)[:-1]
    starts = np.unique(np.searchsorted(frequencies, _CORNER * (10 ** (mel / _MEL) - 1)))
    band_of = np.searchsorted(starts, np.arange(len(frequencies)), side="right") - 1
    return band_of, np.append(frequencies[starts], highest)


def _time_intervals(times: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """The interval of each window, and the edges in seconds."""
    edges = np.linspace(0, seconds, TIMES + 1)
    return np.clip(np.searchsorted(edges, times, side="right") - 1, 0, TIMES - 1), edges
