"""Networks over log-mel spectrograms or over samples.

A clip is padded with silence to the input's length. Tokens of that padding are masked: no pooling,
GRU or attention sees them, so that a vector does not depend on the amount of padding. A border
effect remains: beyond the end of the input, every convolution sees zeros, while silence is zero in
the first block only. So the last tokens of a clip that fills its input differ a little from those
of the same clip with padding; not in the transformer, which has a single convolution.
"""

import math
from functools import partial
from typing import TypeAlias

from keras import KerasTensor, layers

from multimodal_tf.config import (
    AudioInput,
    CRNNTower,
    SpectrogramTower,
    SpectrogramTransformerTower,
    WaveformTower,
)
from multimodal_tf.config.tower_bases import Spectrogram
from multimodal_tf.models.chain import Steps, chain
from multimodal_tf.models.towers import transformer, wide
from multimodal_tf.models.towers.audio_mask import AudioMask
from multimodal_tf.models.towers.encoding import Encoding, TowerInput, pool, projection
from multimodal_tf.models.towers.image import convolutions, normalization
from multimodal_tf.models.towers.recurrent import recurrent
from multimodal_tf.models.towers.spectrogram import log_mel, window_and_hop

# what a tower of clips reads
ClipInput: TypeAlias = TowerInput[AudioInput]


def spectrogram_cnn(tower: SpectrogramTower, given: ClipInput, last: str) -> Encoding:
    """A convolutional network over a log-mel spectrogram.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, samples)`, -1 to 1.

    Returns:
        `Encoding`: one token per cell of the last feature map, time step by time step; the
        vector's dim is `tower.dim`, or that of the pooling if null. If `tower.wide`, its
        `wide` is mean and standard deviation over time of each mel band.

    Raises:
        ValueError: as `spectrogram.log_mel`; or, without padding, the spectrogram is too small for
            the number of blocks.
    """
    name = given.name
    spectrogram = _log_mel(tower, given)
    steps = convolutions(tower, spectrogram.shape[1:3], given.present, name)
    feature_map = chain(spectrogram, steps, name, None)
    _, times, bands, width = feature_map.shape
    mask = _mask(tower, given, 2 ** len(tower.filters), (times, bands))
    tokens = layers.Reshape((times * bands, width), name=f"{name}_flattened")(feature_map)
    if tower.pooling == "flatten":
        flatten: Steps = {"pool": layers.Flatten}
        vector = chain(feature_map, flatten | projection(tower), name, last)
    else:
        vector = pool(tower, tokens, mask, name, last)
    features = _band_levels(tower, given, spectrogram) if tower.wide else None
    return Encoding(tokens, mask, vector, features)


def _band_levels(
    tower: SpectrogramTower, given: ClipInput, spectrogram: KerasTensor
) -> KerasTensor:
    _, hop = window_and_hop(tower, given.config.sample_rate, given.name)
    mask = AudioMask(hop, spectrogram.shape[1], name=f"{given.name}_frames", dtype="float32")
    return wide.audio_features(spectrogram, mask(given.x), given.name)


def crnn(tower: CRNNTower, given: ClipInput, last: str) -> Encoding:
    """Convolutions over a log-mel spectrogram, then GRUs over time.

    Args:
        tower, given, last: as `spectrogram_cnn`.

    Returns:
        `Encoding` of `recurrent.recurrent`: one token per step of the last GRU; the vector's dim is
        `tower.dim`, or that of a token if null.

    Raises:
        ValueError: as `spectrogram_cnn`.

    Source: Cakir et al. 2017, arXiv:1702.06286.
    """
    name = given.name
    spectrogram = _log_mel(tower, given)
    windows = [(2 if number < tower.time_pools else 1, 2) for number in range(len(tower.filters))]
    blocks = convolutions(tower, spectrogram.shape[1:3], given.present, name, windows)
    feature_map = chain(spectrogram, blocks, name, None)
    _, times, bands, width = feature_map.shape
    frames = math.prod(time for time, _ in windows)
    mask = _mask(tower, given, frames, (times, 1))
    columns = layers.Reshape((times, bands * width), name=f"{name}_columns")(feature_map)
    return recurrent(layers.GRU, tower, tower, columns, mask, mask, name, last)


