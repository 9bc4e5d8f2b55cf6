"""How much the loss of each head counts in the total."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from multimodal_tf.config.names import Strict


class FixedWeights(Strict):
    """As the heads' own `weight`s say."""

    type: Literal["fixed"] = "fixed"


class UncertaintyWeights(Strict):
    """Learned with the model: a head whose loss stays high counts less. The heads' `weight`s are
    multiplied in.

    A loss counts as `exp(-s) loss + s / 2`, a squared error as half of `exp(-s) loss`, with a
    learned `s` of its own, the logarithm of a
    variance: `model.log_variances`, by head. Source: Kendall et al. 2018, arXiv:1705.07115.
    """

    type: Literal["uncertainty"] = "uncertainty"


class GradNormWeights(Strict):
    """Adjusted in every step so that heads pull equally hard on the vector that they share, and
    harder those that learn more slowly (Chen et al. 2018, arXiv:1711.02257, as
    `models.loss_weighting.GradNormWeighted` says).

    The heads' `weight`s are where they start; `model.task_weights` `(heads,)` is where they are, in
    the order of `model.heads`. Of a hybrid fusion the gradient through its fused vector counts
    alone.
    """

    type: Literal["gradnorm"] = "gradnorm"
    # how much harder the slow ones pull; 0: all equally
    alpha: NonNegativeFloat = 1.5
    # how fast the weights move
    rate: PositiveFloat = 0.025


LossWeighting = Annotated[
    FixedWeights | UncertaintyWeights | GradNormWeights, Field(discriminator="type")
]


def check_loss_weighting(loss_weighting, heads, fusion, vectors):
    """Whether learned weights have something to weigh.

    Raises:
        ValueError: they have not.
    """
    learning = {name: head for name, head in heads.items() if head.type != "embedding"}
    if loss_weighting.type == "fixed":
        return
    if len(learning) < 2:
        raise ValueError(
            f"loss_weighting: {loss_weighting.type} weighs two heads or more against each other, received {list(learning)}"
        )
    idle = next((name for name, head in learning.items() if head.weight == 0), None)
    if idle is not None:
        raise ValueError(
            f"loss_weighting: {loss_weighting.type} needs heads of a weight above 0, received 0 for heads.{idle}.weight"
        )
    if loss_weighting.type == "gradnorm":
        _check_shared(heads, fusion, vectors)


def _check_shared(heads, fusion, vectors):
    if fusion.type == "decision":
        raise ValueError(
            "loss_weighting: gradnorm needs a fusion with a vector that all heads share, such as 'hybrid', received 'decision'"
        )
    pair = next((name for name, head in heads.items() if head.type == "matching"), None)
    if pair is not None:
        raise ValueError(
            f"loss_weighting: gradnorm needs heads on the fused vector, received the matching head {pair!r}"
        )
    read = {name: head.inputs for name, head in heads.items()}
    if len({frozenset(inputs or vectors) for inputs in read.values()}) > 1:
        raise ValueError(
            f"loss_weighting: gradnorm needs heads that read the same inputs, received {read}"
        )
