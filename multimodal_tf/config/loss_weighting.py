"""How much the loss of each head counts in the total."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from multimodal_tf.config.fusion import Fusion, feature_fusion
from multimodal_tf.config.heads import Head, with_loss
from multimodal_tf.config.names import NonNegative, Positive, Strict


class FixedWeights(Strict):
    """The heads' own `weight`s."""

    type: Literal["fixed"] = "fixed"


class UncertaintyWeights(Strict):
    """Learned with the model: a head whose loss stays high counts less.

    A loss counts as `exp(-s) loss + s / 2`, a squared error as half of `exp(-s) loss`, where `s` is
    a learned logarithm of a variance: `model.log_variances`, by head. The heads' `weight`s multiply
    the whole. Source: Kendall et al. 2018, arXiv:1705.07115.
    """

    type: Literal["uncertainty"] = "uncertainty"


class GradNormWeights(Strict):
    """Adjusted in every step so that all heads train at similar rates (Chen et al. 2018).

    The gradients of the heads' losses on their shared vector are kept equally long, longer for
    heads that learn more slowly (`models.loss_weighting.GradNormWeighted`; arXiv:1711.02257). The
    heads' `weight`s are the initial weights. `model.task_weights` `(heads,)` has the current ones,
    in the order of `model.heads`. In a hybrid fusion only the gradient through the fused vector
    counts.
    """

    type: Literal["gradnorm"] = "gradnorm"
    # how strongly slower heads are favoured; 0: not at all
    alpha: NonNegative = 1.5
    # step size of the weights
    rate: Positive = 0.025


LossWeighting = Annotated[
    FixedWeights | UncertaintyWeights | GradNormWeights, Field(discriminator="type")
]


def check_loss_weighting(
    loss_weighting: LossWeighting, heads: Mapping[str, Head], fusion: Fusion, vectors: list[str]
) -> None:
    """Checks that learned weights have two or more losses to weigh against each other.

    Args:
        loss_weighting: how losses are weighted.
        heads: heads by name.
        fusion: the fusion.
        vectors: names of the vectors that the fusion reads, `Config.vectors()`.

    Raises:
        ValueError: there are fewer than two losses, a loss has weight 0, or GradNorm finds no
            vector that all heads share.
    """
    if isinstance(loss_weighting, FixedWeights):
        return
    learning = with_loss(heads)
    if len(learning) < 2:
        raise ValueError(
            f"loss_weighting: {loss_weighting.type} weighs two heads or more against each other, "
            f"received {list(learning)}"
        )
    idle = next((name for name, head in learning.items() if head.weight == 0), None)
    if idle is not None:
        raise ValueError(
            f"loss_weighting: {loss_weighting.type} needs heads of a weight above 0, "
            f"received 0 for heads.{idle}.weight"
        )
    if isinstance(loss_weighting, GradNormWeights):
        _check_shared(heads, fusion, vectors)


def _check_shared(heads: Mapping[str, Head], fusion: Fusion, vectors: list[str]) -> None:
    if feature_fusion(fusion) is None:
        raise ValueError(
            "loss_weighting: gradnorm needs a fusion with a vector that all heads share, "
            "such as 'hybrid', received 'decision'"
        )
    other = next((name for name, head in with_loss(heads).items() if not head.reads_fused), None)
    if other is not None:
        reads = "compares two" if heads[other].compares_inputs else "rereads its"
        raise ValueError(
            "loss_weighting: gradnorm needs heads on the fused vector, "
            f"received {other!r}, which {reads} inputs"
        )
    read = {name: head.inputs for name, head in heads.items()}
    if len({frozenset(inputs or vectors) for inputs in read.values()}) > 1:
        raise ValueError(
            f"loss_weighting: gradnorm needs heads that read the same inputs, received {read}"
        )
