"""Images: blocks of Conv2D, normalisation and max pooling, then one vector."""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain

_POOLING = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}


def cnn(part, x, name, last):
    """The tower of an image.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        name, last: str. Names of the layers: `models.towers`.

    Returns:
        `(batch, dim)` in the compute dtype; `dim` is `part.tower.dim`, or what the pooling leaves where that is null.

    Raises:
        ValueError: the image is too small for so many blocks without padding.
    """
    return chain(x, convolutions(part.tower, (part.height, part.width), name), name, last)


def convolutions(tower, size, name):
    """The steps for `chain` that lead from `(batch, height, width, channels)` to one vector; also behind a spectrogram.

    Args:
        tower: `config.ConvTower`, or another with its fields.
        size: `(height, width)` of what comes in.
        name: str. The input's, for the error.
    """
    _refuse_too_small(tower, size, name)
    steps = {}
    for number, filters in enumerate(tower.filters, start=1):
        convolution = partial(layers.Conv2D, filters, tower.kernel_size, padding=tower.padding)
        if tower.batch_normalization:  # its offset replaces the convolution's
            steps[f"conv_{number}"] = partial(convolution, use_bias=False)
            steps[f"normalization_{number}"] = layers.BatchNormalization
            steps[f"relu_{number}"] = layers.ReLU
        else:
            steps[f"conv_{number}"] = partial(convolution, activation="relu")
        steps[f"pool_{number}"] = partial(layers.MaxPooling2D, padding=tower.padding)
    steps["pool"] = _POOLING[tower.pooling]
    return steps | projection(tower)


def projection(tower):
    """The steps at the end of a tower: Dense where it has a `dim`, Dropout where it has one."""
    steps = {}
    if tower.dim is not None:
        steps["dense"] = partial(layers.Dense, tower.dim, activation="relu")
    if tower.dropout > 0:
        steps["dropout"] = partial(layers.Dropout, tower.dropout)
    return steps


def _refuse_too_small(tower, size, name):
    if tower.padding == "same":  # sizes are halved and rounded up: never below 1
        return
    height, width = size
    for number in range(1, len(tower.filters) + 1):
        height, width = ((side - tower.kernel_size + 1) // 2 for side in (height, width))
        if min(height, width) < 1:
            raise ValueError(
                f"inputs.{name}.tower.filters: each block takes a {tower.kernel_size} x {tower.kernel_size} convolution off and halves the "
                f"rest (padding 'valid'), which leaves nothing of {size[0]} x {size[1]} in block {number}, received {tower.filters}"
            )
