"""Maps to look at: over the picture, over the spectrogram, beside the words."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from multimodal_tf.corruptions.image_files import pixels, png
from multimodal_tf.corruptions.wav import samples
from multimodal_tf.evaluation.explanations.bands import short_time
from multimodal_tf.evaluation.explanations.parts import Parts

# red where a part speaks for the answer, blue where against
_COLOURS = colormaps["RdBu_r"]
# pixels of the longer side
_SIDE = 256
# pixels, up to which those of a picture are kept square
_DRAWN = 64
# opacity of the part that is worth most
_STRONGEST = 0.75
# contrast of the picture under the map; decibels of the spectrogram
_FAINT, _DYNAMIC = 0.35, 80.0


def over_picture(cell: bytes, parts: Parts, marked: np.ndarray) -> bytes:
    """The picture in pale grey, and on it in red what speaks for the answer, in blue what speaks
    against it, as PNG.

    Args:
        cell: bytes of the image file.
        parts: `Parts`, of `patches`.
        marked: float of `parts.shape`.

    Example:
        >>> from multimodal_tf.evaluation.explanations.patches import patches
        >>> cell = png(np.zeros((64, 32), np.uint8))
        >>> Image.open(io.BytesIO(over_picture(cell, patches(cell), np.zeros((8, 4))))).size
        (128, 256)
    """
    grey = Image.fromarray(pixels(cell)).convert("L")
    width, height = (max(1, round(side * _SIDE / max(grey.size))) for side in grey.size)
    method = Image.Resampling.LANCZOS if max(grey.size) > _DRAWN else Image.Resampling.NEAREST
    below = np.asarray(grey.resize((width, height), method)) / 255
    below = 1 - (1 - below) * (1 - _FAINT)
    places = [
        np.clip(
            np.searchsorted(edge, (np.arange(side) + 0.5) * edge[-1] / side) - 1, 0, len(edge) - 2
        )
        for edge, side in zip(parts.edges, below.shape)
    ]
    strength = _scaled(marked)[np.ix_(*places)]
    colour = _COLOURS(0.5 + strength / 2)[..., :3]
    opacity = _STRONGEST * np.abs(strength)[..., None]
    return png(
        np.rint(255 * (colour * opacity + below[..., None] * (1 - opacity))).astype(np.uint8)
    )


def over_spectrogram(cell: bytes, parts: Parts, marked: np.ndarray) -> bytes:
    """The spectrogram in grey, and the map on it in the same colours, as PNG.

    Args:
        cell: bytes of the WAV file.
        parts: `Parts`, of `bands`.
        marked: float of `parts.shape`.
    """
    sound, rate = samples(cell)
    mono = sound.mean(axis=1)
    transform = short_time(rate, len(mono))
    mono = np.pad(mono, (0, max(0, transform.m_num - len(mono))))
    level = 20 * np.log10(np.abs(transform.stft(mono)) + 1e-9)
    hertz, seconds = parts.edges
    figure = Figure(figsize=(2.56, 1.92), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    top = max(level.max(), -_DYNAMIC)
    axes.pcolormesh(
        transform.t(len(mono)),
        transform.f / 1000,
        level,
        cmap="Greys",
        vmin=top - _DYNAMIC,
        vmax=top + _DYNAMIC / 4,
    )
    strength = _scaled(marked)
    axes.pcolormesh(
        seconds,
        hertz / 1000,
        strength,
        cmap=_COLOURS,
        vmin=-1,
        vmax=1,
        alpha=_STRONGEST * np.abs(strength),
    )
    axes.set(xlim=(seconds[0], seconds[-1]), ylim=(hertz[0] / 1000, hertz[-1] / 1000))
    axes.tick_params(labelsize=6, length=2)
    axes.set_xlabel("s", fontsize=6)
    axes.set_ylabel("kHz", fontsize=6)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def over_words(cell: bytes, parts: Parts, marked: np.ndarray) -> str:
    """The text with what each word is worth behind it, but for words that are worth less than a
    twentieth of the strongest.

    Args:
        cell: bytes of the text.
        parts: `Parts`, of `words`.
        marked: float of `parts.shape`.

    Example:
        >>> from multimodal_tf.evaluation.explanations.words import words
        >>> over_words(b"a red shoe", words(b"a red shoe"), np.array([0.0, 0.31, -0.02]))
        'a red [+0.31] shoe [-0.02]'
    """
    text, edges = cell.decode(errors="replace"), parts.edges[0]
    least = np.abs(marked).max() / 20
    said = []
    for start, end, value in zip(edges, edges[1:], marked):
        piece = text[start:end]
        said.append(
            f"{piece.rstrip()} [{in_words(value)}] " if value and abs(value) >= least else piece
        )
    return "".join(said).rstrip()


def in_words(value: float) -> str:
    """A worth with its sign and two digits.

    Example:
        >>> in_words(0.3141), in_words(-1234.5), in_words(0)
        ('+0.31', '-1200', '+0')
    """
    return f"{float(f'{value:.2g}'):+g}"


def _scaled(marked):
    """-1..1, the strongest part at an end; all 0 where nothing is worth anything."""
    strongest = np.abs(marked).max()
    return marked / strongest if strongest else np.zeros_like(marked, dtype=float)
