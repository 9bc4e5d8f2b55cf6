"""Named encodings and presence flags -> one vector. The layers can be used by hand; `fuse` is what
a configuration makes of them.

Symmetric: sum, mean and product do not depend on the order of what they are given, nor does
attention. Where an input is absent its vector and tokens are zero already, with zero gradient
(`models.input_layers`); here it is left out of sums, means, products, softmaxes and masks.
"""

from multimodal_tf.config import (
    FUSED,
    AttentionFusion,
    BilinearFusion,
    BottleneckFusion,
    ConcatenationFusion,
    CrossModalFusion,
    GatedFusion,
    LowRankTensorFusion,
    MeanFusion,
    ProductFusion,
    SelfAttentionFusion,
    SumFusion,
    WeightedSumFusion,
)
from multimodal_tf.models.fusion import gates, simple, tensors, transformers
from multimodal_tf.models.fusion.vectors import with_missing_embeddings

FUSIONS: dict = {
    ConcatenationFusion: simple.concatenation,
    SumFusion: simple.total,
    MeanFusion: simple.mean,
    ProductFusion: simple.product,
    WeightedSumFusion: simple.weighted_sum,
    AttentionFusion: gates.attention,
    GatedFusion: gates.gated,
    BilinearFusion: tensors.bilinear,
    LowRankTensorFusion: tensors.low_rank_tensor,
    SelfAttentionFusion: transformers.self_attention,
    BottleneckFusion: transformers.bottleneck,
    CrossModalFusion: transformers.cross_modal,
}


def fuse(fusion, encodings, present, name=FUSED):
    """One vector out of several inputs.

    Args:
        fusion: a feature-level fusion of `config.fusion`.
        encodings: dict of name to `Encoding`, zero where the input is absent; with tokens and masks
        if `reads_tokens(fusion)`.
        present: dict of name to float32 `(batch,)`, 1 or 0; empty if the model has no presence
        inputs: then all count as there.
        name: str. The last layer is called this, the others begin with it, so that several fusions
        find room in one model.

    Returns:
        `(batch, dim)`, finite also where every input is absent.

    Example:
        >>> import keras
        >>> from multimodal_tf.models.towers.encoding import Encoding
        >>> inputs = {"photo": keras.Input((8,)), "title": keras.Input((4,))}
        >>> encodings = {name: Encoding(None, None, vector) for name, vector in inputs.items()}
        >>> fuse(SumFusion(dim=16), encodings, {}).shape
        (None, 16)
    """
    if fusion.missing == "learned":
        encodings, present = with_missing_embeddings(encodings, present, name), {}
    return FUSIONS[type(fusion)](fusion, encodings, present, name)


def reads_tokens(fusion):
    """Whether the fusion reads the towers' tokens, and not their vectors alone."""
    return isinstance(getattr(fusion, "over", fusion), BottleneckFusion | CrossModalFusion)
