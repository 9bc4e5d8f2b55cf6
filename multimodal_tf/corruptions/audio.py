"""Damage to sounds.

Noise is mixed in at a signal-to-noise ratio: mean power of the whole sound over mean power of the
whole noise, in decibels, exact for every sound. Silence has no such ratio, and stays silence. All
keep the length, but for `speed`.

Sources are named at each; where none is, the five strengths are ours.
"""

import functools
import math

import numpy as np
import scipy.fft
import scipy.signal

from multimodal_tf.corruptions.corruption import Corruption
from multimodal_tf.corruptions.wav import on_sound, samples

# of babble; Snyder et al. 2018 (x-vectors) mix 3 to 7
_VOICES = 5
# its lower part are AURORA-2's 20 to 0 dB: Hirsch and Pearce 2000
_SNR = ("signal-to-noise ratio, dB", (30, 20, 10, 5, 0))
# Hz, below which pink noise has no more power
_FLAT = 20.0
# of the low-pass
_ORDER = 8
# seconds
_PACKET = 0.02


def babble(pool):
    """Several other sounds at once, at a signal-to-noise ratio: five voices of the pool, equally
    loud, each from a place that is drawn.

    Args:
        pool: iterable of bytes, WAV files such as the sounds of the split, read once here. A row's
            own sound does not count as another.

    Returns:
        `Corruption`.

    Raises:
        ValueError: the pool has fewer than two different sounds that are not silence, or a broken
        one.

    Example:
        >>> from multimodal_tf.corruptions.wav import wav
        >>> random = np.random.default_rng(0)
        >>> pool = [wav(random.uniform(-0.1, 0.1, (8000, 1)), 8000) for _ in range(6)]
        >>> sound, rate = samples(babble(pool)(pool[0], 5, random))
        >>> sound.shape, rate
        ((8000, 1), 8000)
    """
    voices = sounding(pool)
    if len(voices) < 2:
        raise ValueError(
            f"babble needs a pool of at least 2 different sounds that are not silence, received {len(voices)}"
        )
    return Corruption("babble", ("audio",), *_SNR, functools.partial(_with_babble, voices))


def sounding(pool):
    """The different sounds of `pool` that are neither missing nor silence: a tuple of bytes."""
    return tuple(data for data in dict.fromkeys(pool) if data and samples(data)[0].any())


def _of_sounds(name, unit, strengths, change):
    return Corruption(name, ("audio",), unit, strengths, functools.partial(on_sound, change))


def _white_noise(sound, rate, ratio, random):
    return _mixed(sound, random.standard_normal(sound.shape, dtype=np.float32), ratio)


def _pink_noise(sound, rate, ratio, random):
    """Power falls with the frequency: as much in each octave."""
    white = random.standard_normal((max(len(sound), 64), sound.shape[1]), dtype=np.float32)
    pink = _filtered(white, rate, lambda frequencies: 1 / np.sqrt(np.maximum(frequencies, _FLAT)))
    return _mixed(sound, pink[: len(sound)], ratio)


def _with_babble(pool, cell, ratio, random):
    chosen = [
        pool[place]
        for place in random.choice(len(pool), min(_VOICES + 1, len(pool)), replace=False)
    ]
    voices = [data for data in chosen if data != cell][:_VOICES]

    def change(sound, rate, ratio, random):
        together = sum(_voice(data, rate, len(sound), random) for data in voices)
        return _mixed(sound, np.repeat(together[:, None], sound.shape[1], axis=1), ratio)

    return on_sound(change, cell, ratio, random)


