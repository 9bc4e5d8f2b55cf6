"""Fusions by attention: between the inputs' vectors, or between their tokens.

A block is Keras' own attention and two Dense layers, each after a layer normalisation and beside a
shortcut (Xiong et al. 2020, arXiv:2002.04745). Where tokens are read, an input's vector stands
before them, as the class token does in the papers. No positions are
added: an input's projection has a bias of its own, which says whose a token is, and a tower that
knows an order has put it into its tokens. Every attention also gives its scores, which `readout`
shows.
"""

import keras
from keras import layers, ops

from multimodal_tf.models.fusion.simple import PresentMean
from multimodal_tf.models.fusion.vectors import Stack, finished, projected, stacked_flags
from multimodal_tf.models.presence import ZeroWhereAbsent
from multimodal_tf.models.towers.encoding import MaskedMean, TokenAt


@keras.saving.register_keras_serializable("multimodal_tf")
class LearnedTokens(layers.Layer):
    """Learned tokens, the same in every row.

    Args:
        count: int.

    Call:
        `x` is `(batch, ..., dim)`; only its shape counts. Returns `(batch, count, dim)`.
    """

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def build(self, shape):
        drawn = keras.initializers.RandomNormal(stddev=0.02)
        self.tokens = self.add_weight(
            shape=(self.count, shape[-1]), initializer=drawn, name="tokens"
        )

    def call(self, x):
        tokens = ops.cast(self.tokens, self.compute_dtype)
        return ops.broadcast_to(tokens, (ops.shape(x)[0], *tokens.shape))

    def compute_output_shape(self, shape):
        return (shape[0], self.count, shape[-1])

    def get_config(self):
        return super().get_config() | {"count": self.count}


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskWithLearned(layers.Layer):
    """A mask of tokens, or flags, followed by learned tokens, which are always there.

    Args:
        count: int. Learned tokens.

    Call:
        `mask` is bool `(batch, length)`, or float, above 0.5 where a token is there. Returns bool
        `(batch, length + count)`.

    Example:
        >>> MaskWithLearned(1)(ops.convert_to_tensor([[1.0, 0.0]])).numpy().tolist()
        [[True, False, True]]
    """

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def call(self, mask):
        mask = ops.cast(mask, "float32") > 0.5
        return ops.concatenate([mask, ops.ones((ops.shape(mask)[0], self.count), "bool")], axis=1)

    def compute_output_spec(self, mask):
        length = mask.shape[1]
        return keras.KerasTensor(
            (mask.shape[0], None if length is None else length + self.count), "bool"
        )

    def get_config(self):
        return super().get_config() | {"count": self.count}


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskWithVector(layers.Layer):
    """A mask of tokens behind one for the vector of their input.

    Call:
        `mask` is bool `(batch, length)`, `present` float `(batch,)`, above 0.5 where the vector is
        there, or None: it always is. Returns bool `(batch, 1 + length)`.

    Example:
        >>> MaskWithVector()(ops.convert_to_tensor([[True, False]]), ops.convert_to_tensor([1.0])).numpy().tolist()
        [[True, True, False]]
    """

    def call(self, mask, present=None):
        there = ops.ones_like(mask[:, :1]) if present is None else ops.expand_dims(present > 0.5, 1)
        return ops.concatenate([there, mask], axis=1)

    def compute_output_spec(self, mask, present=None):
        length = mask.shape[1]
        return keras.KerasTensor((mask.shape[0], None if length is None else length + 1), "bool")


