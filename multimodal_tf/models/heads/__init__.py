"""The fused vector -> one answer a task, with each task's loss and metrics.

Losses keep Keras' reduction `sum_over_batch_size`: the weighted losses of all rows, divided by the
number of all rows. So a row of weight 0 adds nothing, a class weight means the same in every batch,
and any batching and any number of replicas give the same total. Keras' `mean_with_sample_weight`
divides by the batch's own sum of weights instead: class weights then cancel out in small batches
(entirely in a batch of one), and replicas whose labels are unevenly missing are averaged wrongly.
What remains is that a head whose label is
often missing would pull less: `loss_weight` makes up for that with the share of rows that bear the
label in the training split.

Where none of a head's inputs is there, its answer is the prior: what one would say who knows the
training split and nothing else. It is no weight, so nothing is learned from such rows.
"""

import math
import statistics

import keras
from keras import layers

from multimodal_tf.config import (
    ClassificationHead,
    EmbeddingHead,
    MatchingHead,
    MultiLabelHead,
    OrdinalHead,
    QuantileHead,
)
from multimodal_tf.losses import (
    CumulativeLinkLoss,
    FocalCrossentropy,
    MatchingLoss,
    PinballLoss,
    ScaledMeanSquaredError,
    SmoothedCrossentropy,
)
from multimodal_tf.models.heads.metrics import IntervalCoverage, MatchingAccuracy, QuantileError
from multimodal_tf.models.heads.output_layers import (
    DenseWithPrior,
    MatchingVectors,
    OrderedClasses,
    PriorFallback,
    RisingQuantiles,
)
from multimodal_tf.models.presence import ZeroWhereAbsent

# of the focal loss where the configuration leaves it open: the paper's
GAMMA = 2.0

# every head is float32 under mixed precision too: a loss needs more digits than a convolution


def output(head, stats, x, name, any_present=None):
    """The answer of one head.

    Args:
        head: a head of the configuration, but for `MatchingHead`: see `matching`.
        learned: what the schema holds for it: `Classes`, or `Moments` for a number; None for an
        embedding.
        x: `(batch, dim)`, the fused vector.
        name: str. Name of the last layer.
        anyone: float32 `(batch,)`, 1 where any of the head's inputs is there, 0 where the answer is
        to be the prior. None: no row's is.

    Returns:
        float32: classification and ordinal `(batch, classes)`, sums to 1; multi-label `(batch,
        classes)`, each 0 to 1; regression `(batch, 1)` and quantile `(batch, quantiles)`, rising,
        in the label's own unit; embedding `(batch, dim)`, of length 1, or 0 where no input is
        there.
    """
    there = [] if any_present is None else [any_present]
    match head:
        case ClassificationHead():
            return _dense(
                stats, "softmax", [math.log(share) for share in _shares(stats)], x, there, name
            )
        case MultiLabelHead():
            return _dense(
                stats,
                "sigmoid",
                [math.log(share / (1 - share)) for share in _label_shares(stats)],
                x,
                there,
                name,
            )
        case OrdinalHead():
            score = layers.Dense(1, use_bias=False, dtype="float32", name=f"{name}_score")(x)
            return OrderedClasses(_shares(stats), dtype="float32", name=name)(score, *there)
        case QuantileHead():
            x = layers.Dense(len(head.quantiles), dtype="float32", name=f"{name}_normalised")(x)
            return RisingQuantiles(
                head.quantiles, stats.mean, stats.std, dtype="float32", name=name
            )(x, *there)
        case EmbeddingHead():
            x = (
                ZeroWhereAbsent(name=f"{name}_prior", dtype="float32")(x, any_present)
                if there
                else x
            )
            return layers.UnitNormalization(dtype="float32", name=name)(x)
    x = layers.Dense(1, dtype="float32", name=f"{name}_normalised")(x)
    if there:
        x = PriorFallback([0.0], dtype="float32", name=f"{name}_prior")(x, any_present)
    return layers.Rescaling(stats.std, offset=stats.mean, dtype="float32", name=name)(x)


def _dense(stats, activation, prior, x, there, name):
    if not there:
        return layers.Dense(len(stats.names), activation=activation, dtype="float32", name=name)(x)
    return DenseWithPrior(
        len(stats.names), prior, activation=activation, dtype="float32", name=name
    )(x, *there)


