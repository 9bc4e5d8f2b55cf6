"""Masked patches of a picture, and masked spans of time of a sound."""

from typing import Any, NamedTuple

import tensorflow as tf

from multimodal_tf.models.masking.text import Masked, count_of
from multimodal_tf.models.towers.audio_mask import clip_length

# patches along the shorter side, where the tower has no patches of its own, and the fewest pixels
# along the side of one: a single pixel has no pattern to predict
_PER_SIDE, _FEWEST = 8, 2
# seconds, at most; and spans in the longest clip, at least
_SPAN, _SPANS = 0.1, 8
# amplitude of what a masked sample becomes: below -60 dB, the level of silence, but not zero, so
# that a clip keeps its length
QUIET = 1e-6


class Grid(NamedTuple):
    """Patches of `size` x `size` pixels, `rows` x `columns` of them; pixels beyond are in none."""

    size: int
    rows: int
    columns: int


class Spans(NamedTuple):
    """`number` spans of `frames` frames of a spectrogram, of `hop` samples each."""

    frames: int
    hop: int
    number: int


def grid_of(height: int, width: int, patch_size: int | None = None) -> Grid:
    """The patches of a picture, an eighth of its shorter side unless the tower has patches.

    Example:
        >>> grid_of(28, 28), grid_of(96, 64, patch_size=16)
        (Grid(size=4, rows=7, columns=7), Grid(size=16, rows=6, columns=4))
    """
    size = patch_size or max(_FEWEST, round(min(height, width) / _PER_SIDE))
    return Grid(size, height // size, width // size)


def spans_of(samples: int, sample_rate: int, hop: int) -> Spans:
    """The spans of a clip, of a tenth of a second, or an eighth of the longest clip.

    Example:
        >>> spans_of(16_000, 16_000, hop=160), spans_of(800, 16_000, hop=160)
        (Spans(frames=10, hop=160, number=10), Spans(frames=1, hop=160, number=5))
    """
    whole = samples // hop
    frames = max(1, min(round(_SPAN * sample_rate / hop), whole // _SPANS))
    return Spans(frames, hop, max(1, whole // frames))


def mask_patches(pixels: Any, draws: Any, grid: Grid, share: float) -> Masked:
    """Hides a share of the patches of each picture under the mean colour of the others.

    The target are the pixels of a patch, less their mean, divided by their standard deviation. Of a
    patch of one colour they are zeros.

    Args:
        pixels: float `(batch, height, width, channels)`.
        draws: float32 `(batch, patches)`, uniform from 0 to 1: their order.
        grid: the patches.
        share: float, 0 to 1.

    Source: targets: He et al. 2022, arXiv:2111.06377, section 3; hidden patches that stay in the
    tower's input: Xie et al. 2022, arXiv:2111.09886 (SimMIM).
    """
    given, pixels = pixels.dtype, tf.cast(pixels, "float32")
    count = count_of(share, grid.rows * grid.columns)
    _, places = tf.math.top_k(-draws, count)
    hidden = tf.reduce_max(tf.one_hot(places, grid.rows * grid.columns), axis=1)
    hidden = tf.reshape(hidden, [-1, grid.rows, grid.columns, 1])
    hidden = tf.repeat(tf.repeat(hidden, grid.size, axis=1), grid.size, axis=2)
    beyond = [[0, whole - part] for whole, part in zip(pixels.shape[1:3], hidden.shape[1:3])]
    hidden = tf.pad(hidden, [[0, 0], *beyond, [0, 0]])
    seen = tf.reduce_sum(1 - hidden, axis=(1, 2), keepdims=True)
    colour = tf.reduce_sum(pixels * (1 - hidden), axis=(1, 2), keepdims=True) / tf.maximum(seen, 1)
    target = normalized(tf.gather(_patches(pixels, grid), places, batch_dims=1))
    seen_pixels = tf.cast(tf.where(hidden > 0, colour, pixels), given)
    return Masked(seen_pixels, places, tf.ones_like(places, bool), target)


def mask_spans(clip: Any, spectrogram: Any, draws: Any, spans: Spans, share: float) -> Masked:
    """Silences a share of the spans of time of each clip.

    The target is the spectrogram of a span, normalized as in `mask_patches`. Spans that begin in
    the padding of a clip are not hidden, unless it is the first.

    Args:
        clip: float32 `(batch, samples)`, -1 to 1.
        spectrogram: float32 `(batch, frames, mel_bins)`, dB.
        draws: float32 `(batch, spans)`, uniform from 0 to 1: their order.
        spans: of the clip.
        share: float, 0 to 1, of the spans that begin in the clip.

    Source: Baevski et al. 2020, arXiv:2006.11477, and Park et al. 2019, arXiv:1904.08779.
    """
    length = clip_length(clip)[:, tf.newaxis]
    samples = spans.frames * spans.hop
    inside = tf.range(spans.number) * samples < tf.maximum(length, 1)
    total = tf.reduce_sum(tf.cast(inside, "float32"), axis=1, keepdims=True)
    wanted = tf.maximum(tf.cast(tf.round(share * total), "int32"), 1)
    most = count_of(share, spans.number)
    _, places = tf.math.top_k(-tf.where(inside, draws, 2.0), most)
    counted = tf.range(most) < wanted
    hidden = tf.reduce_max(
        tf.one_hot(places, spans.number) * tf.cast(counted, "float32")[:, :, tf.newaxis], axis=1
    )
    hidden = tf.repeat(hidden, samples, axis=1)[:, : clip.shape[1]]
    hidden = tf.pad(hidden, [[0, 0], [0, clip.shape[1] - hidden.shape[1]]])
    hidden = (hidden > 0) & (tf.range(clip.shape[1]) < length)
    frames = tf.cast(spectrogram, "float32")[:, : spans.number * spans.frames]
    each = tf.reshape(frames, [-1, spans.number, spans.frames * frames.shape[2]])
    target = normalized(tf.gather(each, places, batch_dims=1))
    return Masked(tf.where(hidden, QUIET, clip), places, counted, target)


def normalized(values: Any) -> Any:
    """Values less the mean of the last axis, divided by its standard deviation.

    Values that are equal become zeros.
    """
    rest = values - tf.reduce_mean(values, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(rest), axis=-1, keepdims=True)
    # a level of an 8-bit picture is 0.004, its square 1.5e-5
    return rest * tf.math.rsqrt(variance + 1e-6)


def _patches(pixels: Any, grid: Grid) -> Any:
    """Pixels of each patch, `(batch, patches, size x size x channels)`, row by row."""
    size, rows, columns, channels = *grid, pixels.shape[3]
    cut = tf.reshape(
        pixels[:, : rows * size, : columns * size], [-1, rows, size, columns, size, channels]
    )
    return tf.reshape(
        tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [-1, rows * columns, size * size * channels]
    )
