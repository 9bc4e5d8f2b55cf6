"""Fusions of predictions: each input makes one of its own, and they are combined.

Model level («hybrid») has one more member, the prediction from the fused vector. All members are
trained together by the loss of the combined prediction, so that a model has one output per head
with any fusion. A loss for each member would need outputs of its own, with targets, weights,
metrics and served keys that the heads of a configuration do not describe.
"""

from functools import partial
from typing import Any, Literal, NamedTuple, assert_never

import keras
from keras import layers

from multimodal_tf.config import FUSED, DecisionFusion, Head, HybridFusion
from multimodal_tf.models import heads
from multimodal_tf.models.fusion.pooling import InputScores, PresentMean, PresentSoftmax
from multimodal_tf.models.fusion.probabilities import (
    AllWhereNonePresent,
    LogitsOfPredictions,
    MaximumOfPredictions,
    ProductOfPredictions,
)
from multimodal_tf.models.fusion.vectors import Present, Stack, WeightedVectorSum, stacked_flags
from multimodal_tf.models.intermediate_outputs import Outputs
from multimodal_tf.models.presence import LearnedMissingEmbedding, ZeroWhereMissing

# Keras tensors by member: an input, or `fused`
_ByMember = dict[str, keras.KerasTensor]


class Decision(NamedTuple):
    """What `decide` returns.

    Attributes:
        prediction: as `models.heads.output`.
        explanations: Keras tensors by name; see `models.build.explanations`.
    """

    prediction: keras.KerasTensor
    explanations: Outputs


def decide(
    fusion: DecisionFusion | HybridFusion,
    head: Head,
    stats: Any,
    vectors: _ByMember,
    present: Present,
    any_present: keras.KerasTensor | None,
    name: str,
) -> Decision:
    """One head's prediction, combined from those of several members.

    Args:
        fusion: its configuration.
        head, stats: as `models.heads.output`.
        vectors: `(batch, dim)` by member: an input, or `fused`.
        present: float32 `(batch,)` by member, 1 or 0; empty if the model has no presence inputs.
            Only present members count, unless a learned vector replaces a missing one.
        any_present: float32 `(batch,)`, 1 where any input is present, or None without presence.
            Where it is 0, the prediction is the prior.
        name: of the head. A member's prediction is in the layer `{name}_from_{member}`.

    Returns:
        The combined prediction. It explains the members' predictions, `{name}_from_{member}`, and
        their learned weights, `{name}_weights`.

    Raises:
        ValueError: product or maximum of predictions that are no probabilities.

    Source: mean and maximum: Kittler et al. 1998, «On Combining Classifiers»; product: Hinton 2002;
    stacking: Wolpert 1992, «Stacked Generalization», over probabilities as Ting and Witten 1999,
    «Issues in Stacked Generalization», here trained together with the members; weights: Stone 1961,
    «The Opinion Pool»; both levels at once: Baltrušaitis et al. 2019, arXiv:1705.09406, section 6.1
    («hybrid»).
    """
    if fusion.missing == "learned":
        vectors, present = _with_missing_embeddings(vectors, present, name), {}
    members = {
        member: _member(fusion, head, stats, x, f"{name}_from_{member}")
        for member, x in vectors.items()
    }
    explained = {f"{name}_from_{member}": one for member, one in members.items()}
    flags = stacked_flags(members, present, f"{name}_members")
    if fusion.combine == "stacking":
        x = _stacked(head, stats, members, flags, name)
        return Decision(heads.output(head, stats, x, name, any_present), explained)
    x = Stack(name=f"{name}_members", dtype="float32")(list(members.values()))
    if flags is not None:
        flags = AllWhereNonePresent(name=f"{name}_members_present", dtype="float32")(flags)
    last = name if any_present is None else f"{name}_combined"
    combined, weights = _combine(fusion.combine, head, x, flags, name, last)
    if any_present is not None:
        combined = heads.with_prior(head, stats, combined, any_present, name)
    return Decision(combined, {**weights, **explained})


def _with_missing_embeddings(vectors: _ByMember, present: Present, name: str) -> _ByMember:
    return vectors | {
        own: LearnedMissingEmbedding(name=f"{name}_{own}_missing_vector")(vectors[own], flag)
        for own, flag in present.items()
        if own != FUSED
    }


def _member(
    fusion: DecisionFusion | HybridFusion, head: Head, stats: Any, x: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    if fusion.dropout > 0:
        x = layers.Dropout(fusion.dropout, name=f"{name}_dropout")(x)
    return heads.output(head, stats, x, name)


def _combine(
    combine: Literal["mean", "weights", "product", "maximum"],
    head: Head,
    x: keras.KerasTensor,
    flags: keras.KerasTensor | None,
    name: str,
    last: str,
) -> Decision:
    """The members' predictions `(batch, members, numbers)`, combined in a layer called `last`."""
    if combine in ("product", "maximum") and head.target_type == "number":
        raise ValueError(
            f"heads.{name}: the combined predictions must be probabilities, received a {head.type}"
        )
    independent = head.target_type == "classes"
    match combine:
        case "mean":
            return Decision(PresentMean(name=last, dtype="float32")(x, flags), {})
        case "weights":
            scores = InputScores(name=f"{name}_scores", dtype="float32")(x)
            weights = PresentSoftmax(name=f"{name}_weights", dtype="float32")(scores, flags)
            total = WeightedVectorSum(name=last, dtype="float32")(x, weights)
            return Decision(total, {f"{name}_weights": weights})
        case "product":
            product = ProductOfPredictions(independent, name=last, dtype="float32")
            return Decision(product(x, flags), {})
        case "maximum":
            maximum = MaximumOfPredictions(independent, name=last, dtype="float32")
            return Decision(maximum(x, flags), {})
        case _:
            assert_never(combine)


def _stacked(
    head: Head, stats: Any, members: _ByMember, flags: keras.KerasTensor | None, name: str
) -> keras.KerasTensor:
    """The members' predictions side by side, 0 where one is missing, and their flags.

    Probabilities are read as logits: a Dense layer over numbers between 0 and 1 would learn much
    more slowly. Numbers are read in standard deviations, so that they are about as large as the
    flags.
    """
    if stats.type == "moments":
        mean = stats.mean - stats.centre
        scaled = partial(layers.Rescaling, 1 / stats.std, offset=-mean / stats.std, dtype="float32")
        members = {
            member: scaled(name=f"{name}_from_{member}_scaled")(one)
            for member, one in members.items()
        }
    x = Stack(name=f"{name}_members", dtype="float32")(list(members.values()))
    if stats.type == "classes":
        independent = head.target_type == "classes"
        x = LogitsOfPredictions(independent, name=f"{name}_members_logits", dtype="float32")(
            x, flags
        )
    elif flags is not None:
        x = ZeroWhereMissing(name=f"{name}_members_present", dtype="float32")(x, flags)
    x = layers.Flatten(name=f"{name}_members_flat", dtype="float32")(x)
    if flags is None:
        return x
    return layers.Concatenate(name=f"{name}_members_and_flags", dtype="float32")([x, flags])
