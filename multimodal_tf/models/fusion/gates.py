"""Fusions that weigh the inputs by what they say in a row."""

from keras import layers

from multimodal_tf.models.fusion.simple import PresentSoftmax
from multimodal_tf.models.fusion.vectors import WeightedVectorSum, finished, projected
from multimodal_tf.models.presence import ZeroWhereAbsent


def attention(fusion, encodings, present, name):
    """`h_i = W_i x_i + b_i`, `e_i = w . tanh(V h_i + c)`, `a` the softmax of `e` over the inputs
    that are there, `h = sum of a_i h_i`.

    `V`, `c` and `w` are the same for all inputs, so that their order does not matter. Zeros where
    none is there.

    Args:
        fusion: `config.AttentionFusion`.
        encodings, present, name: as `models.fusion.fuse` says. The weights `a` are in the layer
        `{name}_weights`.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Ilse et al. 2018, arXiv:1802.04712, equations 7 and 8; over modalities: Hori et al.
    2017, arXiv:1701.03126.
    """
    x, flags = projected(fusion, encodings, present, name)
    hidden = layers.Dense(fusion.dim, activation="tanh", name=f"{name}_scores_hidden")(x)
    # a softmax does not see a bias
    scores = layers.Dense(1, use_bias=False, name=f"{name}_scores")(hidden)
    scores = layers.Reshape((len(encodings),), name=f"{name}_scores_flat")(scores)
    weights = PresentSoftmax(name=f"{name}_weights")(scores, flags)
    return finished(fusion, WeightedVectorSum(name=f"{name}_sum")(x, weights), name)


def gated(fusion, encodings, present, name):
    """`h_i = tanh(W_i x_i + b_i)`, `z_i = sigmoid(Z_i [x_1, ..., x_n] + c_i)`, `h = sum of z_i *
    h_i` over the inputs that are there.

    This is the unit for any number of inputs; that for two, with `z` and `1 - z`, could not leave
    one out. Zeros where none is there.

    Args:
        fusion: `config.GatedFusion`.
        encodings, present, name: as `models.fusion.fuse` says. The gates, `(batch, inputs, dim)`,
        are in the layer `{name}_gates`.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Arevalo et al. 2017, arXiv:1702.01992, section 3.1 and figure 2a.
    """
    x, flags = projected(fusion, encodings, present, name, activation="tanh")
    vectors = [encoding.vector for encoding in encodings.values()]
    joined = (
        layers.Concatenate(name=f"{name}_concatenation")(vectors)
        if len(vectors) > 1
        else vectors[0]
    )
    sigmoids = layers.Dense(
        len(vectors) * fusion.dim, activation="sigmoid", name=f"{name}_sigmoids"
    )(joined)
    gates = layers.Reshape(
        (len(vectors), fusion.dim),
        name=f"{name}_gates" if flags is None else f"{name}_sigmoids_of_each",
    )(sigmoids)
    if flags is not None:
        gates = ZeroWhereAbsent(name=f"{name}_gates")(gates, flags)
    return finished(fusion, WeightedVectorSum(name=f"{name}_sum")(x, gates), name)
