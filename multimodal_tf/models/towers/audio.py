"""Sounds: networks over log-mel spectrograms, or over the samples themselves.

A sound is followed by silence up to the input's length. Tokens that hold nothing else are masked:
no pooling, GRU or attention sees them, so that a vector does not depend on how much silence there
is. What remains is a border: beyond the end of the input every convolution sees zeros, and silence
is zero in the first block alone. So the last tokens of a sound that fills its input differ a little
from those of the same sound with silence behind it; not in the transformer, which has but one
convolution.
"""

import math
from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers import transformer
from multimodal_tf.models.towers.audio_mask import SoundMask
from multimodal_tf.models.towers.encoding import Encoding, pool, projection
from multimodal_tf.models.towers.image import convolutions, normalization
from multimodal_tf.models.towers.recurrent import recurrent
from multimodal_tf.models.towers.spectrogram import log_mel, spans


def spectrogram_cnn(part, stats, x, present, name, last):
    """Convolutions over a log-mel spectrogram; `part.tower` is `config.SpectrogramTower`.

    Args:
        part: `config.AudioInput`.
        x: float32 `(batch, samples)`, -1 to 1.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a place of the last feature map, moment by moment; the vector's dim is
        `part.tower.dim`, or what the pooling leaves where that is null.

    Raises:
        ValueError: as `spectrogram.log_mel`, or the spectrogram is too small for so many blocks
        without padding.
    """
    tower, picture = part.tower, log_mel(part, x, name)
    places = chain(picture, convolutions(tower, picture.shape[1:3], present, name), name, None)
    _, moments, bands, width = places.shape
    mask = _mask(part, x, 2 ** len(tower.filters), moments, bands, name)
    tokens = layers.Reshape((moments * bands, width), name=f"{name}_places")(places)
    if tower.pooling == "flatten":
        return Encoding(
            tokens, mask, chain(places, {"pool": layers.Flatten} | projection(tower), name, last)
        )
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def crnn(part, stats, x, present, name, last):
    """Convolutions over a log-mel spectrogram, which keep most of the time, then GRUs; `part.tower`
    is `config.CRNNTower`.

    Args:
        part, learned, x, present, name, last: as `spectrogram_cnn`.

    Returns:
        `Encoding` of `recurrent.recurrent`: a token a step of the last GRU; the vector's dim is
        `part.tower.dim`, or where that is null the token's.

    Raises:
        ValueError: as `spectrogram_cnn`.

    Source: Cakir et al. 2017, arXiv:1702.06286.
    """
    tower, picture = part.tower, log_mel(part, x, name)
    windows = [(2 if number < tower.time_pools else 1, 2) for number in range(len(tower.filters))]
    places = chain(
        picture, convolutions(tower, picture.shape[1:3], present, name, windows), name, None
    )
    _, steps, bands, width = places.shape
    mask = _mask(part, x, math.prod(time for time, _ in windows), steps, 1, name)
    columns = layers.Reshape((steps, bands * width), name=f"{name}_columns")(places)
    return recurrent(layers.GRU, tower, tower, columns, mask, mask, name, last)


