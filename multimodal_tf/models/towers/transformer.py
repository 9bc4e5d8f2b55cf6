"""KerasHub's blocks of self-attention: for texts, patches, frames and columns."""

from collections.abc import Callable
from functools import partial
from typing import Any

from keras import KerasTensor, layers

from multimodal_tf.config.tower_bases import TransformerBlocks
from multimodal_tf.models.chain import Steps, chain


def positions(tokens: KerasTensor, name: str, prefix: str = "positions") -> KerasTensor:
    """Adds a learned position embedding to each token of a sequence.

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
    # The import takes more than a second, and most models do not need it.
    import keras_hub

    embedding = keras_hub.layers.PositionEmbedding(
        tokens.shape[1], initializer="uniform", name=f"{name}_{prefix}"
    )(tokens)
    return layers.Add(name=f"{name}_{prefix}_added")([tokens, embedding])


def encoder(
    blocks: TransformerBlocks,
    tokens: KerasTensor,
    mask: KerasTensor | None,
    name: str,
    prefix: str = "block",
    causal: bool = False,
) -> KerasTensor:
    """Pre-norm blocks of self-attention and two Dense layers, then a layer normalization.

    The blocks do not know the order of the tokens: add `positions` if it matters.

    Args:
        blocks: the configuration of the blocks.
        tokens: `(batch, length, dim)`, without a Keras mask of its own.
        mask: bool `(batch, length)`, the tokens to attend to; None: all. In rows without any, all
            tokens are attended to, so that nothing is NaN.
        name: str. The input's.
        prefix: str. The layers are called `{name}_{prefix}_1` and so on, and
            `{name}_{prefix}_norm`.
        causal: bool. A token attends to itself and those before it (as in GPT) instead of all (as
            in BERT).

    Returns:
        `(batch, length, dim)`.

    Raises:
        ValueError: the heads do not divide the tokens' width.

    Example:
        >>> import keras
        >>> from multimodal_tf.config import TransformerTower
        >>> encoder(TransformerTower(), keras.Input((6, 8)), None, "title").shape
        (None, 6, 8)

    Source: Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020, arXiv:2002.04745.
    """
    width = tokens.shape[-1]
    if width % blocks.heads:
        raise ValueError(
            f"inputs.{name}: the heads of a transformer must divide the width of a token, {width},"
            f" received {blocks.heads}"
        )
    block = partial(_causal if causal else _bidirectional, blocks, mask)
    steps: Steps = {f"{prefix}_{number}": block for number in range(1, blocks.depth + 1)}
    steps[f"{prefix}_norm"] = partial(layers.LayerNormalization, epsilon=1e-5)
    return chain(tokens, steps, name, None)


def _bidirectional(
    blocks: TransformerBlocks, mask: KerasTensor | None, name: str
) -> Callable[[KerasTensor], KerasTensor]:
    # As in `positions`.
    import keras_hub

    layer = keras_hub.layers.TransformerEncoder(**_arguments(blocks), name=name)
    return lambda x: layer(x, padding_mask=mask)


def _causal(
    blocks: TransformerBlocks, mask: KerasTensor | None, name: str
) -> Callable[[KerasTensor], KerasTensor]:
    # As in `positions`.
    import keras_hub

    layer = keras_hub.layers.TransformerDecoder(**_arguments(blocks), name=name)
    return lambda x: layer(x, decoder_padding_mask=mask)


def _arguments(blocks: TransformerBlocks) -> dict[str, Any]:
    return {
        "intermediate_dim": blocks.mlp_units,
        "num_heads": blocks.heads,
        "dropout": blocks.block_dropout,
        "activation": "gelu",
        "normalize_first": True,
    }
