"""Fusions: how the towers' vectors, tokens or predictions are combined."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads import Head
from multimodal_tf.config.names import (
    AttentionHeads,
    Depth,
    Fraction,
    MLPWidth,
    Span,
    Strict,
    Width,
)


class _Fusion(Strict):
    """What all fusions have in common.

    With `presence`, a missing input has no influence, and no gradient flows to it. Without, the
    model has no presence inputs, and all inputs count as present. `modality_dropout` is the share
    of rows in which training treats a present input as missing, so that no input depends on the
    others (Neverova et al. 2015). It is drawn for each input independently, so a row may lose all
    of them. With `missing` "learned", a learned vector replaces that of a missing input and counts
    as a present one. A row without any input gets the prior all the same.
    """

    # whether it reads the towers' tokens, and not only their vectors
    reads_tokens: ClassVar[bool] = False

    type: str
    presence: bool = True
    modality_dropout: Fraction = 0.0
    missing: Literal["zero", "learned"] = "zero"

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.modality_dropout and not self.presence:
            raise ValueError(
                "fusion.modality_dropout needs fusion.presence, "
                f"received {self.modality_dropout} with presence false"
            )
        if self.missing == "learned" and not self.presence:
            raise ValueError(
                "fusion.missing 'learned' needs fusion.presence, received presence false"
            )
        return self


class _OneVector(_Fusion):
    """Feature level: the output is one vector.

    `dropout` acts on it, then come Dense layers of `hidden` units, each followed by dropout.
    """

    hidden: Annotated[list[Width], Field(max_length=200)] = []
    dropout: Fraction = 0.5


class _Equal(_OneVector):
    """Each vector is first projected to `dim` numbers by a Dense layer of its own."""

    dim: Width = 128


class _Blocks(_Equal):
    """Blocks of attention over vectors or tokens of `dim` numbers.

    `mlp_units` is the width between a block's two Dense layers.
    """

    heads: AttentionHeads = 4
    mlp_units: MLPWidth = 256
    block_dropout: Fraction = 0.1

    @pydantic.model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(
                f"fusion.heads must divide fusion.dim ({self.dim}), received {self.heads}"
            )
        return self


# --- pooling (`models.fusion.pooling`)


class ConcatenationFusion(_OneVector):
    """The towers' vectors side by side, then Dense layers, if any.

    Without any Dense layer, a head is a sum over the inputs, which suits small tables. A missing
    input's vector is zero. With `presence` and no learned vectors, the flags are concatenated too.
    """

    type: Literal["concatenation"] = "concatenation"


class SumFusion(_Equal):
    """The sum of the vectors that are present."""

    type: Literal["sum"] = "sum"


class MeanFusion(_Equal):
    """The mean of the vectors that are present."""

    type: Literal["mean"] = "mean"


class ProductFusion(_Equal):
    """The elementwise product of the vectors that are present."""

    type: Literal["product"] = "product"


class WeightedSumFusion(_Equal):
    """A weighted sum of the vectors that are present.

    There is one learned weight per input, the same in all rows (Peters et al. 2018).
    """

    type: Literal["weighted_sum"] = "weighted_sum"


# --- weights that depend on the row (`models.fusion.gates`)


class AttentionFusion(_Equal):
    """A weighted sum whose weights a small network reads from each vector (Ilse et al. 2018)."""

    type: Literal["attention"] = "attention"


class GatedFusion(_Equal):
    """Gated multimodal unit: a gate for each number of each input (Arevalo et al. 2017).

    Every gate reads all inputs.
    """

    type: Literal["gated"] = "gated"


# --- products of several vectors (`models.fusion.tensors`)


class BilinearFusion(_Equal):
    """A learned bilinear form of every two inputs (Tenenbaum and Freeman 2000).

    The number of its weights grows with the cube of `dim`.
    """

    type: Literal["bilinear"] = "bilinear"
    dim: Width = 32


class LowRankTensorFusion(_OneVector):
    """A linear map of the product of all inputs, of rank `rank` (Liu et al. 2018).

    The output has `dim` numbers.
    """

    type: Literal["low_rank_tensor"] = "low_rank_tensor"
    dim: Width = 64
    rank: Width = 4


# --- attention between inputs (`models.fusion.transformers`)


class SelfAttentionFusion(_Blocks):
    """`depth` blocks of self-attention over one token per input, its vector, and a learned token.

    The learned token becomes the fused vector.
    """

    type: Literal["self_attention"] = "self_attention"
    depth: Depth = 1


class BottleneckFusion(_Blocks):
    """Attention between the inputs' tokens through a few shared tokens (Nagrani et al. 2021).

    `bottlenecks` is the number of shared tokens.
    """

    reads_tokens = True

    type: Literal["bottleneck"] = "bottleneck"
    dim: Width = 64
    mlp_units: MLPWidth = 128
    depth: Depth = 2
    bottlenecks: Span = 4


class CrossModalFusion(_Blocks):
    """Each input's tokens attend to those of each other input, then to themselves.

    Each pair of inputs has `depth` blocks (Tsai et al. 2019). Cost grows with the square of the
    number of inputs.
    """

    reads_tokens = True

    type: Literal["cross_modal"] = "cross_modal"
    dim: Width = 64
    mlp_units: MLPWidth = 128
    depth: Depth = 1


def _default_type(fields: Any) -> Any:
    """Adds the type of a concatenation, which may be left out."""
    if isinstance(fields, dict) and "type" not in fields:
        return fields | {"type": "concatenation"}
    return fields


_FeatureLevel = (
    ConcatenationFusion
    | SumFusion
    | MeanFusion
    | ProductFusion
    | WeightedSumFusion
    | AttentionFusion
    | GatedFusion
    | BilinearFusion
    | LowRankTensorFusion
    | SelfAttentionFusion
    | BottleneckFusion
    | CrossModalFusion
)
FeatureFusion = Annotated[
    _FeatureLevel, Field(discriminator="type"), pydantic.BeforeValidator(_default_type)
]


# --- decision and model level (`models.fusion.decision`)


class _Predictions(_Fusion):
    """Each input makes a prediction of its own, and `combine` joins those of the present inputs.

    `dropout` acts on an input's vector before its prediction. "weights": one learned weight per
    input, the same in all rows. "stacking": another head reads the logits of all predictions (the
    predictions themselves where they are numbers), zeros where an input is missing, and the
    presence flags.
    """

    dropout: Fraction = 0.5
    combine: Literal["mean", "weights", "product", "maximum", "stacking"] = "mean"

    @property
    def needs_probabilities(self) -> bool:
        """Whether `combine` is defined for probabilities only."""
        return self.combine in ("product", "maximum")


class DecisionFusion(_Predictions):
    """Decision level: the prediction combines those of the inputs. There is no fused vector."""

    type: Literal["decision"] = "decision"


class HybridFusion(_Predictions):
    """Model level: the prediction combines those of the inputs and one from a fused vector.

    `over` fuses the vector. All are trained together. `presence` and `modality_dropout` are given
    here and not in `over`. `missing` is about the inputs' own predictions, `over.missing` about the
    fused vector.
    """

    type: Literal["hybrid"] = "hybrid"
    over: FeatureFusion = ConcatenationFusion()

    @pydantic.model_validator(mode="after")
    def _given_once(self) -> Self:
        if self.over.modality_dropout:
            raise ValueError(
                "fusion.over.modality_dropout must be given as fusion.modality_dropout, "
                f"received {self.over.modality_dropout}"
            )
        if self.presence and not self.over.presence:
            raise ValueError(
                "fusion.over.presence must be given as fusion.presence, received false"
            )
        if self.over.missing == "learned" and not self.presence:
            raise ValueError(
                "fusion.over.missing 'learned' needs fusion.presence, received presence false"
            )
        return self


Fusion = Annotated[
    _FeatureLevel | DecisionFusion | HybridFusion,
    Field(discriminator="type"),
    pydantic.BeforeValidator(_default_type),
]


def feature_fusion(fusion: Fusion) -> FeatureFusion | None:
    """The fusion that makes the fused vector; None of a decision fusion, which has none.

    Example:
        >>> feature_fusion(HybridFusion(over=SumFusion())).type
        'sum'
    """
    match fusion:
        case DecisionFusion():
            return None
        case HybridFusion():
            return fusion.over
        case _:
            return fusion


def check_fusion(fusion: Fusion, heads: Mapping[str, Head]) -> None:
    """Checks that the fusion can combine the predictions of the heads.

    Args:
        fusion: the fusion.
        heads: heads by name.

    Raises:
        ValueError: product or maximum of predictions that are numbers, or a head that needs the
            fused vector where there is none.
    """
    for name, head in heads.items():
        if isinstance(fusion, DecisionFusion | HybridFusion):
            _check_probabilities(fusion, name, head)
        if isinstance(fusion, DecisionFusion) and head.needs_fused:
            raise ValueError(
                f"fusion.type must give a fused vector for the {head.type} heads.{name}, "
                "such as 'hybrid', received 'decision'"
            )


def _check_probabilities(fusion: DecisionFusion | HybridFusion, name: str, head: Head) -> None:
    if fusion.needs_probabilities and head.target_type == "number":
        raise ValueError(
            f"fusion.combine must be mean, weights or stacking, since heads.{name} is a "
            f"{head.type} and gives no probabilities, received {fusion.combine!r}"
        )
