"""Fusions by attention: between the inputs' vectors, or between their tokens.

A block is Keras' own attention and two Dense layers, each after a layer normalisation and beside a
shortcut (Xiong et al. 2020, arXiv:2002.04745). Where tokens are read, an input's vector precedes
them, as the class token does in the papers. No positions are added: the bias of an input's
projection marks its tokens, and a tower whose input has an order has encoded it in the tokens.
Every attention also returns its scores, for the explanations.
"""

from typing import NamedTuple

import keras
from keras import layers

from multimodal_tf.config import BottleneckFusion, CrossModalFusion, SelfAttentionFusion
from multimodal_tf.models.fusion.explanations import (
    Fused,
    InputShares,
    PairAttention,
    TokenAttention,
    TokenShares,
)
from multimodal_tf.models.fusion.pooling import PresentMean
from multimodal_tf.models.fusion.tokens import (
    LastTokens,
    LearnedTokens,
    MaskWithLearned,
    MaskWithVector,
    TokenProjection,
)
from multimodal_tf.models.fusion.vectors import (
    Encodings,
    Present,
    Stack,
    last_layers,
    projected,
    side_by_side,
    stacked_flags,
)
from multimodal_tf.models.intermediate_outputs import Derived
from multimodal_tf.models.presence import ZeroWhereMissing
from multimodal_tf.models.towers.encoding import MaskedMean, TokenAt

# Keras tensors by input
_ByInput = dict[str, keras.KerasTensor]


class _Block(NamedTuple):
    """Output of a block `(batch, length, dim)`, scores `(batch, heads, length, other length)`."""

    x: keras.KerasTensor
    scores: keras.KerasTensor


def self_attention(
    fusion: SelfAttentionFusion, encodings: Encodings, present: Present, name: str
) -> Fused:
    """Blocks of self-attention over the projected vectors, a token each, and a learned token.

    The last state of the learned token is the fused vector. It attends to the present inputs, and
    to itself in a row without any.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; it explains the
        `weights`, the share of each input in the last block's attention of the learned token.

    Source: Vaswani et al. 2017, arXiv:1706.03762; the learned token: Devlin et al. 2019,
    arXiv:1810.04805.
    """
    x, flags = projected(fusion.dim, encodings, present, name)
    x = layers.Concatenate(axis=1, name=f"{name}_tokens")(
        [x, LearnedTokens(1, name=f"{name}_token")(x)]
    )
    mask = None if flags is None else MaskWithLearned(1, name=f"{name}_mask")(flags)
    for number in range(1, fusion.depth + 1):
        x, scores = attend(fusion, x, x, mask, f"{name}_block_{number}")
    x = _normalised(TokenAt("last", name=f"{name}_pool")(x), f"{name}_norm")
    return Fused(last_layers(fusion, x, name), {"weights": Derived(TokenShares(1), (scores,))})


def bottleneck(
    fusion: BottleneckFusion, encodings: Encodings, present: Present, name: str
) -> Fused:
    """Blocks of self-attention over each input's tokens and a few shared ones, the bottlenecks.

    In every block an input's vector and tokens attend to themselves and the bottlenecks only. Each
    input yields its own bottlenecks, whose mean over the present inputs goes into the next block.
    The fused vector is the mean of the last ones.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`; `encodings` with tokens and masks.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; it explains the
        attention of the last block's bottlenecks: `weights` and `attention_{input}`.

    Source: Nagrani et al. 2021, arXiv:2107.00135, equations 8 and 9. There a class token of each
    input is read, here the bottlenecks.
    """
    count, flags = fusion.bottlenecks, stacked_flags(encodings, present, name)
    tokens, own_masks = tokens_and_masks(fusion, encodings, present, name)
    masks = {
        own: MaskWithLearned(count, name=f"{name}_{own}_mask_and_bottlenecks")(mask)
        for own, mask in own_masks.items()
    }
    shared = LearnedTokens(count, name=f"{name}_bottlenecks")(next(iter(tokens.values())))
    scores: _ByInput = {}
    for number in range(1, fusion.depth + 1):
        left = []
        for own, x in tokens.items():
            step = f"{name}_{own}_block_{number}"
            x = layers.Concatenate(axis=1, name=f"{step}_tokens")([x, shared])
            x, scores[own] = attend(fusion, x, x, masks[own], step)
            tokens[own] = LastTokens(count, others=True, name=f"{step}_own")(x)
            left.append(LastTokens(count, name=f"{step}_bottlenecks")(x))
        shared = PresentMean(name=f"{name}_mean_{number}")(
            Stack(name=f"{name}_bottlenecks_{number}")(left), flags
        )
    pooled = MaskedMean(name=f"{name}_pool")(_normalised(shared, f"{name}_norm"))
    explained = {"weights": Derived(InputShares(count), ([*scores.values()],))} | {
        f"attention_{own}": Derived(TokenAttention(count), (one,)) for own, one in scores.items()
    }
    return Fused(last_layers(fusion, pooled, name), explained)


