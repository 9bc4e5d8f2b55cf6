"""One class out of several in an order: a score against learned thresholds."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import OrdinalHead
from multimodal_tf.losses import CumulativeLinkLoss
from multimodal_tf.models.heads.prior import class_shares, or_prior
from multimodal_tf.models.layer import Layer
from multimodal_tf.schema import Classes

# a logit beyond all others
_FAR = 1e4


def output(
    head: OrdinalHead,
    stats: Classes,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """Probabilities `(batch, classes)`; see `models.heads.output`."""
    score = layers.Dense(1, use_bias=False, dtype="float32", name=f"{name}_score")(x)
    layer = OrderedClasses(class_shares(stats), dtype="float32", name=name)
    return layer(score) if any_present is None else layer(score, any_present)


def prior(head: OrdinalHead, stats: Classes, width: int) -> list[float]:
    """The classes' shares of the training rows."""
    return class_shares(stats)


def loss(head: OrdinalHead, stats: Classes) -> keras.losses.Loss:
    """Binary cross-entropies of «above the k-th class», summed."""
    return CumulativeLinkLoss()


def metrics(head: OrdinalHead) -> list[keras.metrics.Metric]:
    """Accuracy."""
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


@keras.saving.register_keras_serializable("multimodal_tf")
class OrderedClasses(Layer):
    """Probabilities of ordered classes from a score and rising thresholds.

    The probability of a class above the k-th is `sigmoid(score - threshold_k)`, with one score for
    all thresholds. Each threshold is the one before it and a positive gap, so they cannot cross.
    They start where a score of 0 gives the training split's shares.

    Args:
        shares: list of float, two or more, each above 0, their sum 1: of the classes in the
            training split.

    Call:
        `score` is `(batch, 1)`; `any_present`, if given, float `(batch,)`, above 0.5 where any
        input is present; the other rows get `shares`. Returns `(batch, classes)`, sums to 1.

    Example:
        >>> p = OrderedClasses([0.5, 0.3, 0.2])(ops.zeros((1, 1)))
        >>> p.numpy().astype(float).round(4).tolist()
        [[0.5, 0.3, 0.2]]

    Source: McCullagh 1980, «Regression Models for Ordinal Data»; one score for all thresholds, as
    Cao et al. 2020, arXiv:1901.07884.
    """

    def __init__(self, shares: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shares = [float(share) for share in shares]
        above = [sum(self.shares[index:]) for index in range(1, len(self.shares))]
        self._thresholds = [math.log((1 - share) / share) for share in above]

    def build(self, score_shape: Any, any_present_shape: Any = None) -> None:
        self.first = self.add_weight(
            shape=(1,),
            initializer=keras.initializers.Constant(self._thresholds[0]),
            name="first",
        )
        gaps = [higher - lower for lower, higher in zip(self._thresholds, self._thresholds[1:])]
        if gaps:
            raw = [inverse_softplus(gap) for gap in gaps]
            self.gaps = self.add_weight(
                shape=(len(gaps),),
                initializer=lambda shape, dtype: ops.convert_to_tensor(raw, dtype),
                name="gaps",
            )

    def call(self, score: Any, any_present: Any = None) -> Any:
        thresholds = self.first
        if len(self.shares) > 2:
            thresholds = ops.concatenate(
                [self.first, self.first + ops.cumsum(ops.softplus(self.gaps))]
            )
        above = score - thresholds
        if any_present is not None:
            above = or_prior(above, any_present, [-one for one in self._thresholds])
        end = ops.full_like(score, _FAR)
        lower, upper = ops.concatenate([end, above], axis=1), ops.concatenate([above, -end], axis=1)
        # sigmoid(lower) - sigmoid(upper), from the side on which both are small
        ones = ops.ones_like(lower)
        flip = ops.where(lower + upper > 0, -ones, ones)
        return ops.maximum(flip * (ops.sigmoid(flip * lower) - ops.sigmoid(flip * upper)), 0.0)

    def compute_output_shape(self, score_shape: Any, any_present_shape: Any = None) -> Any:
        return (score_shape[0], len(self.shares))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shares": self.shares}


def inverse_softplus(positive: float) -> float:
    """The number whose softplus is `positive`."""
    return math.log(math.expm1(positive)) if positive < 30 else positive