def matching(head, vectors, present, name):
    """What a matching head compares.

    Args:
        head: `MatchingHead`.
        vectors: list of two `(batch, dim)`, of its inputs in their order.
        present: list of two float32 `(batch,)`, 1 or 0; empty if the model has no presence inputs.
        name: str. Name of the last layer.

    Returns:
        float32 `(batch, 2, head.dim + 1)`: the scalar product of a row's two vectors is the logit
        of their belonging together, and so is that of vectors from two rows. Zeros where one of the
        inputs is absent: logit 0, an even chance.
    """
    sides = [
        layers.Dense(head.dim, use_bias=False, dtype="float32", name=f"{name}_of_{one}")(vector)
        for one, vector in zip(head.inputs, vectors)
    ]
    return MatchingVectors(dtype="float32", name=name)(*sides, *present)


def with_prior(head, stats, answer, any_present, name):
    """An answer that several inputs' own were combined to, and the prior where none of the inputs
    is there.

    Args:
        head, learned: as `output`.
        answer: float32, of the shape that `output` returns.
        anyone: float32 `(batch,)`, 1 where any input is there.
        name: str. Of the layer.

    Returns:
        `answer`'s shape.
    """
    return PriorFallback(prior(head, stats, answer.shape[-1]), dtype="float32", name=name)(
        answer, any_present
    )


def prior(head, stats, width=None):
    """The answer of one who knows the training split only.

    Classes have the shares that they have there, half a row where none bears them; a number its
    mean; quantiles those of a normal distribution of its mean and standard deviation; an embedding
    (of `width`) zeros.

    Returns:
        list of float, one row of what `output` returns.

    Example:
        >>> from multimodal_tf.schema import Classes
        >>> prior(ClassificationHead(), Classes(names=["cat", "dog"], counts=[1, 3]))
        [0.25, 0.75]
    """
    match head:
        case ClassificationHead() | OrdinalHead():
            return _shares(stats)
        case MultiLabelHead():
            return _label_shares(stats)
        case QuantileHead():
            return [
                stats.mean + stats.std * z
                for z in map(statistics.NormalDist().inv_cdf, head.quantiles)
            ]
        case EmbeddingHead():
            return [0.0] * width
    return [stats.mean]


def _shares(classes):
    counts = [max(count, 0.5) for count in classes.counts]
    return [count / sum(counts) for count in counts]


def _label_shares(classes):
    rows = max(classes.rows or sum(classes.counts), max(classes.counts), 1)
    return [min(max(count, 0.5), rows - 0.5) / rows for count in classes.counts]


def loss(head, stats):
    """The loss of one head, a `keras.losses.Loss`; targets and answers as `data.pipeline` and
    `output` give them. None for an embedding.
    """
    match head:
        case ClassificationHead(loss="focal"):
            return FocalCrossentropy(
                GAMMA if head.gamma is None else head.gamma, head.label_smoothing
            )
        case ClassificationHead():
            return SmoothedCrossentropy(head.label_smoothing)
        case OrdinalHead():
            return CumulativeLinkLoss()
        case MultiLabelHead():
            return keras.losses.BinaryCrossentropy()
        case QuantileHead():
            return PinballLoss(head.quantiles, stats.std)
        case MatchingHead():
            return MatchingLoss()
        case EmbeddingHead():
            return None
    return ScaledMeanSquaredError(stats.std**2)


def loss_weight(head, stats, rows):
    """The factor of one head's loss in the total: `head.weight`, divided by the share of the
    training rows that bear this label.
    """
    return head.weight * (rows / stats.rows if stats is not None and stats.rows else 1.0)


def metrics(head, stats):
    """The metrics of one head, weighted ones: a row of weight 0 does not count."""
    match head:
        case ClassificationHead() | OrdinalHead():
            return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        case MultiLabelHead():
            return [keras.metrics.BinaryAccuracy(name="accuracy")]
        case QuantileHead():
            return [QuantileError(head.middle, name="mae"), IntervalCoverage(name="coverage")]
        case MatchingHead():
            return [MatchingAccuracy(name="accuracy")]
        case EmbeddingHead():
            return []
    return [keras.metrics.MeanAbsoluteError(name="mae")]


def compile_arguments(heads, schema):
    """`loss`, `loss_weights` and `weighted_metrics` for `model.compile`, dicts by head; heads
    without a loss are not in them.

    Args:
        heads: dict of name to a head of the configuration.
        schema: `Schema`.
    """
    tasks = {
        name: (head, schema.heads.get(name))
        for name, head in heads.items()
        if not isinstance(head, EmbeddingHead)
    }
    return {
        "loss": {name: loss(*task) for name, task in tasks.items()},
        "loss_weights": {name: loss_weight(*task, schema.rows) for name, task in tasks.items()},
        "weighted_metrics": {name: metrics(*task) for name, task in tasks.items()},
    }
