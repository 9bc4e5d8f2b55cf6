"""Images: blocks of Conv2D, normalisation and max pooling, then one vector; and the end of every
tower over a feature map.
"""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain
from multimodal_tf.models.presence import PresentBatchNormalization
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, projection

_POOLING = {
    "average": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "flatten": layers.Flatten,
}


def cnn(part, stats, x, present, name, last):
    """Plain convolutions; `part.tower` is `config.ConvTower`.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a place of the last feature map, row by row; the vector's dim is
        `part.tower.dim`, or what the pooling leaves.

    Raises:
        ValueError: the image is too small for so many blocks without padding.
    """
    tower = part.tower
    return encoding(
        tower,
        chain(x, convolutions(tower, (part.height, part.width), present, name), name, None),
        name,
        last,
    )


def encoding(tower, x, name, last):
    """A feature map to what a tower yields.

    Args:
        tower: a tower's configuration, with `pooling`, `dim` and `dropout`.
        x: `(batch, height, width, channels)`.
        name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a place, row by row; the vector is the places pooled, then projected.
    """
    vector = chain(x, {"pool": _POOLING[tower.pooling]} | projection(tower), name, last)
    tokens = layers.Reshape((-1, x.shape[-1]), name=f"{name}_places")(x)
    return Encoding(tokens, AllTokens(name=f"{name}_mask")(tokens), vector)


def convolutions(tower, size, present, name, windows=None):
    """The steps for `chain` from `(batch, height, width, channels)` to a feature map; also for a
    spectrogram.

    Args:
        tower: `config.ConvTower`, or another with its fields.
        size: `(height, width)` of what comes in.
        present: as `models.towers` says.
        name: str. The input's, for the error.
        windows: `(height, width)` of each block's pooling; None: 2 x 2.
    """
    windows = [(2, 2)] * len(tower.filters) if windows is None else windows
    _refuse_too_small(tower, size, windows, name)
    steps: dict = {}
    for number, (filters, window) in enumerate(zip(tower.filters, windows), start=1):
        convolution = partial(layers.Conv2D, filters, tower.kernel_size, padding=tower.padding)
        pooling = partial(layers.MaxPooling2D, window, padding=tower.padding)
        if not tower.batch_normalization:
            steps |= {
                f"conv_{number}": partial(convolution, activation="relu"),
                f"pool_{number}": pooling,
            }
            continue
        steps |= {
            # the normalisation has an offset
            f"conv_{number}": partial(convolution, use_bias=False),
            # before the normalisation, which then has a quarter of the work
            f"pool_{number}": pooling,
            f"normalization_{number}": partial(normalization, present),
            f"relu_{number}": layers.ReLU,
        }
    return steps


def normalization(present, name):
    """Batch normalisation over the rows where the input is there, as a step for `chain`.

    Its moving averages follow fast (momentum 0.9 for Keras' 0.99): a small table has a dozen steps
    an epoch.
    """
    if present is None:
        return layers.BatchNormalization(momentum=0.9, name=name)
    layer = PresentBatchNormalization(momentum=0.9, name=name)
    return lambda x: layer(x, present)


def _refuse_too_small(tower, size, windows, name):
    # sizes are halved and rounded up: never below 1
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
                f"inputs.{name}.tower.filters: each block takes a {tower.kernel_size} x {tower.kernel_size} convolution off and halves the "
                f"rest (padding 'valid'), which leaves nothing of {size[0]} x {size[1]} in block {number}, received {tower.filters}"
            )