def cross_modal(
    fusion: CrossModalFusion, encodings: Encodings, present: Present, name: str
) -> Fused:
    """Each input's vector and tokens attend to those of each other input, then to themselves.

    The fused vector has the inputs' means side by side. A missing input adds nothing to the others,
    and its own mean is zero. One input alone attends to itself.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`; `encodings` with tokens and masks.

    Returns:
        The vector `(batch, inputs * (inputs - 1) * fusion.dim)`, or of the last width in
        `fusion.hidden`; it explains the attention of the last block of each pair:
        `attention_{input}_from_{other}`.

    Source: Tsai et al. 2019, arXiv:1906.00295, section 3. There the last state of each input is
    read, here the mean over its tokens.
    """
    tokens, masks = tokens_and_masks(fusion, encodings, present, name)
    pooled, explained = [], {}
    for own, x in tokens.items():
        seen = []
        for other in (one for one in tokens if one != own):
            pair = _pair(fusion, tokens, masks, present, (own, other), name)
            seen.append(pair.x)
            attention = Derived(PairAttention(), (pair.scores, masks[own], masks[other]))
            explained[f"attention_{own}_from_{other}"] = attention
        x = side_by_side(seen or [x], f"{name}_{own}_seen")
        x = attend(fusion, x, x, masks[own], f"{name}_{own}_block").x
        x = _normalised(x, f"{name}_{own}_norm")
        pooled.append(MaskedMean(name=f"{name}_{own}_pool")(x, mask=masks[own]))
    joined = side_by_side(pooled, f"{name}_concatenation")
    return Fused(last_layers(fusion, joined, name), explained)


def _pair(
    fusion: CrossModalFusion,
    tokens: _ByInput,
    masks: _ByInput,
    present: Present,
    pair: tuple[str, str],
    name: str,
) -> _Block:
    """The blocks in which the tokens of the pair's first input attend to those of its second."""
    own, other = pair
    x = tokens[own]
    for number in range(1, fusion.depth + 1):
        step = f"{name}_{own}_from_{other}_{number}"
        x, scores = attend(fusion, x, tokens[other], masks[other], step, present.get(other))
    return _Block(x, scores)


def tokens_and_masks(
    fusion: BottleneckFusion | CrossModalFusion, encodings: Encodings, present: Present, name: str
) -> tuple[_ByInput, _ByInput]:
    """Each input's vector and tokens, projected, as one sequence: `(tokens, masks)` by input."""
    tokens, masks = {}, {}
    for own, encoding in encodings.items():
        vector = layers.Dense(fusion.dim, name=f"{name}_{own}_vector")(encoding.vector)
        vector = layers.Reshape((1, fusion.dim), name=f"{name}_{own}_vector_token")(vector)
        others = TokenProjection(fusion.dim, name=f"{name}_{own}_projected")(encoding.tokens)
        tokens[own] = layers.Concatenate(axis=1, name=f"{name}_{own}_tokens")([vector, others])
        masks[own] = MaskWithVector(name=f"{name}_{own}_mask")(encoding.mask, present.get(own))
    return tokens, masks


def attend(
    fusion: SelfAttentionFusion | BottleneckFusion | CrossModalFusion,
    x: keras.KerasTensor,
    others: keras.KerasTensor,
    mask: keras.KerasTensor | None,
    name: str,
    present: keras.KerasTensor | None = None,
) -> _Block:
    """One block, in which `x` attends to `others`, or to itself if these are the same tensor.

    Args:
        fusion: its `heads`, `mlp_units` and `block_dropout`.
        x: `(batch, length, dim)`.
        others: `(batch, other length, other dim)`.
        mask: bool `(batch, other length)`, which of them are present; None: all are.
        name: the layers begin with it; the attention is `{name}_attention`.
        present: float32 `(batch,)`, 0 where none of the others is present, and then nothing is
            added. None: some always are.
    """
    width = x.shape[-1]
    query = _normalised(x, f"{name}_norm_1")
    value = query if others is x else _normalised(others, f"{name}_norm_others")
    attention = layers.MultiHeadAttention(
        fusion.heads, width // fusion.heads, dropout=fusion.block_dropout, name=f"{name}_attention"
    )
    keys = None if mask is None else layers.Reshape((1, -1), name=f"{name}_keys")(mask)
    attended, scores = attention(query, value, attention_mask=keys, return_attention_scores=True)
    if present is not None:
        attended = ZeroWhereMissing(name=f"{name}_present")(attended, present)
    x = layers.Add(name=f"{name}_attended")([x, attended])
    y = layers.Dense(fusion.mlp_units, activation="gelu", name=f"{name}_dense_1")(
        _normalised(x, f"{name}_norm_2")
    )
    y = layers.Dense(width, name=f"{name}_dense_2")(y)
    if fusion.block_dropout > 0:
        y = layers.Dropout(fusion.block_dropout, name=f"{name}_dropout")(y)
    return _Block(layers.Add(name=f"{name}_output")([x, y]), scores)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)
