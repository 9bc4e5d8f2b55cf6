"""Images: KerasHub's residual networks and vision transformers, drawn anew."""

from multimodal_tf.models.presence import masked_network
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, pool
from multimodal_tf.models.towers.image import encoding

_BLOCKS = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}
# from this depth on a block is 1 x 1, 3 x 3 and 1 x 1
_BOTTLENECKS = 50
_KERAS_HUBS_FILTERS = 64


def resnet(part, stats, x, present, name, last):
    """A residual network; `part.tower` is `config.ResNetTower`.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a place of the last feature map, a 32nd of the image's height and width.
        Its channels, and the vector's dim unless `part.tower.dim` is given, are 8 x `filters`, or
        32 x `filters` at depth 50.

    Source: He et al. 2016, arXiv:1512.03385; KerasHub's `ResNetBackbone`.
    """
    # here, because it takes more than a second and most models do without
    import keras_hub

    tower, filters = part.tower, part.tower.filters
    # KerasHub insists on 64 filters in the first stage: where they are to be others, that stage has
    # no block
    unused = [] if filters == _KERAS_HUBS_FILTERS else [(_KERAS_HUBS_FILTERS, 0, 1)]
    stages = [
        *unused,
        *zip((filters, 2 * filters, 4 * filters, 8 * filters), _BLOCKS[tower.depth], (1, 2, 2, 2)),
    ]
    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[filters],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[width for width, _, _ in stages],
        stackwise_num_blocks=[blocks for _, blocks, _ in stages],
        stackwise_num_strides=[stride for _, _, stride in stages],
        block_type="basic_block" if tower.depth < _BOTTLENECKS else "bottleneck_block",
        image_shape=(part.height, part.width, part.channels),
        name=f"{name}_network",
    )
    return encoding(tower, masked_network(network, x, present, name), name, last)


def vit(part, stats, x, present, name, last):
    """A vision transformer; `part.tower` is `config.ViTTower`.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a patch, row by row, and before them, with pooling "first", the learned
        token that becomes the vector. Their dim, and the vector's unless `part.tower.dim` is given,
        is `part.tower.units`.

    Raises:
        ValueError: the patches do not fill the image.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929; KerasHub's `ViTBackbone`.
    """
    # here, as in `resnet`
    import keras_hub

    tower = part.tower
    _refuse_uneven(part, name)
    network = keras_hub.models.ViTBackbone(
        image_shape=(part.height, part.width, part.channels),
        patch_size=tower.patch_size,
        num_layers=tower.depth,
        num_heads=tower.heads,
        hidden_dim=tower.units,
        mlp_dim=tower.mlp_units,
        dropout_rate=tower.block_dropout,
        use_class_token=tower.pooling == "first",
        name=f"{name}_network",
    )
    tokens = masked_network(network, x, present, name)
    return Encoding(
        tokens, AllTokens(name=f"{name}_mask")(tokens), pool(tower, tokens, None, name, last)
    )


def _refuse_uneven(part, name):
    size = part.tower.patch_size
    if part.height % size or part.width % size:
        raise ValueError(
            f"inputs.{name}.tower.patch_size: must divide the image's height and width, {part.height} and {part.width}, received {size}"
        )
