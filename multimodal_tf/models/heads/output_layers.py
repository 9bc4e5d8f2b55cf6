"""Layers that a head ends in. Where no input is there they answer the prior, which is no weight."""

import math
import statistics

import keras
from keras import layers, ops

# a logit beyond all others
_FAR = 1e4


@keras.saving.register_keras_serializable("multimodal_tf")
class PriorFallback(layers.Layer):
    """The answer where any input is there, elsewhere the same prior in all rows.

    Args:
        prior: list of float, one for each number of the answer.

    Call:
        `answer` is `(batch, numbers)`, `any_present` float `(batch,)`, above 0.5 where any input is
        there. Returns `answer`'s shape.

    Example:
        >>> PriorFallback([7.0])(ops.array([[1.0], [2.0]]), ops.array([1.0, 0.0])).numpy().tolist()
        [[1.0], [7.0]]
    """

    def __init__(self, prior, **kwargs):
        super().__init__(**kwargs)
        self.prior = [float(one) for one in prior]

    def call(self, answer, any_present):
        return _or_prior(answer, any_present, self.prior)

    def compute_output_shape(self, answer_shape, any_present_shape):
        return answer_shape

    def get_config(self):
        return super().get_config() | {"prior": self.prior}


@keras.saving.register_keras_serializable("multimodal_tf")
class DenseWithPrior(layers.Dense):
    """Keras' Dense layer, its logits replaced by fixed ones where no input is there, then an
    activation.

    Args:
        units: int.
        prior: list of `units` floats, logits.
        activation: as in `Dense`; and so the other arguments.

    Call:
        `x` is `(batch, dim)`, `any_present` float `(batch,)`, above 0.5 where any input is there.
        Returns `(batch, units)`.
    """

    def __init__(self, units, prior, activation=None, **kwargs):
        super().__init__(units, **kwargs)
        self.prior = [float(one) for one in prior]
        self.answer = keras.activations.get(activation)

    def call(self, x, any_present, training=None):
        return self.answer(_or_prior(super().call(x, training=training), any_present, self.prior))

    def compute_output_shape(self, x_shape, any_present_shape):
        return super().compute_output_shape(x_shape)

    def get_config(self):
        return super().get_config() | {
            "prior": self.prior,
            "activation": keras.activations.serialize(self.answer),
        }


@keras.saving.register_keras_serializable("multimodal_tf")
class OrderedClasses(layers.Layer):
    """A score against rising thresholds: probabilities of classes in an order.

    The probability of a class above the k-th is `sigmoid(score - threshold_k)`, with one score for
    all thresholds. These cannot cross, as each is the one before it and a positive gap. They start
    where a score of 0 gives the training split's shares.

    Args:
        shares: list of float, two or more, each above 0, their sum 1: of the classes in the
            training split.

    Call:
        `score` is `(batch, 1)`; `any_present`, if given, float `(batch,)`, above 0.5 where any
        input is there: elsewhere it answers `shares`. Returns `(batch, classes)`, sums to 1.

    Example:
        >>> OrderedClasses([0.5, 0.3, 0.2])(ops.zeros((1, 1))).numpy().astype(float).round(4).tolist()
        [[0.5, 0.3, 0.2]]

    Source: McCullagh 1980, «Regression Models for Ordinal Data»; one score for all thresholds, as
    Cao et al. 2020, arXiv:1901.07884.
    """

    def __init__(self, shares, **kwargs):
        super().__init__(**kwargs)
        self.shares = [float(share) for share in shares]
        above = [sum(self.shares[place:]) for place in range(1, len(self.shares))]
        self._thresholds = [math.log((1 - share) / share) for share in above]

    def build(self, score_shape, any_present_shape=None):
        first, gaps = (
            self._thresholds[0],
            [higher - lower for lower, higher in zip(self._thresholds, self._thresholds[1:])],
        )
        self.first = self.add_weight(
            shape=(1,), initializer=keras.initializers.Constant(first), name="first"
        )
        if gaps:
            raw = [_inverse_softplus(gap) for gap in gaps]
            self.gaps = self.add_weight(
                shape=(len(gaps),),
                initializer=lambda shape, dtype: ops.convert_to_tensor(raw, dtype),
                name="gaps",
            )

    def call(self, score, any_present=None):
        thresholds = self.first
        if len(self.shares) > 2:
            thresholds = ops.concatenate(
                [self.first, self.first + ops.cumsum(ops.softplus(self.gaps))]
            )
        above = score - thresholds
        if any_present is not None:
            above = _or_prior(above, any_present, [-one for one in self._thresholds])
        end = ops.full_like(score, _FAR)
        lower, upper = ops.concatenate([end, above], axis=1), ops.concatenate([above, -end], axis=1)
        # sigmoid(lower) - sigmoid(upper), from the side on which both are small
        flip = ops.where(lower + upper > 0, -1.0, 1.0)
        return ops.maximum(flip * (ops.sigmoid(flip * lower) - ops.sigmoid(flip * upper)), 0.0)

    def compute_output_shape(self, score_shape, any_present_shape=None):
        return (score_shape[0], len(self.shares))

    def get_config(self):
        return super().get_config() | {"shares": self.shares}


