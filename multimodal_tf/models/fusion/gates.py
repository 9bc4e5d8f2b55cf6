"""Fusions that weigh the inputs by their content in a row."""

from keras import layers

from multimodal_tf.config import AttentionFusion, GatedFusion
from multimodal_tf.models.fusion.explanations import Fused, MeanGate
from multimodal_tf.models.fusion.pooling import PresentSoftmax
from multimodal_tf.models.fusion.vectors import (
    Encodings,
    Present,
    WeightedVectorSum,
    last_layers,
    projected,
    side_by_side,
)
from multimodal_tf.models.intermediate_outputs import Derived
from multimodal_tf.models.presence import ZeroWhereMissing


def attention(fusion: AttentionFusion, encodings: Encodings, present: Present, name: str) -> Fused:
    """`h = sum of a_i h_i` over the present inputs, with weights `a` that depend on the row.

    `h_i = W_i x_i + b_i`, `e_i = w . tanh(V h_i + c)`, and `a` is the softmax of `e` over the
    present inputs. `V`, `c` and `w` are the same for all inputs, so that their order does not
    matter. Zeros in a row without inputs.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; it explains the
        `weights` `a`.

    Source: Ilse et al. 2018, arXiv:1802.04712, equations 7 and 8; over modalities: Hori et al.
    2017, arXiv:1701.03126.
    """
    x, flags = projected(fusion.dim, encodings, present, name)
    hidden = layers.Dense(fusion.dim, activation="tanh", name=f"{name}_scores_hidden")(x)
    # a bias would not change the softmax
    scores = layers.Dense(1, use_bias=False, name=f"{name}_scores")(hidden)
    scores = layers.Reshape((len(encodings),), name=f"{name}_scores_flat")(scores)
    weights = PresentSoftmax(name=f"{name}_weights")(scores, flags)
    h = WeightedVectorSum(name=f"{name}_sum")(x, weights)
    return Fused(last_layers(fusion, h, name), {"weights": weights})


def gated(fusion: GatedFusion, encodings: Encodings, present: Present, name: str) -> Fused:
    """`h = sum of z_i * h_i` over the present inputs, with a gate for each number of each input.

    `h_i = tanh(W_i x_i + b_i)` and `z_i = sigmoid(Z_i [x_1, ..., x_n] + c_i)`. This is the unit for
    any number of inputs; that for two, with `z` and `1 - z`, could not leave one out. Zeros in a
    row without inputs.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; it explains the
        `weights`, the mean gate of each input.

    Source: Arevalo et al. 2017, arXiv:1702.01992, section 3.1 and figure 2a.
    """
    x, flags = projected(fusion.dim, encodings, present, name, activation="tanh")
    vectors = [encoding.vector for encoding in encodings.values()]
    joined = side_by_side(vectors, f"{name}_concatenation")
    sigmoids = layers.Dense(
        len(vectors) * fusion.dim, activation="sigmoid", name=f"{name}_sigmoids"
    )(joined)
    gates = layers.Reshape(
        (len(vectors), fusion.dim),
        name=f"{name}_gates" if flags is None else f"{name}_sigmoids_of_each",
    )(sigmoids)
    if flags is not None:
        gates = ZeroWhereMissing(name=f"{name}_gates")(gates, flags)
    h = WeightedVectorSum(name=f"{name}_sum")(x, gates)
    return Fused(last_layers(fusion, h, name), {"weights": Derived(MeanGate(), (gates,))})
