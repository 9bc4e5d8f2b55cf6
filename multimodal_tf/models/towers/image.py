"""Images: blocks of Conv2D, normalisation and max pooling, then one vector."""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain
from multimodal_tf.models.presence import PresentBatchNormalization

_POOLING = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}


def cnn(part, x, present, name, last):
    """The tower of an image.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        present, name, last: as `models.towers` says.

    Returns:
        `(batch, dim)` in the compute dtype; `dim` is `part.tower.dim`, or what the pooling leaves where that is null.

    Raises:
        ValueError: the image is too small for so many blocks without padding.
    """
    return chain(x, convolutions(part.tower, (part.height, part.width), present, name), name, last)


def convolutions(tower, size, present, name):
    """The steps for `chain` that lead from `(batch, height, width, channels)` to one vector; also behind a spectrogram.

    Args:
        tower: `config.ConvTower`, or another with its fields.
        size: `(height, width)` of what comes in.
        present: as `models.towers` says.
        name: str. The input's, for the error.
    """
    _refuse_too_small(tower, size, name)
    steps: dict = {}
    for number, filters in enumerate(tower.filters, start=1):
        convolution = partial(layers.Conv2D, filters, tower.kernel_size, padding=tower.padding)
        pooling = partial(layers.MaxPooling2D, padding=tower.padding)
        if not tower.batch_normalization:
            steps |= {f"conv_{number}": partial(convolution, activation="relu"), f"pool_{number}": pooling}
            continue
        steps |= {
            f"conv_{number}": partial(convolution, use_bias=False),  # the normalisation has an offset
            f"pool_{number}": pooling,  # before the normalisation, which then has a quarter of the work: 207 against 390 ms a step
            f"normalization_{number}": partial(_normalization, present),
            f"relu_{number}": layers.ReLU,
        }
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


def _normalization(present, name):
    if present is None:
        return layers.BatchNormalization(name=name)
    normalization = PresentBatchNormalization(name=name)
    return lambda x: normalization(x, present)


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
