"""How the towers' vectors, tokens or predictions meet."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveInt

from multimodal_tf.config.names import Fraction, Strict


class _Fusion(Strict):
    """What all have in common.

    With `presence`, an absent input has no influence, and no gradient flows to it. Without, the
    model has no presence inputs, and all inputs count as there. `modality_dropout` is the share of
    rows in which training treats a present input as absent, so that no input learns to lean on the
    others (Neverova et al. 2015); drawn for each input by itself, so that a row may lose all of
    them. `missing` "learned": a learned vector takes an absent input's place and counts as a present
    one's does; where nothing is there, the prior answers all the same.
    """

    type: str
    presence: bool = True
    modality_dropout: Fraction = 0.0
    missing: Literal["zero", "learned"] = "zero"

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        if self.modality_dropout and not self.presence:
            raise ValueError(
                f"fusion.modality_dropout needs fusion.presence, received {self.modality_dropout} with presence false"
            )
        if self.missing == "learned" and not self.presence:
            raise ValueError(
                "fusion.missing 'learned' needs fusion.presence, received presence false"
            )
        return self


class _OneVector(_Fusion):
    """Feature level: one vector comes out, on which `dropout` acts and then Dense layers of
    `hidden` units, each with dropout again.
    """

    hidden: list[PositiveInt] = []
    dropout: Fraction = 0.5


class _Equal(_OneVector):
    """The vectors are first projected to `dim` numbers each, by a Dense layer of their own."""

    dim: PositiveInt = 128


class _Blocks(_Equal):
    """Blocks of attention over vectors or tokens of `dim` numbers; `mlp_units` is the width between
    a block's two Dense layers.
    """

    heads: PositiveInt = 4
    mlp_units: PositiveInt = 256
    block_dropout: Fraction = 0.1

    @pydantic.model_validator(mode="after")
    def _heads_divide(self):
        if self.dim % self.heads:
            raise ValueError(
                f"fusion.heads must divide fusion.dim ({self.dim}), received {self.heads}"
            )
        return self


# --- feature level (`models.fusion.simple`)


class ConcatenationFusion(_OneVector):
    """The towers' vectors side by side, then Dense layers, if any. Without any, each head adds up
    what each input says, which suits small tables. An absent input's vector is zero, and with
    `presence` and no learned vectors in their place the flags are concatenated too.
    """

    type: Literal["concatenation"] = "concatenation"


class SumFusion(_Equal):
    """The sum of the vectors that are there."""

    type: Literal["sum"] = "sum"


class MeanFusion(_Equal):
    """The mean of the vectors that are there."""

    type: Literal["mean"] = "mean"


class ProductFusion(_Equal):
    """The product, number by number, of the vectors that are there."""

    type: Literal["product"] = "product"


class WeightedSumFusion(_Equal):
    """A weighted sum of the vectors that are there; one learned weight an input, the same in all
    rows (Peters et al. 2018).
    """

    type: Literal["weighted_sum"] = "weighted_sum"


# --- weights that a row's own vectors give (`models.fusion.gates`)


class AttentionFusion(_Equal):
    """A weighted sum whose weights a small network reads from each vector (Ilse et al. 2018)."""

    type: Literal["attention"] = "attention"


class GatedFusion(_Equal):
    """Gated multimodal unit: a gate for each number of each input, read from all inputs (Arevalo et
    al. 2017).
    """

    type: Literal["gated"] = "gated"


# --- products of several vectors (`models.fusion.tensors`)


class BilinearFusion(_Equal):
    """A learned bilinear form of every two inputs (Tenenbaum and Freeman 2000); its weights grow
    with the cube of `dim`.
    """

    type: Literal["bilinear"] = "bilinear"
    dim: PositiveInt = 32


class LowRankTensorFusion(_OneVector):
    """A linear map of the product of all inputs, as a sum of `rank` simple ones (Liu et al. 2018);
    `dim` numbers come out.
    """

    type: Literal["low_rank_tensor"] = "low_rank_tensor"
    dim: PositiveInt = 64
    rank: PositiveInt = 4


# --- attention between inputs (`models.fusion.transformers`)


class SelfAttentionFusion(_Blocks):
    """`depth` blocks of self-attention over one token an input, its vector, and a learned one,
    which becomes the fused vector.
    """

    type: Literal["self_attention"] = "self_attention"
    depth: PositiveInt = 1


class BottleneckFusion(_Blocks):
    """The inputs' tokens see each other through a few shared tokens only, the `bottlenecks`
    (Nagrani et al. 2021).
    """

    type: Literal["bottleneck"] = "bottleneck"
    dim: PositiveInt = 64
    mlp_units: PositiveInt = 128
    depth: PositiveInt = 2
    bottlenecks: PositiveInt = 4


class CrossModalFusion(_Blocks):
    """Each input's tokens look at each other input's, pair by pair, in `depth` blocks, then at
    themselves (Tsai et al. 2019).

    Cost grows with the square of the number of inputs.
    """

    type: Literal["cross_modal"] = "cross_modal"
    dim: PositiveInt = 64
    mlp_units: PositiveInt = 128
    depth: PositiveInt = 1


def _of_a_type(fields):
    """`type` may be left out of a concatenation."""
    return (
        fields | {"type": "concatenation"}
        if isinstance(fields, dict) and "type" not in fields
        else fields
    )


FeatureFusion = Annotated[
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
    | CrossModalFusion,
    Field(discriminator="type"),
    pydantic.BeforeValidator(_of_a_type),
]


# --- decision and model level (`models.fusion.decision`)


class _Predictions(_Fusion):
    """Each input predicts by itself; `dropout` acts on its vector before. `combine` is over the
    inputs that are there.

    "weights": one learned weight an input, the same in all rows. "stacking": another head reads the
    logits of all answers (of a number, the answers), zeros where an input is absent, and which
    inputs are there.
    """

    dropout: Fraction = 0.5
    combine: Literal["mean", "weights", "product", "maximum", "stacking"] = "mean"


class DecisionFusion(_Predictions):
    """Decision level: the answer combines each input's own prediction. There is no fused vector."""

    type: Literal["decision"] = "decision"


