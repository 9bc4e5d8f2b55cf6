"""Corruptions of waveforms in WAV files.

Noise is added at a signal-to-noise ratio: the mean power of the whole waveform over the mean power
of the whole noise, in decibels, exact for every waveform. Silence has no such ratio and stays
silent. All corruptions but `speed` keep the length.

Each corruption names its source; without a source, the five strengths are our choice.
"""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal

from multimodal_tf.corruptions import wav
from multimodal_tf.corruptions.corruption import Corruption

# voices of babble; Snyder et al. 2018 (x-vectors) mix 3 to 7
_VOICES = 5
# 20 to 0 dB are those of AURORA-2: Hirsch and Pearce 2000
_SNR = ("signal-to-noise ratio, dB", (30, 20, 10, 5, 0))
# Hz: the power of pink noise is constant below
_FLAT = 20.0
# order of the low-pass
_ORDER = 8
# standard deviation of white noise alone, full scale 1
_NOISE_DEVIATION = 0.1
# seconds of a packet
_PACKET = 0.02


def babble(pool: Iterable[bytes]) -> Corruption:
    """Babble: several other files mixed in at a signal-to-noise ratio.

    Five voices of the pool, equally loud, each from a random position on.

    Args:
        pool: WAV files, such as those of the split. The cell's own file is never mixed in.

    Returns:
        `Corruption`.

    Raises:
        ValueError: the pool has fewer than two different files that are not silent, or a file that
            cannot be decoded.

    Example:
        >>> random = np.random.default_rng(0)
        >>> pool = [wav.encode(random.uniform(-0.1, 0.1, (8000, 1)), 8000) for _ in range(6)]
        >>> waveform, rate = wav.decode(babble(pool)(pool[0], 5, random))
        >>> waveform.shape, rate
        ((8000, 1), 8000)
    """
    voices = non_silent(pool)
    if len(voices) < 2:
        raise ValueError(
            "babble needs a pool of at least 2 different files that are not silent, "
            f"received {len(voices)}"
        )
    return Corruption("babble", *_SNR, functools.partial(_with_babble, voices))


def non_silent(pool: Iterable[bytes]) -> tuple[bytes, ...]:
    """The different files of `pool` that are neither missing nor silent.

    Raises:
        ValueError: a file cannot be decoded.
    """
    return tuple(data for data in dict.fromkeys(pool) if data and wav.decode(data)[0].any())


def replace_by_noise(
    rate: int, samples: int, cell: bytes, strength: object, random: np.random.Generator
) -> bytes:
    """White noise as a mono WAV in place of another file."""
    return wav.encode(random.normal(0, _NOISE_DEVIATION, (samples, 1)), rate)


def _of_audio(
    name: str,
    unit: str,
    strengths: tuple[Any, Any, Any, Any, Any],
    change: wav.WaveformChange,
) -> Corruption:
    return Corruption(name, unit, strengths, functools.partial(wav.on_audio, change))


def _white_noise(
    waveform: np.ndarray, rate: int, ratio: float, random: np.random.Generator
) -> np.ndarray:
    return _mixed(waveform, random.standard_normal(waveform.shape, dtype=np.float32), ratio)


def _pink_noise(
    waveform: np.ndarray, rate: int, ratio: float, random: np.random.Generator
) -> np.ndarray:
    """The power falls with the frequency: every octave has the same power."""
    white = random.standard_normal((max(len(waveform), 64), waveform.shape[1]), dtype=np.float32)
    pink = _filtered(white, rate, lambda frequencies: 1 / np.sqrt(np.maximum(frequencies, _FLAT)))
    return _mixed(waveform, pink[: len(waveform)], ratio)


def _with_babble(
    pool: tuple[bytes, ...], cell: bytes, ratio: float, random: np.random.Generator
) -> bytes:
    drawn = random.choice(len(pool), min(_VOICES + 1, len(pool)), replace=False)
    voices = [data for data in (pool[index] for index in drawn) if data != cell][:_VOICES]

    def change(
        waveform: np.ndarray, rate: int, ratio: float, random: np.random.Generator
    ) -> np.ndarray:
        mixed = functools.reduce(
            np.add, [_voice(data, rate, len(waveform), random) for data in voices]
        )
        return _mixed(waveform, np.repeat(mixed[:, None], waveform.shape[1], axis=1), ratio)

    return wav.on_audio(change, cell, ratio, random)


