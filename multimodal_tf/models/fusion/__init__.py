"""Fusions: functions over Keras tensors from encodings and presence flags to one vector.

Sum, mean, product and attention do not depend on the order of the inputs. Where an input is
missing, its vector and tokens are zero already, with zero gradient (`models.input_layers`); the
fusions leave it out of sums, means, products, softmaxes and masks. The layers can also be used by
hand.
"""

from typing import assert_never

from multimodal_tf.config import (
    FUSED,
    AttentionFusion,
    BilinearFusion,
    BottleneckFusion,
    ConcatenationFusion,
    CrossModalFusion,
    FeatureFusion,
    GatedFusion,
    LowRankTensorFusion,
    MeanFusion,
    ProductFusion,
    SelfAttentionFusion,
    SumFusion,
    WeightedSumFusion,
)
from multimodal_tf.models.fusion import gates, pooling, tensors, transformers
from multimodal_tf.models.fusion.explanations import Fused
from multimodal_tf.models.fusion.vectors import Encodings, Present, with_missing_embeddings


def fuse(fusion: FeatureFusion, encodings: Encodings, present: Present, name: str = FUSED) -> Fused:
    """One vector from several inputs.

    Args:
        fusion: a feature-level fusion of `config.fusion`.
        encodings: `Encoding` by input, zero where it is missing; with tokens and masks if
            `fusion.reads_tokens`.
        present: float32 `(batch,)` by input, 1 or 0; empty if the model has no presence inputs:
            then all count as present.
        name: of the last layer. The names of the others begin with it, so that one model can have
            several fusions.

    Returns:
        `Fused`: the vector `(batch, dim)`, finite also where every input is missing, and what
        explains it.

    Example:
        >>> import keras
        >>> from multimodal_tf.models.towers.encoding import Encoding
        >>> inputs = {"photo": keras.Input((8,)), "title": keras.Input((4,))}
        >>> encodings = {name: Encoding(None, None, vector) for name, vector in inputs.items()}
        >>> fuse(SumFusion(dim=16), encodings, {}).vector.shape
        (None, 16)
    """
    if fusion.missing == "learned":
        encodings, present = with_missing_embeddings(encodings, present, name), {}
    inputs = encodings, present, name
    match fusion:
        case ConcatenationFusion():
            return pooling.concatenation(fusion, *inputs)
        case SumFusion():
            return pooling.vector_sum(fusion, *inputs)
        case MeanFusion():
            return pooling.mean(fusion, *inputs)
        case ProductFusion():
            return pooling.product(fusion, *inputs)
        case WeightedSumFusion():
            return pooling.weighted_sum(fusion, *inputs)
        case AttentionFusion():
            return gates.attention(fusion, *inputs)
        case GatedFusion():
            return gates.gated(fusion, *inputs)
        case BilinearFusion():
            return tensors.bilinear(fusion, *inputs)
        case LowRankTensorFusion():
            return tensors.low_rank_tensor(fusion, *inputs)
        case SelfAttentionFusion():
            return transformers.self_attention(fusion, *inputs)
        case BottleneckFusion():
            return transformers.bottleneck(fusion, *inputs)
        case CrossModalFusion():
            return transformers.cross_modal(fusion, *inputs)
        case _:
            assert_never(fusion)