class HybridFusion(_Predictions):
    """Model level: a prediction of each input and one of the vector that `over` fuses, trained
    together; the answer combines them all.

    Whether there are presence inputs, and modality dropout, is said here and not in `over`.
    `absent` is about the inputs' own predictions, `over.missing` about the fused vector.
    """

    type: Literal["hybrid"] = "hybrid"
    over: FeatureFusion = ConcatenationFusion()

    @pydantic.model_validator(mode="after")
    def _said_once(self):
        if self.over.modality_dropout:
            raise ValueError(
                f"fusion.over.modality_dropout must be given as fusion.modality_dropout, received {self.over.modality_dropout}"
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
    | DecisionFusion
    | HybridFusion,
    Field(discriminator="type"),
    pydantic.BeforeValidator(_of_a_type),
]

# heads that answer numbers
_NO_PROBABILITIES = ("regression", "quantile")


def check_fusion(fusion, heads):
    """Whether the heads can be answered in the way that the fusion combines predictions.

    Args:
        fusion: `Fusion`.
        heads: dict of name to `Head`.

    Raises:
        ValueError: product or maximum of a number's predictions, or a head that needs the fused
        vector where there is none.
    """
    for name, head in heads.items():
        combine = getattr(fusion, "combine", None)
        if combine in ("product", "maximum") and head.type in _NO_PROBABILITIES:
            raise ValueError(
                f"fusion.combine must be mean, weights or stacking, since heads.{name} is a {head.type} and gives no probabilities, "
                f"received {combine!r}"
            )
        if fusion.type == "decision" and head.type == "embedding":
            raise ValueError(
                f"fusion.type must give a fused vector for the embedding heads.{name}, such as 'hybrid', received 'decision'"
            )
