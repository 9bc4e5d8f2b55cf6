"""Saliency maps drawn over the image, over the spectrogram, and written beside the words."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from multimodal_tf.corruptions import image_files, wav
from multimodal_tf.evaluation.explanations.bands import short_time_fft
from multimodal_tf.evaluation.explanations.parts import Parts

# red for positive relevance, blue for negative
_COLOURS = colormaps["RdBu_r"]
# pixels of the longer side
_SIDE = 256
# pixels: images up to this side keep square pixels
_DRAWN = 64
# opacity of the most relevant part
_STRONGEST = 0.75
# contrast of the image under the map; decibels of the spectrogram
_FAINT, _DYNAMIC = 0.35, 80.0


def over_image(cell: bytes, parts: Parts, saliency: np.ndarray) -> bytes:
    """The image in pale grey under its map: positive relevance red, negative blue; a PNG file.

    Args:
        cell: bytes of the image file.
        parts: `Parts` from `patches`.
        saliency: float of `parts.shape`.

    Example:
        >>> from multimodal_tf.evaluation.explanations.patches import patches
        >>> cell = image_files.encode_png(np.zeros((64, 32), np.uint8))
        >>> Image.open(io.BytesIO(over_image(cell, patches(cell), np.zeros((8, 4))))).size
        (128, 256)
    """
    grey = Image.fromarray(image_files.decode(cell)).convert("L")
    width, height = (max(1, round(side * _SIDE / max(grey.size))) for side in grey.size)
    method = Image.Resampling.LANCZOS if max(grey.size) > _DRAWN else Image.Resampling.NEAREST
    background = np.asarray(grey.resize((width, height), method)) / 255
    background = 1 - (1 - background) * (1 - _FAINT)
    part_of_pixel = [
        np.clip(
            np.searchsorted(edge, (np.arange(side) + 0.5) * edge[-1] / side) - 1, 0, len(edge) - 2
        )
        for edge, side in zip(parts.edges, background.shape)
    ]
    strength = _scaled(saliency)[np.ix_(*part_of_pixel)]
    colour = _COLOURS(0.5 + strength / 2)[..., :3]
    opacity = _STRONGEST * np.abs(strength)[..., None]
    blended = colour * opacity + background[..., None] * (1 - opacity)
    return image_files.encode_png(np.rint(255 * blended).astype(np.uint8))


def over_spectrogram(cell: bytes, parts: Parts, saliency: np.ndarray) -> bytes:
    """The spectrogram in grey under its map, in the colours of `over_image`; a PNG file.

    Args:
        cell: bytes of the WAV file.
        parts: `Parts` from `bands`.
        saliency: float of `parts.shape`.
    """
    waveform, rate = wav.decode(cell)
    mono = waveform.mean(axis=1)
    transform = short_time_fft(rate, len(mono))
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
    strength = _scaled(saliency)
    opacity = _STRONGEST * np.abs(strength)
    axes.pcolormesh(seconds, hertz / 1000, strength, cmap=_COLOURS, vmin=-1, vmax=1, alpha=opacity)
    axes.set(xlim=(seconds[0], seconds[-1]), ylim=(hertz[0] / 1000, hertz[-1] / 1000))
    axes.tick_params(labelsize=6, length=2)
    axes.set_xlabel("s", fontsize=6)
    axes.set_ylabel("kHz", fontsize=6)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def over_words(cell: bytes, parts: Parts, saliency: np.ndarray) -> str:
    """The text with the relevance of each word behind it.

    Words below a twentieth of the highest relevance have no number.

    Args:
        cell: bytes of the text.
        parts: `Parts` from `words`.
        saliency: float of `parts.shape`.

    Example:
        >>> from multimodal_tf.evaluation.explanations.words import words
        >>> over_words(b"a red shoe", words(b"a red shoe"), np.array([0.0, 0.31, -0.02]))
        'a red [+0.31] shoe [-0.02]'
    """
    text, edges = cell.decode(errors="replace"), parts.edges[0]
    least = np.abs(saliency).max() / 20
    pieces = []
    for start, end, value in zip(edges, edges[1:], saliency):
        piece = text[start:end]
        shown = value and abs(value) >= least
        pieces.append(f"{piece.rstrip()} [{signed(value)}] " if shown else piece)
    return "".join(pieces).rstrip()


def signed(value: float) -> str:
    """A number with its sign and two significant digits.

    Example:
        >>> signed(0.3141), signed(-1234.5), signed(0)
        ('+0.31', '-1200', '+0')
    """
    return f"{float(f'{value:.2g}'):+g}"


def _scaled(saliency: np.ndarray) -> np.ndarray:
    """Scaled to a largest magnitude of 1; all 0 if no part is relevant."""
    strongest = np.abs(saliency).max()
    return saliency / strongest if strongest else np.zeros_like(saliency, dtype=float)
