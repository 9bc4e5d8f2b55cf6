"""Decodes and encodes WAV files with NumPy, outside the graph, with all channels."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.io.wavfile
import soundfile

# takes a waveform, its rate, a strength and a generator; returns the corrupted waveform
WaveformChange = Callable[[np.ndarray, int, Any, np.random.Generator], np.ndarray]

# the limit of the served graph
_LOUDEST = 1e6


def on_audio(
    change: WaveformChange, cell: bytes, strength: Any, random: np.random.Generator
) -> bytes:
    """Applies a change of a waveform to a WAV file.

    Args:
        change: `(waveform, rate, strength, random)` to a waveform. Waveforms are float32
            `(samples, channels)` with full scale -1..1, `rate` is in Hz.
        cell: bytes of a WAV file.
        strength: passed to `change`.
        random: passed to `change`.

    Returns:
        bytes of a WAV file of the same rate and channels. 32-bit floats keep noise that 16 bits
        would lose. A result above full scale is scaled down, because the graph would clip it.

    Raises:
        ValueError: libsndfile cannot read the file.
    """
    waveform, rate = decode(cell)
    changed = change(waveform, rate, strength, random)
    peak = np.abs(changed).max(initial=0)
    return encode(changed / peak if peak > 1 else changed, rate)


def decode(data: bytes) -> tuple[np.ndarray, int]:
    """Decodes a WAV file.

    Returns:
        `(waveform, rate)`: float32 `(samples, channels)` and Hz. NaN and infinity become 0, as in
        the served graph.

    Raises:
        ValueError: libsndfile cannot read the file, or it has no samples.
    """
    try:
        waveform, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(
            f"a file must be a WAV that can be decoded, received {len(data)} bytes that "
            f"cannot ({error})"
        ) from error
    if not len(waveform):
        raise ValueError(
            f"a file must have samples, received a WAV of {len(data)} bytes without any"
        )
    finite = np.where(np.isfinite(waveform), waveform, np.float32(0))
    return np.clip(finite, -_LOUDEST, _LOUDEST), rate


def encode(waveform: np.ndarray, rate: int) -> bytes:
    """A WAV file of 32-bit floats.

    SciPy writes it, because libsndfile writes the date into such a file.

    Args:
        waveform: `(samples, channels)`, full scale -1..1.
        rate: Hz.
    """
    file = io.BytesIO()
    scipy.io.wavfile.write(file, rate, np.ascontiguousarray(waveform, np.float32))
    return file.getvalue()
