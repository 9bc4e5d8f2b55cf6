"""Fusions of predictions: each input answers by itself, and the answers are combined.

Model level («hybrid») is the same with one more member, the prediction from the fused vector: all
heads are trained together by the loss of their combined answer, so that a model has one output a
task, whatever its fusion. A loss of each member's own would need outputs of its own, with targets,
weights, metrics and served keys that no reader of `config.heads` expects.
"""

from functools import partial

import keras
from keras import layers, ops

from multimodal_tf.config import FUSED
from multimodal_tf.models import heads
from multimodal_tf.models.fusion.simple import InputScores, PresentMean, PresentSoftmax
from multimodal_tf.models.fusion.vectors import Stack, WeightedVectorSum, stacked_flags
from multimodal_tf.models.presence import LearnedMissingEmbedding, ZeroWhereAbsent

# a probability below it counts as it; of classes that are not independent, so that a wrong answer,
# however sure, learns
_LEAST = 1e-30
# of yes and no, as in Keras' losses: nearer to 1 float32 has only steps of it
_LEAST_OF_TWO = 1e-7


@keras.saving.register_keras_serializable("multimodal_tf")
class EveryoneWhereNobody(layers.Layer):
    """Presence, but all inputs count where none is there: the combined answer is then what the
    members say without any input.

    Call:
        `present` is float `(batch, inputs)`, 1 or 0. Returns the same shape.

    Example:
        >>> EveryoneWhereNobody()(ops.convert_to_tensor([[1.0, 0.0], [0.0, 0.0]])).numpy().tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """

    def call(self, present):
        nobody = ops.max(present, axis=1, keepdims=True) <= 0.5
        return ops.where(nobody, ops.ones_like(present), present)

    def compute_output_shape(self, shape):
        return shape


class _OfPredictions(layers.Layer):
    """A combination of probabilities.

    Args:
        independent: bool. Each class is a yes or no of its own, as of a multi-label head; False:
            the classes' probabilities add up to 1.

    Call:
        `p` is `(batch, inputs, classes)`, `present` float `(batch, inputs)`, 1 or 0, or None: all
        are there; one at least in each row. Where it is 0, `p` may be NaN. Returns `(batch,
        classes)`.
    """

    def __init__(self, independent=False, **kwargs):
        super().__init__(**kwargs)
        self.independent = independent

    def compute_output_shape(self, p_shape, present_shape=None):
        return (p_shape[0], p_shape[2])

    def get_config(self):
        return super().get_config() | {"independent": self.independent}


def _chosen(p, present, instead):
    return (
        p
        if present is None
        else ops.where(ops.expand_dims(present > 0.5, -1), p, ops.full_like(p, instead))
    )


def _logits(p, present, independent):
    p = _chosen(p, present, 0.5)
    logits = ops.log(ops.maximum(p, _LEAST_OF_TWO if independent else _LEAST))
    if independent:
        logits = logits - ops.log(ops.maximum(1 - p, _LEAST_OF_TWO))
    return _chosen(logits, present, 0.0)


@keras.saving.register_keras_serializable("multimodal_tf")
class LogitsOfPredictions(_OfPredictions):
    """The logarithms of the probabilities; of independent classes, that of yes against no. 0 where
    a member is absent.

    Args: see `_OfPredictions`.

    Call:
        As there, but nobody needs to be there. Returns `p`'s shape.

    Example:
        >>> LogitsOfPredictions(independent=True)(ops.array([[[0.5], [0.75]]])).numpy().astype(float).round(2).tolist()
        [[[0.0], [1.1]]]
    """

    def call(self, p, present=None):
        return _logits(p, present, self.independent)

    def compute_output_shape(self, p_shape, present_shape=None):
        return p_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class ProductOfPredictions(_OfPredictions):
    """The product of the probabilities, brought back to 1; of independent classes, that of yes
    against that of no.

    Args, Call: see `_OfPredictions`.

    Example:
        >>> p = ops.convert_to_tensor([[[0.5, 0.5], [0.2, 0.8]]])
        >>> [f"{one:.2f}" for one in ProductOfPredictions()(p)[0]]
        ['0.20', '0.80']

    Source: Hinton 2002, «Training Products of Experts by Minimizing Contrastive Divergence»,
    equation 1.
    """

    def call(self, p, present=None):
        logits = ops.sum(_logits(p, present, self.independent), axis=1)
        # Keras' activation, behind which its losses find the logits
        return (
            keras.activations.sigmoid(logits)
            if self.independent
            else keras.activations.softmax(logits)
        )


@keras.saving.register_keras_serializable("multimodal_tf")
class MaximumOfPredictions(_OfPredictions):
    """The largest probability of each class, divided by their sum unless the classes are
    independent.

    Args, Call: see `_OfPredictions`.

    Example:
        >>> p = ops.convert_to_tensor([[[0.5, 0.5], [0.25, 0.75]]])
        >>> [f"{one:.2f}" for one in MaximumOfPredictions()(p)[0]]
        ['0.40', '0.60']

    Source: Kittler et al. 1998, «On Combining Classifiers», section 3.
    """

    def call(self, p, present=None):
        largest = ops.max(_chosen(p, present, 0.0), axis=1)
        return largest if self.independent else largest / ops.sum(largest, axis=1, keepdims=True)


