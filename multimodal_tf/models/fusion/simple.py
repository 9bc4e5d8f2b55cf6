"""Fusions that take all inputs alike, or weigh them the same in every row."""

import keras
from keras import layers, ops

from multimodal_tf.config import FUSED
from multimodal_tf.models.chain import chain
from multimodal_tf.models.fusion.vectors import WeightedVectorSum, finished, projected, steps


@keras.saving.register_keras_serializable("multimodal_tf")
class VectorSum(layers.Layer):
    """The sum of several vectors.

    Call:
        `x` is `(batch, inputs, dim)`, zero where an input is absent. Returns `(batch, dim)`.
    """

    def call(self, x):
        return ops.sum(x, axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], *shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentMean(layers.Layer):
    """The mean over the inputs that are there; zeros where none is.

    Call:
        `x` is `(batch, inputs, ...)`, `present` float `(batch, inputs)`, 1 or 0, or None: all are
        there. Where it is 0, `x` may be NaN. Returns `(batch, ...)`.

    Example:
        >>> x = ops.convert_to_tensor([[[1.0], [3.0]], [[1.0], [float("nan")]]])
        >>> PresentMean()(x, ops.convert_to_tensor([[1.0, 1.0], [1.0, 0.0]])).numpy().tolist()
        [[2.0], [1.0]]
    """

    def call(self, x, present=None):
        if present is None:
            return ops.mean(x, axis=1)
        there = _like(present > 0.5, x)
        total = ops.sum(ops.where(there, x, ops.zeros_like(x)), axis=1)
        return total / ops.maximum(ops.sum(ops.cast(there, x.dtype), axis=1), 1)

    def compute_output_shape(self, x_shape, present_shape=None):
        return (x_shape[0], *x_shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentProduct(layers.Layer):
    """The product, number by number, over the inputs that are there; ones where none is.

    Call:
        As `PresentMean`.

    Example:
        >>> x = ops.convert_to_tensor([[[2.0], [3.0]], [[2.0], [float("nan")]]])
        >>> PresentProduct()(x, ops.convert_to_tensor([[1.0, 1.0], [1.0, 0.0]])).numpy().tolist()
        [[6.0], [2.0]]
    """

    def call(self, x, present=None):
        if present is not None:
            x = ops.where(_like(present > 0.5, x), x, ops.ones_like(x))
        product = x[:, 0]
        # not `ops.prod`, whose gradient divides by a factor that may be zero
        for number in range(1, x.shape[1]):
            product = product * x[:, number]
        return product

    def compute_output_shape(self, x_shape, present_shape=None):
        return (x_shape[0], *x_shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class InputScores(layers.Layer):
    """One learned number an input, the same in every row; zeros to begin with.

    Call:
        `x` is `(batch, inputs, dim)`; only its shape counts. Returns `(batch, inputs)`.
    """

    def build(self, shape):
        self.scores = self.add_weight(shape=(shape[1],), initializer="zeros", name="scores")

    def call(self, x):
        return ops.broadcast_to(ops.cast(self.scores, self.compute_dtype), ops.shape(x)[:2])

    def compute_output_shape(self, shape):
        return shape[:2]


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentSoftmax(layers.Layer):
    """Scores to weights that add up to 1 over the inputs that are there; zeros where none is.

    Call:
        `scores` is `(batch, inputs)`, `present` float `(batch, inputs)`, 1 or 0, or None: all are
        there. Where it is 0, a score may be NaN. Returns `(batch, inputs)`, 0 where an input is
        absent.

    Example:
        >>> PresentSoftmax()(ops.convert_to_tensor([[1.0, 1.0, float("nan")]]), ops.convert_to_tensor([[1.0, 1.0, 0.0]])).numpy().tolist()
        [[0.5, 0.5, 0.0]]
    """

    def call(self, scores, present=None):
        if present is None:
            return ops.softmax(scores, axis=1)
        there = present > 0.5
        # within float16
        scores = ops.where(there, scores, ops.full_like(scores, -3e4))
        peak = ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
        shares = ops.where(there, ops.exp(scores - peak), ops.zeros_like(scores))
        # the largest share is 1 where any input is there
        return shares / ops.maximum(ops.sum(shares, axis=1, keepdims=True), 1)

    def compute_output_shape(self, scores_shape, present_shape=None):
        return scores_shape


def concatenation(fusion, encodings, present, name):
    """The towers' vectors and the presence flags side by side, then Dense layers.

    Args:
        fusion: `config.ConcatenationFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        `(batch, dim)`, finite also where every input is absent; the output of the layer `name`.

    Source: Ngiam et al. 2011, «Multimodal Deep Learning»; the flags: Lipton et al. 2016,
    arXiv:1606.04130.
    """
    flags = [
        layers.Reshape((1,), name=f"{_prefix(name)}{own}_flag")(flag)
        for own, flag in present.items()
    ]
    sides = [*(encoding.vector for encoding in encodings.values()), *flags]
    if len(sides) == 1:
        return finished(fusion, sides[0], name)
    joined = layers.Concatenate(name=f"{name}_concatenation" if steps(fusion) else name)(sides)
    return chain(joined, steps(fusion), name, name) if steps(fusion) else joined


def total(fusion, encodings, present, name):
    """`h = sum of W_i x_i + b_i` over the inputs that are there; zeros where none is.

    Args:
        fusion: `config.SumFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Kiela et al. 2018, arXiv:1802.02892 («additive»), who compare sum, maximum, gates and
    bilinear forms.
    """
    x, _ = projected(fusion, encodings, present, name)
    return finished(fusion, VectorSum(name=f"{name}_sum")(x), name)


def mean(fusion, encodings, present, name):
    """`h = mean of W_i x_i + b_i` over the inputs that are there; zeros where none is.

    Args:
        fusion: `config.MeanFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        As `total`.

    Source: the sum of Hori et al. 2017, arXiv:1701.03126 («naïve fusion»), divided by the number of
    inputs that are there, so that its scale does not depend on it.
    """
    x, flags = projected(fusion, encodings, present, name)
    return finished(fusion, PresentMean(name=f"{name}_mean")(x, flags), name)


def product(fusion, encodings, present, name):
    """`h = product of W_i x_i + b_i`, number by number, over the inputs that are there; ones where
    none is.

    Args:
        fusion: `config.ProductFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        As `total`.

    Source: Antol et al. 2015, arXiv:1505.00468 («point-wise multiplication»).
    """
    x, flags = projected(fusion, encodings, present, name)
    return finished(fusion, PresentProduct(name=f"{name}_product")(x, flags), name)


def weighted_sum(fusion, encodings, present, name):
    """`h = sum of s_i (W_i x_i + b_i)`, `s` the softmax of learned numbers over the inputs that are
    there; zeros where none is.

    Args:
        fusion: `config.WeightedSumFusion`.
        encodings, present, name: as `models.fusion.fuse` says. The weights are in the layer
        `{name}_weights`.

    Returns:
        As `total`.

    Source: Peters et al. 2018, arXiv:1802.05365, equation 1, there over the layers of one network.
    """
    x, flags = projected(fusion, encodings, present, name)
    weights = PresentSoftmax(name=f"{name}_weights")(InputScores(name=f"{name}_scores")(x), flags)
    return finished(fusion, WeightedVectorSum(name=f"{name}_sum")(x, weights), name)


def _prefix(name):
    """`price_flag` for the fusion of all inputs, `fused_label_price_flag` for another beside it."""
    return "" if name == FUSED else f"{name}_"


def _like(there, x):
    """bool `(batch, inputs)` with as many axes as `x`."""
    for _ in range(len(x.shape) - 2):
        there = ops.expand_dims(there, -1)
    return there