def _voice(data, rate, length, random):
    """A sound of the pool, mono, at `rate` and of power 1, from anywhere on, again and again up to
    `length`.
    """
    sound, own_rate = samples(data)
    voice = sound.mean(axis=1)
    if own_rate != rate:
        shared = math.gcd(own_rate, rate)
        voice = scipy.signal.resample_poly(voice, rate // shared, own_rate // shared)
    voice = np.resize(np.roll(voice, -int(random.integers(len(voice)))), length)
    return voice / max(math.sqrt(_power(voice)), 1e-9)


def _clipping(sound, rate, ratio, random):
    """Cuts off what is louder than a threshold, which is such that what is cut off has the power
    that the ratio says.

    Ratios: Zaviska et al. 2021, arXiv:2007.07663.
    """
    loudness = np.sort(np.abs(sound), axis=None).astype(np.float64)
    # samples at least as loud as each
    count = np.arange(len(loudness), 0, -1)
    first, second = (np.cumsum((loudness**power)[::-1])[::-1] for power in (1, 2))
    # were the threshold there
    cut_off = second - 2 * loudness * first + count * loudness**2
    wanted = second[0] / 10 ** (ratio / 10)
    place = int(np.argmax(cut_off <= wanted))
    root = np.sqrt(max(first[place] ** 2 - count[place] * (second[place] - wanted), 0.0))
    threshold = (first[place] - root) / count[place]
    return np.clip(sound, -threshold, threshold)


def _low_pass(sound, rate, cutoff, random):
    """Butterworth's magnitude without his phase: nothing is delayed."""
    return _filtered(
        sound, rate, lambda frequencies: 1 / np.sqrt(1 + (frequencies / cutoff) ** (2 * _ORDER))
    )


def _reverberation(sound, rate, strength, random):
    """The sound, and after it noise that falls by 60 dB within the reverberation time; as loud as
    before in all.

    A room's tail is noise that decays exponentially: Polack 1988, La transmission de l'énergie
    sonore dans les salles. Times: those of the REVERB and ACE challenges, 0.25 to 1.25 s.
    """
    seconds, ratio = strength
    tail = random.standard_normal(math.ceil(seconds * rate), dtype=np.float32)
    tail *= 10 ** (-3 * np.arange(1, len(tail) + 1, dtype=np.float32) / (seconds * rate))
    tail *= math.sqrt(10 ** (-ratio / 10) / np.sum(tail**2, dtype=np.float64))
    room = np.concatenate([np.ones(1, np.float32), tail[: len(sound) - 1]])
    heard = scipy.signal.oaconvolve(sound, room[:, None], axes=0)[: len(sound)]
    power = _power(heard)
    return heard * np.float32(math.sqrt(_power(sound) / power)) if power else heard


def _time_masking(sound, rate, share, random):
    """One stretch of silence: Park et al. 2019, arXiv:1904.08779, on the waveform."""
    length = round(share * len(sound))
    start = int(random.integers(len(sound) - length + 1))
    masked = sound.copy()
    masked[start : start + length] = 0
    return masked


def _speed(sound, rate, percent, random):
    """Played faster or slower, which is drawn, with the pitch going along: Ko et al. 2015, Audio
    augmentation for speech recognition.
    """
    up, down = random.permutation([100, 100 + percent]).tolist()
    return scipy.signal.resample_poly(sound, up, down, axis=0)


def _dropout(sound, rate, share, random):
    """Packets of 20 ms lost, as in the packet loss concealment challenge: Diener et al. 2022,
    arXiv:2204.05222.
    """
    length = max(1, round(_PACKET * rate))
    lost = random.random(-(-len(sound) // length)) < share
    return np.where(np.repeat(lost, length)[: len(sound), None], np.float32(0), sound)


def _mixed(sound, noise, ratio):
    loud = _power(noise)
    return (
        sound + noise * np.float32(math.sqrt(_power(sound) / loud / 10 ** (ratio / 10)))
        if loud
        else sound
    )


def _power(sound):
    return float(np.mean(np.square(sound, dtype=np.float64)))


def _filtered(sound, rate, gain):
    """The sound with its spectrum multiplied by `gain` of the frequencies in Hz; some silence keeps
    the end from running into the start.
    """
    size = scipy.fft.next_fast_len(len(sound) + rate // 20, real=True)
    spectrum = scipy.fft.rfft(sound, size, axis=0)
    spectrum *= gain(np.fft.rfftfreq(size, 1 / rate)).astype(np.float32)[:, None]
    return scipy.fft.irfft(spectrum, size, axis=0)[: len(sound)]


WHITE_NOISE = _of_sounds("white_noise", *_SNR, _white_noise)
PINK_NOISE = _of_sounds("pink_noise", *_SNR, _pink_noise)
CLIPPING = _of_sounds("clipping", "signal-to-distortion ratio, dB", (20, 15, 10, 5, 1), _clipping)
LOW_PASS = _of_sounds("low_pass", "cut-off frequency, Hz", (4000, 3000, 2000, 1000, 500), _low_pass)
REVERBERATION = _of_sounds(
    "reverberation",
    "reverberation time in seconds, and direct-to-reverberant ratio in dB",
    ((0.25, 10), (0.5, 5), (0.75, 0), (1.0, -5), (1.25, -10)),
    _reverberation,
)
TIME_MASKING = _of_sounds(
    "time_masking",
    "share of the time that is silenced, in one stretch",
    (0.1, 0.2, 0.3, 0.4, 0.5),
    _time_masking,
)
SPEED = _of_sounds("speed", "percent by which it is faster or slower", (5, 10, 20, 30, 50), _speed)
DROPOUT = _of_sounds(
    "dropout", "share of packets of 20 ms that is lost", (0.05, 0.1, 0.2, 0.3, 0.5), _dropout
)

# and `babble`, where there is a pool
ALL = (WHITE_NOISE, PINK_NOISE, CLIPPING, LOW_PASS, REVERBERATION, TIME_MASKING, SPEED, DROPOUT)