def decide(fusion, head, stats, vectors, present, any_present, name):
    """One head's answer out of each input's own.

    Args:
        fusion: `config.DecisionFusion` or `HybridFusion`.
        head, learned: as `models.heads.output` says.
        vectors: dict of member (an input, or `fused`) to `(batch, dim)`.
        present: dict of member to float32 `(batch,)`, 1 or 0; empty if the model has no presence
            inputs. Only members that are there count, unless a learned vector stands in for them.
        anyone: float32 `(batch,)`, 1 where any input is there, or None without presence. Where it
        is 0, the answer is the prior.
        name: str. The head's; a member's own answer is in the layer `{name}_from_{member}`, learned
        weights are in `{name}_weights`.

    Returns:
        As `models.heads.output`. With "stacking", another head reads the members' logits or
        numbers, zeros where one is absent, and flags.

    Raises:
        ValueError: product or maximum of what are no probabilities.

    Source: mean and maximum: Kittler et al. 1998, «On Combining Classifiers»; product: Hinton 2002;
    stacking: Wolpert 1992, «Stacked Generalization», over probabilities as Ting and Witten 1999,
    «Issues in Stacked Generalization», here trained together with the members;
    weights: Stone 1961, «The Opinion Pool»; both levels at once: Baltrušaitis et al. 2019,
    arXiv:1705.09406, section 6.1 («hybrid»).
    """
    if fusion.missing == "learned":
        known = {own: flag for own, flag in present.items() if own != FUSED}
        vectors = vectors | {
            own: LearnedMissingEmbedding(name=f"{name}_{own}_stand_in")(vectors[own], flag)
            for own, flag in known.items()
        }
        present = {}
    answers = {
        member: _own(fusion, head, stats, x, f"{name}_from_{member}")
        for member, x in vectors.items()
    }
    flags = stacked_flags(answers, present, f"{name}_members")
    if fusion.combine == "stacking":
        return heads.output(
            head, stats, _stacked(head, stats, answers, flags, name), name, any_present
        )
    x = Stack(name=f"{name}_members", dtype="float32")(list(answers.values()))
    if any_present is None:
        return _COMBINED[fusion.combine](head, x, None, name, name)
    if flags is not None:
        flags = EveryoneWhereNobody(name=f"{name}_members_present", dtype="float32")(flags)
    return heads.with_prior(
        head,
        stats,
        _COMBINED[fusion.combine](head, x, flags, name, f"{name}_combined"),
        any_present,
        name,
    )


def _own(fusion, head, stats, x, name):
    if fusion.dropout > 0:
        x = layers.Dropout(fusion.dropout, name=f"{name}_dropout")(x)
    return heads.output(head, stats, x, name)


def _mean(head, x, flags, name, last):
    return PresentMean(name=last, dtype="float32")(x, flags)


def _weighted(head, x, flags, name, last):
    scores = InputScores(name=f"{name}_scores", dtype="float32")(x)
    weights = PresentSoftmax(name=f"{name}_weights", dtype="float32")(scores, flags)
    return WeightedVectorSum(name=last, dtype="float32")(x, weights)


def _of_probabilities(layer, head, x, flags, name, last):
    if head.target_type == "number":
        raise ValueError(
            f"heads.{name}: the combined answers must be probabilities, received a {head.type}"
        )
    return layer(head.target_type == "classes", name=last, dtype="float32")(x, flags)


_COMBINED: dict = {
    "mean": _mean,
    "weights": _weighted,
    "product": partial(_of_probabilities, ProductOfPredictions),
    "maximum": partial(_of_probabilities, MaximumOfPredictions),
}


def _stacked(head, stats, answers, flags, name):
    """The members' answers side by side, 0 where one is absent, and their presence.

    Probabilities are read as logits: a Dense layer on what lies between 0 and 1 would learn much
    more slowly. Numbers are read in standard deviations, so that they are about as large as the
    flags.
    """
    if stats.type == "moments":
        scaled = partial(
            layers.Rescaling, 1 / stats.std, offset=-stats.mean / stats.std, dtype="float32"
        )
        answers = {
            member: scaled(name=f"{name}_from_{member}_scaled")(answer)
            for member, answer in answers.items()
        }
    x = Stack(name=f"{name}_members", dtype="float32")(list(answers.values()))
    if stats.type == "classes":
        x = LogitsOfPredictions(
            head.target_type == "classes", name=f"{name}_members_logits", dtype="float32"
        )(x, flags)
    elif flags is not None:
        x = ZeroWhereAbsent(name=f"{name}_members_present", dtype="float32")(x, flags)
    x = layers.Flatten(name=f"{name}_members_flat", dtype="float32")(x)
    return (
        x
        if flags is None
        else layers.Concatenate(name=f"{name}_members_and_flags", dtype="float32")([x, flags])
    )
