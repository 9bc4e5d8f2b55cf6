"""Blocks of self-attention, KerasHub's own: for texts, patches, frames and columns."""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain


def positions(tokens, name, prefix="positions"):
    """Adds a learned vector to each place of a sequence.

    Args:
        tokens: `(batch, length, dim)`; the length is known.
        name: str. The input's.
        prefix: str. The layers are called `{name}_{prefix}` and `{name}_{prefix}_added`.

    Returns:
        `(batch, length, dim)`.

    Example:
        >>> import keras
        >>> positions(keras.Input((6, 8)), "title").shape
        (None, 6, 8)

    Source: Devlin et al. 2019, arXiv:1810.04805.
    """
    # here, because it takes more than a second and most models do without
    import keras_hub

    place = keras_hub.layers.PositionEmbedding(
        tokens.shape[1], initializer="uniform", name=f"{name}_{prefix}"
    )(tokens)
    return layers.Add(name=f"{name}_{prefix}_added")([tokens, place])


def encoder(tower, tokens, mask, name, prefix="block", causal=False):
    """Blocks of self-attention and two Dense layers, each after a layer normalisation; one more
    normalisation at the end.

    The blocks know no order: add `positions` where there is one.

    Args:
        tower: a configuration with `depth`, `heads`, `mlp_units` (units of a block's first Dense
            layer) and `block_dropout`.
        tokens: `(batch, length, dim)`, without a Keras mask of its own.
        mask: bool `(batch, length)`: which tokens are seen; None: all. Where a row has none, all
        are seen, so that nothing is NaN.
        name: str. The input's.
        prefix: str. The layers are called `{name}_{prefix}_1` and so on, and
        `{name}_{prefix}_norm`.
        causal: bool. A token sees itself and those before it (as in GPT), not all (as in BERT).

    Returns:
        `(batch, length, dim)`.

    Raises:
        ValueError: the tokens' width is no multiple of the number of heads.

    Example:
        >>> import keras
        >>> from multimodal_tf.config import TransformerTower
        >>> encoder(TransformerTower(), keras.Input((6, 8)), None, "title").shape
        (None, 6, 8)

    Source: Vaswani et al. 2017, arXiv:1706.03762; normalisation first: Xiong et al. 2020,
    arXiv:2002.04745.
    """
    width = tokens.shape[-1]
    if width % tower.heads:
        raise ValueError(
            f"inputs.{name}: the heads of a transformer must divide the width of a token, {width}, received {tower.heads}"
        )
    block = partial(_causal if causal else _bidirectional, tower, mask)
    steps: dict = {f"{prefix}_{number}": block for number in range(1, tower.depth + 1)}
    return chain(
        tokens,
        steps | {f"{prefix}_norm": partial(layers.LayerNormalization, epsilon=1e-5)},
        name,
        None,
    )


def _bidirectional(tower, mask, name):
    # here, as in `positions`
    import keras_hub

    layer = keras_hub.layers.TransformerEncoder(**_block(tower), name=name)
    return lambda x: layer(x, padding_mask=mask)


def _causal(tower, mask, name):
    # here, as in `positions`
    import keras_hub

    layer = keras_hub.layers.TransformerDecoder(**_block(tower), name=name)
    return lambda x: layer(x, decoder_padding_mask=mask)


def _block(tower):
    return {
        "intermediate_dim": tower.mlp_units,
        "num_heads": tower.heads,
        "dropout": tower.block_dropout,
        "activation": "gelu",
        "normalize_first": True,
    }