@keras.saving.register_keras_serializable("multimodal_tf")
class LastTokens(layers.Layer):
    """The last tokens, or all but these.

    Args:
        count: int. How many are the last.
        others: bool. All but these.

    Call:
        `x` is `(batch, length, dim)`. Returns `(batch, count, dim)`, or `(batch, length - count,
        dim)`.
    """

    def __init__(self, count, others=False, **kwargs):
        super().__init__(**kwargs)
        self.count, self.others = count, others

    def call(self, x):
        return x[:, : -self.count] if self.others else x[:, -self.count :]

    def compute_output_shape(self, shape):
        rest = None if shape[1] is None else shape[1] - self.count
        return (shape[0], rest if self.others else self.count, shape[2])

    def get_config(self):
        return super().get_config() | {"count": self.count, "others": self.others}


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenProjection(layers.Dense):
    """A Dense layer on tokens, at which Keras' own mask ends: it knows padding, but not absence,
    and the blocks get the mask that does.
    """

    def compute_mask(self, inputs, previous_mask=None):
        return None


def self_attention(fusion, encodings, present, name):
    """`fusion.depth` blocks of self-attention over the projected vectors, a token each, and a
    learned token, whose last state is the answer.

    The learned token sees the inputs that are there, and itself where none is.

    Args:
        fusion: `config.SelfAttentionFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Vaswani et al. 2017, arXiv:1706.03762; the learned token: Devlin et al. 2019,
    arXiv:1810.04805.
    """
    x, flags = projected(fusion, encodings, present, name)
    x = layers.Concatenate(axis=1, name=f"{name}_tokens")(
        [x, LearnedTokens(1, name=f"{name}_token")(x)]
    )
    mask = None if flags is None else MaskWithLearned(1, name=f"{name}_mask")(flags)
    for number in range(1, fusion.depth + 1):
        x = _block(fusion, x, x, mask, f"{name}_block_{number}")
    x = TokenAt("last", name=f"{name}_pool")(x)
    return finished(fusion, _normalised(x, f"{name}_norm"), name)


def bottleneck(fusion, encodings, present, name):
    """Blocks of self-attention over each input's tokens and a few shared ones, the bottlenecks.

    In every block an input's vector and tokens see themselves and the bottlenecks alone. Each input
    leaves bottlenecks of its own, whose mean over the inputs that are there goes into the next
    block. The answer is the mean of the last ones.

    Args:
        fusion: `config.BottleneckFusion`.
        encodings, present, name: as `models.fusion.fuse` says; `encodings` with tokens and masks.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Nagrani et al. 2021, arXiv:2107.00135, equations 8 and 9. There a class token of each
    input is read, here the bottlenecks.
    """
    count, flags = fusion.bottlenecks, stacked_flags(encodings, present, name)
    tokens, masks = _tokens(fusion, encodings, present, name)
    masks = {
        own: MaskWithLearned(count, name=f"{name}_{own}_mask_and_bottlenecks")(mask)
        for own, mask in masks.items()
    }
    shared = LearnedTokens(count, name=f"{name}_bottlenecks")(next(iter(tokens.values())))
    for number in range(1, fusion.depth + 1):
        left = []
        for own, x in tokens.items():
            step = f"{name}_{own}_block_{number}"
            x = layers.Concatenate(axis=1, name=f"{step}_tokens")([x, shared])
            x = _block(fusion, x, x, masks[own], step)
            tokens[own] = LastTokens(count, others=True, name=f"{step}_own")(x)
            left.append(LastTokens(count, name=f"{step}_bottlenecks")(x))
        shared = PresentMean(name=f"{name}_mean_{number}")(
            Stack(name=f"{name}_bottlenecks_{number}")(left), flags
        )
    pooled = MaskedMean(name=f"{name}_pool")(_normalised(shared, f"{name}_norm"))
    return finished(fusion, pooled, name)