def _voice(data: bytes, rate: int, length: int, random: np.random.Generator) -> np.ndarray:
    """A mono waveform at `rate` with power 1, from a random position on, repeated to `length`."""
    waveform, own_rate = wav.decode(data)
    voice = waveform.mean(axis=1)
    if own_rate != rate:
        divisor = math.gcd(own_rate, rate)
        voice = scipy.signal.resample_poly(voice, rate // divisor, own_rate // divisor)
    voice = np.resize(np.roll(voice, -int(random.integers(len(voice)))), length)
    return voice / max(math.sqrt(_power(voice)), 1e-9)


def _clipping(
    waveform: np.ndarray, rate: int, ratio: float, random: np.random.Generator
) -> np.ndarray:
    """Clips at the threshold for which the clipped-off signal has the given ratio.

    Ratios: Zaviska et al. 2021, arXiv:2007.07663.
    """
    loudness = np.sort(np.abs(waveform), axis=None).astype(np.float64)
    # number of samples at least as loud as each
    count = np.arange(len(loudness), 0, -1)
    first, second = (np.cumsum((loudness**power)[::-1])[::-1] for power in (1, 2))
    # power of what is cut off for a threshold at each sample
    cut_off = second - 2 * loudness * first + count * loudness**2
    wanted = second[0] / 10 ** (ratio / 10)
    index = int(np.argmax(cut_off <= wanted))
    root = np.sqrt(max(first[index] ** 2 - count[index] * (second[index] - wanted), 0.0))
    threshold = (first[index] - root) / count[index]
    return np.asarray(np.clip(waveform, -threshold, threshold))


def _low_pass(
    waveform: np.ndarray, rate: int, cutoff: float, random: np.random.Generator
) -> np.ndarray:
    """The magnitude of a Butterworth filter without its phase, so nothing is delayed."""
    return _filtered(
        waveform, rate, lambda frequencies: 1 / np.sqrt(1 + (frequencies / cutoff) ** (2 * _ORDER))
    )


def _reverberation(
    waveform: np.ndarray, rate: int, strength: tuple[float, float], random: np.random.Generator
) -> np.ndarray:
    """Adds a tail of noise that falls by 60 dB within the reverberation time; keeps the power.

    The tail of a room as exponentially decaying noise: Polack 1988, La transmission de l'énergie
    sonore dans les salles. Times of the REVERB and ACE challenges: 0.25 to 1.25 s.
    """
    seconds, ratio = strength
    tail = random.standard_normal(math.ceil(seconds * rate), dtype=np.float32)
    tail *= 10 ** (-3 * np.arange(1, len(tail) + 1, dtype=np.float32) / (seconds * rate))
    tail *= math.sqrt(10 ** (-ratio / 10) / np.sum(tail**2, dtype=np.float64))
    room = np.concatenate([np.ones(1, np.float32), tail[: len(waveform) - 1]])
    reverberant = np.asarray(scipy.signal.oaconvolve(waveform, room[:, None], axes=0))
    reverberant = reverberant[: len(waveform)]
    power = _power(reverberant)
    gain = math.sqrt(_power(waveform) / power) if power else 1.0
    return np.asarray(reverberant * np.float32(gain))


def _time_masking(
    waveform: np.ndarray, rate: int, share: float, random: np.random.Generator
) -> np.ndarray:
    """Silences one interval: Park et al. 2019, arXiv:1904.08779, on the waveform."""
    length = round(share * len(waveform))
    start = int(random.integers(len(waveform) - length + 1))
    masked = waveform.copy()
    masked[start : start + length] = 0
    return masked


def _speed(
    waveform: np.ndarray, rate: int, percent: int, random: np.random.Generator
) -> np.ndarray:
    """Plays it faster or slower at random, which also changes the pitch.

    Source: Ko et al. 2015, Interspeech.
    """
    up, down = random.permutation([100, 100 + percent]).tolist()
    return np.asarray(scipy.signal.resample_poly(waveform, up, down, axis=0))


def _dropout(
    waveform: np.ndarray, rate: int, share: float, random: np.random.Generator
) -> np.ndarray:
    """Loses packets of 20 ms, as in the packet loss concealment challenge.

    Source: Diener et al. 2022, arXiv:2204.05222.
    """
    length = max(1, round(_PACKET * rate))
    lost = random.random(-(-len(waveform) // length)) < share
    return np.where(np.repeat(lost, length)[: len(waveform), None], np.float32(0), waveform)


def _mixed(waveform: np.ndarray, noise: np.ndarray, ratio: float) -> np.ndarray:
    noise_power = _power(noise)
    if not noise_power:
        return waveform
    gain = math.sqrt(_power(waveform) / noise_power / 10 ** (ratio / 10))
    return waveform + noise * np.float32(gain)


def _power(waveform: np.ndarray) -> float:
    return float(np.mean(np.square(waveform, dtype=np.float64)))


def _filtered(
    waveform: np.ndarray, rate: int, gain: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The waveform with its spectrum multiplied by `gain` of the frequencies in Hz.

    Padding with silence keeps the end from wrapping around into the start.
    """
    size = scipy.fft.next_fast_len(len(waveform) + rate // 20, real=True)
    spectrum = scipy.fft.rfft(waveform, size, axis=0)
    spectrum *= gain(np.fft.rfftfreq(size, 1 / rate)).astype(np.float32)[:, None]
    return np.asarray(scipy.fft.irfft(spectrum, size, axis=0))[: len(waveform)]


WHITE_NOISE = _of_audio("white_noise", *_SNR, _white_noise)
PINK_NOISE = _of_audio("pink_noise", *_SNR, _pink_noise)
CLIPPING = _of_audio("clipping", "signal-to-distortion ratio, dB", (20, 15, 10, 5, 1), _clipping)
LOW_PASS = _of_audio("low_pass", "cutoff frequency, Hz", (4000, 3000, 2000, 1000, 500), _low_pass)
REVERBERATION = _of_audio(
    "reverberation",
    "reverberation time in seconds, and direct-to-reverberant ratio in dB",
    ((0.25, 10), (0.5, 5), (0.75, 0), (1.0, -5), (1.25, -10)),
    _reverberation,
)
TIME_MASKING = _of_audio(
    "time_masking",
    "fraction of the time silenced, in one interval",
    (0.1, 0.2, 0.3, 0.4, 0.5),
    _time_masking,
)
SPEED = _of_audio("speed", "percent faster or slower", (5, 10, 20, 30, 50), _speed)
DROPOUT = _of_audio(
    "dropout", "fraction of packets of 20 ms lost", (0.05, 0.1, 0.2, 0.3, 0.5), _dropout
)

# `babble` needs a pool and is not among these
ALL = (WHITE_NOISE, PINK_NOISE, CLIPPING, LOW_PASS, REVERBERATION, TIME_MASKING, SPEED, DROPOUT)
