"""Blocks of Conv2D over an image or a spectrogram, and the encoding of a feature map."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from keras import KerasTensor, layers

from multimodal_tf.config import ConvTower, ImageInput
from multimodal_tf.config.tower_bases import ConvBlocks
from multimodal_tf.models.chain import Steps, chain
from multimodal_tf.models.presence import PresentBatchNormalization
from multimodal_tf.models.towers import wide
from multimodal_tf.models.towers.encoding import (
    AllTokens,
    Encoding,
    PooledTower,
    TowerInput,
    projection,
)

_POOLING: dict[str, Callable[..., Any]] = {
    "average": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "flatten": layers.Flatten,
}


def cnn(tower: ConvTower, given: TowerInput[ImageInput], last: str) -> Encoding:
    """A plain convolutional network.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)`, 0 to 1.

    Returns:
        `Encoding`: one token per cell of the last feature map, row by row; the vector's dim is
        `tower.dim`, or that of the pooling if null. If `tower.wide`, its `wide` is a colour
        histogram of 8 levels a channel and a grey thumbnail of 16 x 16.

    Raises:
        ValueError: without padding, the image is too small for the number of blocks.
    """
    name = given.name
    size = (given.config.height, given.config.width)
    feature_map = chain(given.x, convolutions(tower, size, given.present, name), name, None)
    encoding = encode_feature_map(tower, feature_map, name, last)
    return encoding._replace(wide=wide.image_features(given.x, name)) if tower.wide else encoding


def encode_feature_map(tower: PooledTower, x: KerasTensor, name: str, last: str) -> Encoding:
    """Encodes a feature map.

    Args:
        tower: a tower's configuration, with `pooling`, `dim` and `dropout`.
        x: `(batch, height, width, channels)`.
        name, last: as in `models.towers`.

    Returns:
        `Encoding`: one token per cell, row by row; the vector is the pooled map, projected.
    """
    steps: Steps = {"pool": _POOLING[tower.pooling]}
    vector = chain(x, steps | projection(tower), name, last)
    tokens = layers.Reshape((-1, x.shape[-1]), name=f"{name}_flattened")(x)
    return Encoding(tokens, AllTokens(name=f"{name}_mask")(tokens), vector)


def convolutions(
    tower: ConvBlocks,
    size: tuple[int, int],
    present: KerasTensor | None,
    name: str,
    windows: Sequence[tuple[int, int]] | None = None,
) -> Steps:
    """The steps for `chain` from `(batch, height, width, channels)` to a feature map.

    Args:
        tower: the configuration of the blocks.
        size: height and width of the image or spectrogram.
        present: as in `models.towers`.
        name: str. The input's, for the error.
        windows: height and width of each block's pooling; None: 2 x 2.

    Raises:
        ValueError: without padding, `size` is too small for the number of blocks.
    """
    windows = [(2, 2)] * len(tower.filters) if windows is None else windows
    _check_size(tower, size, windows, name)
    steps: Steps = {}
    for number, (filters, window) in enumerate(zip(tower.filters, windows), start=1):
        convolution = partial(layers.Conv2D, filters, tower.kernel_size, padding=tower.padding)
        pooling = partial(layers.MaxPooling2D, window, padding=tower.padding)
        steps |= conv_block(number, convolution, pooling, tower, present)
    return steps


def conv_block(
    number: int,
    convolution: Callable[..., Any],
    pooling: Callable[..., Any],
    tower: ConvBlocks,
    present: KerasTensor | None,
) -> Steps:
    """The steps of one block: convolution, max pooling, batch normalization, ReLU.

    Args:
        number: int. The block's, from 1.
        convolution, pooling: functions that make these layers.
        tower: its `batch_normalization` is read; without, the convolution has a bias and a ReLU.
        present: as in `models.towers`.
    """
    if not tower.batch_normalization:
        return {
            f"conv_{number}": partial(convolution, activation="relu"),
            f"pool_{number}": pooling,
        }
    return {
        # The normalization has an offset.
        f"conv_{number}": partial(convolution, use_bias=False),
        # Pooling comes first because it leaves the normalization a quarter of the values.
        f"pool_{number}": pooling,
        f"normalization_{number}": partial(normalization, present),
        f"relu_{number}": layers.ReLU,
    }


def normalization(
    present: KerasTensor | None, name: str
) -> layers.Layer | Callable[[KerasTensor], KerasTensor]:
    """Batch normalization over the rows whose input is present, as a step for `chain`.

    The momentum of its moving averages is 0.9 instead of Keras' 0.99, because a small table has
    only a dozen steps per epoch.
    """
    if present is None:
        return layers.BatchNormalization(momentum=0.9, name=name)
    layer = PresentBatchNormalization(momentum=0.9, name=name)
    return lambda x: layer(x, present)


def _check_size(
    tower: ConvBlocks, size: tuple[int, int], windows: Sequence[tuple[int, int]], name: str
) -> None:
    # With padding "same", sizes are halved and rounded up, so they never fall below 1.
    if tower.padding == "same":
        return
    height, width = size
    for number, window in enumerate(windows, start=1):
        height, width = (
            (side - tower.kernel_size + 1) // pooled
            for side, pooled in zip((height, width), window)
        )
        if min(height, width) < 1:
            raise ValueError(
                f"inputs.{name}.tower.filters: with padding 'valid', each block removes the border"
                f" of a {tower.kernel_size} x {tower.kernel_size} convolution and halves the rest,"
                f" which leaves nothing of {size[0]} x {size[1]} in block {number}, received"
                f" {tower.filters}"
            )
