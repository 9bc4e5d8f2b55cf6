"""WAV files to samples and back, outside the graph, with all their channels."""

import io

import numpy as np
import scipy.io.wavfile
import soundfile

# as in the graph
_LOUDEST = 1e6


def on_sound(change, cell, strength, random):
    """A change of samples as a change of a cell.

    Args:
        change: `(sound, rate, strength, random)` to a sound; sounds are float32 `(samples,
            channels)`, full scale -1..1, `rate` is in Hz.

    Returns:
        bytes of a WAV of the same rate and channels, 32-bit float, so that noise far below 16 bits
        stays what it is. Where it would be
        louder than full scale, all of it is made softer: the graph would clip it.

    Raises:
        ValueError: the file is no WAV that libsndfile reads.
    """
    sound, rate = samples(cell)
    made = change(sound, rate, strength, random)
    peak = np.abs(made).max(initial=0)
    return wav(made / peak if peak > 1 else made, rate)


def samples(data):
    """`(sound, rate)`: float32 `(samples, channels)` and Hz; what is no number counts as 0, as in
    the graph.
    """
    try:
        sound, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(
            f"a sound must be a WAV that can be decoded, received {len(data)} bytes that cannot ({error})"
        ) from error
    if not len(sound):
        raise ValueError(
            f"a sound must have samples, received a WAV of {len(data)} bytes without any"
        )
    return np.clip(np.where(np.isfinite(sound), sound, np.float32(0)), -_LOUDEST, _LOUDEST), rate


def wav(sound, rate):
    """A WAV of 32-bit floats; SciPy writes it, because libsndfile writes the date into such a file."""
    file = io.BytesIO()
    scipy.io.wavfile.write(file, rate, np.ascontiguousarray(sound, np.float32))
    return file.getvalue()