@keras.saving.register_keras_serializable("multimodal_tf")
class RisingQuantiles(layers.Layer):
    """Quantiles of a number, each the one below it and a positive step.

    Zeros give the quantiles of a normal distribution.

    Args:
        levels: list of float, rising, between 0 and 1 (both exclusive): the probabilities.
        mean, std: float, in the number's unit, `std` above 0.

    Call:
        `x` is `(batch, levels)`, no unit; `any_present`, if given, float `(batch,)`, above 0.5
        where any input is there: elsewhere it answers the normal distribution's. Returns `(batch,
        levels)`, rising, in the number's unit.

    Example:
        >>> RisingQuantiles([0.05, 0.5, 0.95], 100.0, 10.0)(ops.zeros((1, 3))).numpy().astype(float).round(2).tolist()
        [[83.55, 100.0, 116.45]]
    """

    def __init__(self, levels, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.levels, self.mean, self.std = (
            [float(level) for level in levels],
            float(mean),
            float(std),
        )
        normal = [statistics.NormalDist().inv_cdf(level) for level in self.levels]
        self._lowest = normal[0]
        self._steps = [
            _inverse_softplus(higher - lower) for lower, higher in zip(normal, normal[1:])
        ]

    def call(self, x, any_present=None):
        if any_present is not None:
            x = _or_prior(x, any_present, [0.0] * len(self.levels))
        lowest = x[:, :1] + self._lowest
        steps = ops.softplus(x[:, 1:] + ops.convert_to_tensor(self._steps, x.dtype))
        return ops.cumsum(ops.concatenate([lowest, steps], axis=1), axis=1) * self.std + self.mean

    def compute_output_shape(self, x_shape, any_present_shape=None):
        return x_shape

    def get_config(self):
        return super().get_config() | {"levels": self.levels, "mean": self.mean, "std": self.std}


@keras.saving.register_keras_serializable("multimodal_tf")
class MatchingVectors(layers.Layer):
    """Two vectors a row whose scalar product is the logit of their belonging together: `scale *
    cosine + shift`, both learned.

    Call:
        `first` and `second` are `(batch, dim)`; `first_present` and `second_present`, if given,
        float `(batch,)`, 1 or 0. Returns `(batch, 2, dim + 1)`, zeros where one of the two is
        absent.

    Source: Zhai et al. 2023, arXiv:2303.15343, section 3.2, but for the start of the shift: 0, as
    `losses.MatchingLoss` counts matching and mismatched pairs equally.
    """

    def build(self, first_shape, second_shape, first_present_shape=None, second_present_shape=None):
        self.log_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(math.log(10)), name="log_scale"
        )
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")

    def call(self, first, second, first_present=None, second_present=None):
        ones = ops.ones_like(first[:, :1])
        left = ops.concatenate([ops.exp(self.log_scale) * _unit(first), ones], axis=1)
        right = ops.concatenate([_unit(second), self.shift * ones], axis=1)
        both = ops.stack([left, right], axis=1)
        if first_present is None:
            return both
        there = ops.logical_and(first_present > 0.5, second_present > 0.5)
        return ops.where(there[:, None, None], both, 0.0)

    def compute_output_shape(
        self, first_shape, second_shape, first_present_shape=None, second_present_shape=None
    ):
        return (first_shape[0], 2, first_shape[1] + 1)


def _or_prior(x, any_present, prior):
    return ops.where(
        ops.expand_dims(any_present > 0.5, 1), x, ops.convert_to_tensor(prior, x.dtype)
    )


def _unit(x):
    """Of length 1, zeros where it is zero; Keras' `normalize` has a gradient of NaN there."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-12))


def _inverse_softplus(positive):
    return math.log(math.expm1(positive)) if positive < 30 else positive
