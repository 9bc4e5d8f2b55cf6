"""KerasHub's residual networks and vision transformers with random weights, for images."""

from multimodal_tf.config import ImageInput, ResNetTower, ViTTower
from multimodal_tf.models.presence import masked_network
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, TowerInput, pool
from multimodal_tf.models.towers.image import encode_feature_map

_BLOCKS = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}
# From this depth on, a block is 1 x 1, 3 x 3 and 1 x 1.
_BOTTLENECK_DEPTH = 50
_KERAS_HUB_FILTERS = 64


def resnet(tower: ResNetTower, given: TowerInput[ImageInput], last: str) -> Encoding:
    """A residual network.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)`, 0 to 1.

    Returns:
        `Encoding`: one token per cell of the last feature map, which has a 32nd of the image's
        height and width. Its channels, and the vector's dim if `tower.dim` is null, are 8 x
        `filters`, or 32 x `filters` at depth 50.

    Source: He et al. 2016, arXiv:1512.03385; KerasHub's `ResNetBackbone`.
    """
    name = given.name
    # The import takes more than a second, and most models do not need it.
    import keras_hub

    filters = tower.filters
    # KerasHub requires 64 filters in the first stage. For any other number, that stage gets no
    # block.
    unused = [] if filters == _KERAS_HUB_FILTERS else [(_KERAS_HUB_FILTERS, 0, 1)]
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
        block_type="basic_block" if tower.depth < _BOTTLENECK_DEPTH else "bottleneck_block",
        image_shape=(given.config.height, given.config.width, given.config.channels),
        name=f"{name}_network",
    )
    return encode_feature_map(
        tower, masked_network(network, given.x, given.present, name), name, last
    )


def vit(tower: ViTTower, given: TowerInput[ImageInput], last: str) -> Encoding:
    """A vision transformer.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)`, 0 to 1.

    Returns:
        `Encoding`: one token per patch, row by row. With pooling "first", the learned class token,
        which becomes the vector, comes before them. The dim of the tokens, and of the vector if
        `tower.dim` is null, is `tower.units`.

    Raises:
        ValueError: `patch_size` does not divide the image's height and width.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929; KerasHub's `ViTBackbone`.
    """
    name = given.name
    # As in `resnet`.
    import keras_hub

    _check_patches(tower, given)
    network = keras_hub.models.ViTBackbone(
        image_shape=(given.config.height, given.config.width, given.config.channels),
        patch_size=tower.patch_size,
        num_layers=tower.depth,
        num_heads=tower.heads,
        hidden_dim=tower.units,
        mlp_dim=tower.mlp_units,
        dropout_rate=tower.block_dropout,
        use_class_token=tower.pooling == "first",
        name=f"{name}_network",
    )
    tokens = masked_network(network, given.x, given.present, name)
    mask = AllTokens(name=f"{name}_mask")(tokens)
    return Encoding(tokens, mask, pool(tower, tokens, None, name, last))


def _check_patches(tower: ViTTower, given: TowerInput[ImageInput]) -> None:
    height, width, size = given.config.height, given.config.width, tower.patch_size
    if height % size or width % size:
        raise ValueError(
            f"inputs.{given.name}.tower.patch_size: must divide the image's height and width,"
            f" {height} and {width}, received {size}"
        )