def cross_modal(fusion, encodings, present, name):
    """Each input's vector and tokens look at each other input's, pair by pair, then at themselves;
    their means stand side by side.

    An absent input adds nothing where others look at it, and its own mean is zero. One input alone
    looks at itself.

    Args:
        fusion: `config.CrossModalFusion`.
        encodings, present, name: as `models.fusion.fuse` says; `encodings` with tokens and masks.

    Returns:
        `(batch, inputs x (inputs - 1) x fusion.dim)`, or the last of `fusion.hidden`.

    Source: Tsai et al. 2019, arXiv:1906.00295, section 3. There the last state of each input is
    read, here the mean over its tokens.
    """
    tokens, masks = _tokens(fusion, encodings, present, name)
    pooled = []
    for own, x in tokens.items():
        others = [other for other in tokens if other != own]
        looks = [
            (tokens[other], masks[other], present.get(other), f"{name}_{own}_from_{other}")
            for other in others
        ]
        seen = [_looked_at(fusion, x, *look) for look in looks] or [x]
        x = layers.Concatenate(name=f"{name}_{own}_seen")(seen) if len(seen) > 1 else seen[0]
        x = _normalised(
            _block(fusion, x, x, masks[own], f"{name}_{own}_block"), f"{name}_{own}_norm"
        )
        pooled.append(MaskedMean(name=f"{name}_{own}_pool")(x, mask=masks[own]))
    joined = (
        layers.Concatenate(name=f"{name}_concatenation")(pooled) if len(pooled) > 1 else pooled[0]
    )
    return finished(fusion, joined, name)


def _looked_at(fusion, x, others, mask, present, name):
    """The tokens `x` after `fusion.depth` blocks in which they look at another input's."""
    for number in range(1, fusion.depth + 1):
        x = _block(fusion, x, others, mask, f"{name}_{number}", present)
    return x


def _tokens(fusion, encodings, present, name):
    """Each input's vector and tokens, all projected, as one sequence: `(tokens, masks)`, dicts by
    input.
    """
    tokens, masks = {}, {}
    for own, encoding in encodings.items():
        vector = layers.Dense(fusion.dim, name=f"{name}_{own}_vector")(encoding.vector)
        vector = layers.Reshape((1, fusion.dim), name=f"{name}_{own}_vector_token")(vector)
        projected = TokenProjection(fusion.dim, name=f"{name}_{own}_projected")(encoding.tokens)
        tokens[own] = layers.Concatenate(axis=1, name=f"{name}_{own}_tokens")([vector, projected])
        masks[own] = MaskWithVector(name=f"{name}_{own}_mask")(encoding.mask, present.get(own))
    return tokens, masks


def _block(fusion, x, others, mask, name, present=None):
    """One block: `x` looks at `others` (itself, if these are the same tensor), at those of them
    that `mask` keeps.

    Args:
        fusion: a configuration with `heads`, `mlp_units` and `block_dropout`.
        x: `(batch, length, dim)`.
        others: `(batch, other length, other dim)`.
        mask: bool `(batch, other length)`; None: all are there.
        name: str. The layers begin with it; the attention is `{name}_attention`.
        present: float32 `(batch,)`, 0 where none of the others is there: nothing is added then.
        None: some always are.

    Returns:
        `(batch, length, dim)`.
    """
    width = x.shape[-1]
    query = _normalised(x, f"{name}_norm_1")
    value = query if others is x else _normalised(others, f"{name}_norm_others")
    attention = layers.MultiHeadAttention(
        fusion.heads, width // fusion.heads, dropout=fusion.block_dropout, name=f"{name}_attention"
    )
    keys = None if mask is None else layers.Reshape((1, -1), name=f"{name}_keys")(mask)
    attended, _ = attention(query, value, attention_mask=keys, return_attention_scores=True)
    if present is not None:
        attended = ZeroWhereAbsent(name=f"{name}_present")(attended, present)
    x = layers.Add(name=f"{name}_attended")([x, attended])
    y = layers.Dense(fusion.mlp_units, activation="gelu", name=f"{name}_dense_1")(
        _normalised(x, f"{name}_norm_2")
    )
    y = layers.Dense(width, name=f"{name}_dense_2")(y)
    if fusion.block_dropout > 0:
        y = layers.Dropout(fusion.block_dropout, name=f"{name}_dropout")(y)
    return layers.Add(name=f"{name}_answer")([x, y])


def _normalised(x, name):
    return layers.LayerNormalization(epsilon=1e-5, name=name)(x)