def spectrogram_transformer(part, stats, x, present, name, last):
    """Self-attention over patches of a log-mel spectrogram; `part.tower` is
    `config.SpectrogramTransformerTower`.

    Args:
        part, learned, x, present, name, last: as `spectrogram_cnn`.

    Returns:
        `Encoding`: a token a patch, moment by moment; the vector's dim is `part.tower.dim`, or
        `part.tower.units` where that is null.

    Raises:
        ValueError: as `spectrogram.log_mel`, a patch is less than a frame or more than the
            spectrogram, or the heads do not divide the units.

    Source: Gong et al. 2021, arXiv:2104.01778, without overlap of patches.
    """
    tower, picture = part.tower, log_mel(part, x, name)
    patch = _patch(part, picture.shape[1:3], name)
    fill = [(0, -side % of) for side, of in zip(picture.shape[1:3], patch)]
    steps: dict = {"fill": partial(layers.ZeroPadding2D, fill)} if any(map(any, fill)) else {}
    steps["patches"] = partial(layers.Conv2D, tower.units, patch, strides=patch)
    patches = chain(picture, steps, name, None)
    _, moments, bands, width = patches.shape
    mask = _mask(part, x, patch[0], moments, bands, name)
    tokens = layers.Reshape((moments * bands, width), name=f"{name}_places")(patches)
    tokens = transformer.encoder(tower, transformer.positions(tokens, name), mask, name)
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def waveform_cnn(part, stats, x, present, name, last):
    """Convolutions over the samples; `part.tower` is `config.WaveformTower`.

    The first has a wide kernel and strides, as a spectrogram's windows do; every block ends by
    pooling `stride` steps.

    Args:
        part, learned, x, present, name, last: as `spectrogram_cnn`.

    Returns:
        `Encoding`: a token a step of the last block, `stride ** (blocks + 1)` samples; the vector's
        dim is `part.tower.dim`, or the last block's filters where that is null.

    Raises:
        ValueError: the input is shorter than a step of the last block, or the first kernel than its
        stride.

    Source: Dai et al. 2017, arXiv:1610.00087, figure M5.
    """
    tower = part.tower
    kernel, stride = _first_kernel(part, name), tower.stride ** (len(tower.filters) + 1)
    steps: dict = {"channel": partial(layers.Reshape, (part.samples, 1))}
    # whole steps, so that what a step sees does not depend on the input's length
    if part.samples % stride:
        steps["fill"] = partial(layers.ZeroPadding1D, (0, -part.samples % stride))
    for number, filters in enumerate(tower.filters, start=1):
        size = (
            {"kernel_size": kernel, "strides": tower.stride}
            if number == 1
            else {"kernel_size": tower.kernel_size}
        )
        steps |= {
            f"conv_{number}": partial(
                layers.Conv1D, filters, padding="same", use_bias=False, **size
            ),
            f"pool_{number}": partial(layers.MaxPooling1D, tower.stride),
            f"normalization_{number}": partial(normalization, present),
            f"relu_{number}": layers.ReLU,
        }
    tokens = chain(x, steps, name, None)
    mask = SoundMask(stride, tokens.shape[1], name=f"{name}_mask", dtype="float32")(x)
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def _mask(part, x, frames, steps, places, name):
    """The mask of `steps` x `places` tokens, a step for `frames` frames of the spectrogram."""
    _, hop = spans(part, name)
    return SoundMask(frames * hop, steps, places, name=f"{name}_mask", dtype="float32")(x)


def _patch(part, size, name):
    """A patch in frames and bins."""
    tower, (frames, bins) = part.tower, size
    length = round(tower.patch_ms / tower.hop_ms)
    if not 1 <= length <= frames:
        raise ValueError(
            f"inputs.{name}.tower.patch_ms: a patch must span from 1 frame to all {frames} (hop_ms {tower.hop_ms}), "
            f"received {tower.patch_ms}, which is {length}"
        )
    if tower.patch_bins > bins:
        raise ValueError(
            f"inputs.{name}.tower.patch_bins: must be at most mel_bins ({bins}), received {tower.patch_bins}"
        )
    return length, tower.patch_bins


def _first_kernel(part, name):
    """Its width in samples, where that and the input are long enough."""
    tower = part.tower
    kernel, step = (
        round(part.sample_rate * tower.window_ms / 1000),
        tower.stride ** (len(tower.filters) + 1),
    )
    if kernel < tower.stride:
        raise ValueError(
            f"inputs.{name}.tower.window_ms: at {part.sample_rate} Hz must span {tower.stride} samples (stride) or more, "
            f"received {tower.window_ms}, which is {kernel}"
        )
    if step > part.samples:
        raise ValueError(
            f"inputs.{name}.tower: a stride of {tower.stride} in {len(tower.filters)} blocks makes one step of {step} samples, more than "
            f"the input's {part.samples}: choose a smaller stride or fewer filters"
        )
    return kernel