def spectrogram_transformer(
    tower: SpectrogramTransformerTower, given: ClipInput, last: str
) -> Encoding:
    """Self-attention over patches of a log-mel spectrogram.

    Args:
        tower, given, last: as `spectrogram_cnn`.

    Returns:
        `Encoding`: one token per patch, time step by time step; the vector's dim is `tower.dim`,
        or `tower.units` if null.

    Raises:
        ValueError: as `spectrogram.log_mel`; or a patch is shorter than a frame or larger than the
            spectrogram.

    Source: Gong et al. 2021, arXiv:2104.01778, without overlap of patches.
    """
    name = given.name
    spectrogram = _log_mel(tower, given)
    size = spectrogram.shape[1:3]
    patch = _patch_size(tower, size, name)
    padding = [(0, -side % of) for side, of in zip(size, patch)]
    steps: Steps = {}
    if any(map(any, padding)):
        steps["fill"] = partial(layers.ZeroPadding2D, padding)
    steps["patches"] = partial(layers.Conv2D, tower.units, patch, strides=patch)
    patches = chain(spectrogram, steps, name, None)
    _, times, bands, width = patches.shape
    mask = _mask(tower, given, patch[0], (times, bands))
    tokens = layers.Reshape((times * bands, width), name=f"{name}_flattened")(patches)
    tokens = transformer.encoder(tower, transformer.positions(tokens, name), mask, name)
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def waveform_cnn(tower: WaveformTower, given: ClipInput, last: str) -> Encoding:
    """One-dimensional convolutions over the samples.

    The first kernel is wide and strided, like a spectrogram's windows. Every block ends by pooling
    `stride` steps.

    Args:
        tower, given, last: as `spectrogram_cnn`.

    Returns:
        `Encoding`: one token per step of the last block, `stride ** (blocks + 1)` samples; the
        vector's dim is `tower.dim`, or the last block's filters if null.

    Raises:
        ValueError: the input is shorter than a step of the last block, or the first kernel than its
            stride.

    Source: Dai et al. 2017, arXiv:1610.00087, figure M5.
    """
    name = given.name
    kernel, stride = _kernel_and_stride(tower, given)
    steps: Steps = {"channel": partial(layers.Reshape, (given.config.samples, 1))}
    # Padded to whole steps, so that the field of a step does not depend on the input's length.
    if given.config.samples % stride:
        steps["fill"] = partial(layers.ZeroPadding1D, (0, -given.config.samples % stride))
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
            f"normalization_{number}": partial(normalization, given.present),
            f"relu_{number}": layers.ReLU,
        }
    tokens = chain(given.x, steps, name, None)
    mask = AudioMask(stride, tokens.shape[1], name=f"{name}_mask", dtype="float32")(given.x)
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def _log_mel(tower: Spectrogram, given: ClipInput) -> KerasTensor:
    config = given.config
    return log_mel(tower, given.x, config.sample_rate, config.augmentation, given.name)


def _mask(tower: Spectrogram, given: ClipInput, frames: int, shape: tuple[int, int]) -> KerasTensor:
    """The mask of time steps x tokens per step, `shape`; a time step spans `frames` frames."""
    _, hop = window_and_hop(tower, given.config.sample_rate, given.name)
    return AudioMask(frames * hop, *shape, name=f"{given.name}_mask", dtype="float32")(given.x)


def _patch_size(
    tower: SpectrogramTransformerTower, size: tuple[int, int], name: str
) -> tuple[int, int]:
    """A patch in frames and bins."""
    frames, bins = size
    length = round(tower.patch_ms / tower.hop_ms)
    if not 1 <= length <= frames:
        raise ValueError(
            f"inputs.{name}.tower.patch_ms: a patch must span from 1 frame to all {frames} (hop_ms"
            f" {tower.hop_ms}), received {tower.patch_ms}, which is {length}"
        )
    if tower.patch_bins > bins:
        raise ValueError(
            f"inputs.{name}.tower.patch_bins: must be at most mel_bins ({bins}), received"
            f" {tower.patch_bins}"
        )
    return length, tower.patch_bins


def _kernel_and_stride(tower: WaveformTower, given: ClipInput) -> tuple[int, int]:
    """Width of the first kernel and stride of all blocks together, in samples."""
    name, config = given.name, given.config
    kernel = round(config.sample_rate * tower.window_ms / 1000)
    stride = tower.stride ** (len(tower.filters) + 1)
    if kernel < tower.stride:
        raise ValueError(
            f"inputs.{name}.tower.window_ms: at {config.sample_rate} Hz must span"
            f" {tower.stride} samples (stride) or more, received {tower.window_ms}, which is"
            f" {kernel}"
        )
    if stride > config.samples:
        raise ValueError(
            f"inputs.{name}.tower: a stride of {tower.stride} in {len(tower.filters)} blocks makes"
            f" one step of {stride} samples, more than the input's {config.samples}: choose a"
            f" smaller stride or fewer filters"
        )
    return kernel, stride
