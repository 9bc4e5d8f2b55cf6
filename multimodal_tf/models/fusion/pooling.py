"""Fusions that treat all inputs alike, or weigh them the same in every row."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.config import (
    FUSED,
    ConcatenationFusion,
    MeanFusion,
    ProductFusion,
    SumFusion,
    WeightedSumFusion,
)
from multimodal_tf.models.chain import Shape, chain
from multimodal_tf.models.fusion.explanations import Fused
from multimodal_tf.models.fusion.vectors import (
    Encodings,
    Present,
    WeightedVectorSum,
    last_layers,
    projected,
    steps,
)
from multimodal_tf.models.layer import Layer


@keras.saving.register_keras_serializable("multimodal_tf")
class VectorSum(Layer):
    """The sum of several vectors.

    Call:
        `x` is `(batch, inputs, dim)`, zero where an input is missing. Returns `(batch, dim)`.
    """

    def call(self, x: Any) -> Any:
        return ops.sum(x, axis=1)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], *shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentMean(Layer):
    """The mean over the present inputs; zeros where there are none.

    Call:
        `x` is `(batch, inputs, ...)`, `present` float `(batch, inputs)`, 1 or 0, or None: all are
        present. Where it is 0, `x` may be NaN. Returns `(batch, ...)`.

    Example:
        >>> x = ops.convert_to_tensor([[[1.0], [3.0]], [[1.0], [float("nan")]]])
        >>> PresentMean()(x, ops.convert_to_tensor([[1.0, 1.0], [1.0, 0.0]])).numpy().tolist()
        [[2.0], [1.0]]
    """

    def call(self, x: Any, present: Any = None) -> Any:
        if present is None:
            return ops.mean(x, axis=1)
        mask = _like(present > 0.5, x)
        total = ops.sum(ops.where(mask, x, ops.zeros_like(x)), axis=1)
        return total / ops.maximum(ops.sum(ops.cast(mask, x.dtype), axis=1), 1)

    def compute_output_shape(self, x_shape: Shape, present_shape: Shape | None = None) -> Shape:
        return (x_shape[0], *x_shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentProduct(Layer):
    """The elementwise product over the present inputs; ones where there are none.

    Call:
        As `PresentMean`.

    Example:
        >>> x = ops.convert_to_tensor([[[2.0], [3.0]], [[2.0], [float("nan")]]])
        >>> PresentProduct()(x, ops.convert_to_tensor([[1.0, 1.0], [1.0, 0.0]])).numpy().tolist()
        [[6.0], [2.0]]
    """

    def call(self, x: Any, present: Any = None) -> Any:
        if present is not None:
            x = ops.where(_like(present > 0.5, x), x, ops.ones_like(x))
        product = x[:, 0]
        # not `ops.prod`, whose gradient divides by a factor that may be zero
        for index in range(1, x.shape[1]):
            product = product * x[:, index]
        return product

    def compute_output_shape(self, x_shape: Shape, present_shape: Shape | None = None) -> Shape:
        return (x_shape[0], *x_shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class InputScores(Layer):
    """One learned number per input, the same in every row; zeros at first.

    Call:
        `x` is `(batch, inputs, dim)`; only its shape counts. Returns `(batch, inputs)`.
    """

    def build(self, shape: Shape) -> None:
        self.scores = self.add_weight(shape=(shape[1],), initializer="zeros", name="scores")

    def call(self, x: Any) -> Any:
        return ops.broadcast_to(ops.cast(self.scores, self.compute_dtype), ops.shape(x)[:2])

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape[:2]


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentSoftmax(Layer):
    """Scores to weights that sum to 1 over the present inputs; zeros where there are none.

    Call:
        `scores` is `(batch, inputs)`, `present` float `(batch, inputs)`, 1 or 0, or None: all are
        present. Where it is 0, a score may be NaN. Returns `(batch, inputs)`, 0 where an input is
        missing.

    Example:
        >>> scores, present = ops.array([[1.0, 1.0, float("nan")]]), ops.array([[1.0, 1.0, 0.0]])
        >>> PresentSoftmax()(scores, present).numpy().tolist()
        [[0.5, 0.5, 0.0]]
    """

    def call(self, scores: Any, present: Any = None) -> Any:
        if present is None:
            return ops.softmax(scores, axis=1)
        mask = present > 0.5
        # within float16
        scores = ops.where(mask, scores, ops.full_like(scores, -3e4))
        peak = ops.stop_gradient(tf.reduce_max(scores, axis=1, keepdims=True))
        shares = ops.where(mask, ops.exp(scores - peak), ops.zeros_like(scores))
        # the largest share is 1 where any input is present
        return shares / ops.maximum(ops.sum(shares, axis=1, keepdims=True), 1)

    def compute_output_shape(
        self, scores_shape: Shape, present_shape: Shape | None = None
    ) -> Shape:
        return scores_shape


def concatenation(
    fusion: ConcatenationFusion, encodings: Encodings, present: Present, name: str
) -> Fused:
    """The towers' vectors and the presence flags side by side, then Dense layers.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, dim)`; no explanations.

    Source: Ngiam et al. 2011, «Multimodal Deep Learning»; the flags: Lipton et al. 2016,
    arXiv:1606.04130.
    """
    flags = [
        layers.Reshape((1,), name=f"{_prefix(name)}{own}_flag")(flag)
        for own, flag in present.items()
    ]
    sides = [*(encoding.vector for encoding in encodings.values()), *flags]
    if len(sides) == 1:
        return Fused(last_layers(fusion, sides[0], name), {})
    after = steps(fusion)
    joined = layers.Concatenate(name=f"{name}_concatenation" if after else name)(sides)
    return Fused(chain(joined, after, name, name) if after else joined, {})


def vector_sum(fusion: SumFusion, encodings: Encodings, present: Present, name: str) -> Fused:
    """`h = sum of W_i x_i + b_i` over the present inputs; zeros where there are none.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; no explanations.

    Source: Kiela et al. 2018, arXiv:1802.02892 («additive»), who compare sum, maximum, gates and
    bilinear forms.
    """
    x, _ = projected(fusion.dim, encodings, present, name)
    return Fused(last_layers(fusion, VectorSum(name=f"{name}_sum")(x), name), {})


def mean(fusion: MeanFusion, encodings: Encodings, present: Present, name: str) -> Fused:
    """`h = mean of W_i x_i + b_i` over the present inputs; zeros where there are none.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        As `vector_sum`.

    Source: the sum of Hori et al. 2017, arXiv:1701.03126 («naïve fusion»), divided by the number of
    present inputs, so that its scale does not depend on it.
    """
    x, flags = projected(fusion.dim, encodings, present, name)
    return Fused(last_layers(fusion, PresentMean(name=f"{name}_mean")(x, flags), name), {})


def product(fusion: ProductFusion, encodings: Encodings, present: Present, name: str) -> Fused:
    """`h = product of W_i x_i + b_i`, elementwise, over the present inputs; ones without any.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        As `vector_sum`.

    Source: Antol et al. 2015, arXiv:1505.00468 («point-wise multiplication»).
    """
    x, flags = projected(fusion.dim, encodings, present, name)
    return Fused(last_layers(fusion, PresentProduct(name=f"{name}_product")(x, flags), name), {})


def weighted_sum(
    fusion: WeightedSumFusion, encodings: Encodings, present: Present, name: str
) -> Fused:
    """`h = sum of s_i (W_i x_i + b_i)`, with `s` a softmax of learned numbers.

    The softmax is over the present inputs; zeros where there are none.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector as `vector_sum`; it explains the `weights`.

    Source: Peters et al. 2018, arXiv:1802.05365, equation 1, there over the layers of one network.
    """
    x, flags = projected(fusion.dim, encodings, present, name)
    weights = PresentSoftmax(name=f"{name}_weights")(InputScores(name=f"{name}_scores")(x), flags)
    h = WeightedVectorSum(name=f"{name}_sum")(x, weights)
    return Fused(last_layers(fusion, h, name), {"weights": weights})


def _prefix(name: str) -> str:
    """Start of a flag's name: nothing for `fused`, else the fusion's name, as there are several."""
    return "" if name == FUSED else f"{name}_"


def _like(mask: Any, x: Any) -> Any:
    """bool `(batch, inputs)` with as many axes as `x`."""
    for _ in range(len(x.shape) - 2):
        mask = ops.expand_dims(mask, -1)
    return mask
