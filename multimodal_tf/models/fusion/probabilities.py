"""Layers that combine the predictions of several members: an input each, or the fused vector."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer

# Least probability that counts. It is small for classes that add up to 1, so that a confidently
# wrong prediction still has a gradient.
_LEAST = 1e-30
# Of independent classes, as in Keras' losses: closer to 1, float32 has only steps of it.
_LEAST_OF_TWO = 1e-7


@keras.saving.register_keras_serializable("multimodal_tf")
class AllWhereNonePresent(Layer):
    """Presence flags, but all 1 in a row without any input.

    The combined prediction of such a row is then that of all members without inputs.

    Call:
        `present` is float `(batch, inputs)`, 1 or 0. Returns the same shape.

    Example:
        >>> present = ops.convert_to_tensor([[1.0, 0.0], [0.0, 0.0]])
        >>> AllWhereNonePresent()(present).numpy().tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """

    def call(self, present: Any) -> Any:
        none = tf.reduce_max(present, axis=1, keepdims=True) <= 0.5
        return ops.where(none, ops.ones_like(present), present)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape


class _OfPredictions(Layer):
    """A combination of probabilities.

    Args:
        independent: whether each class is a binary label, as in a multi-label head; False: the
            classes' probabilities add up to 1.

    Call:
        `p` is `(batch, members, classes)`, `present` float `(batch, members)`, 1 or 0, or None: all
        are present. At least one is in each row. Where it is 0, `p` may be NaN. Returns `(batch,
        classes)`.
    """

    def __init__(self, independent: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.independent = independent

    def compute_output_shape(self, p_shape: Shape, present_shape: Shape | None = None) -> Shape:
        return (p_shape[0], p_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "independent": self.independent}


@keras.saving.register_keras_serializable("multimodal_tf")
class LogitsOfPredictions(_OfPredictions):
    """The logarithms of the probabilities; of independent classes, the log odds.

    0 where a member is missing, and all may be. Other arguments: see `_OfPredictions`.

    Call:
        Returns `p`'s shape.

    Example:
        >>> logits = LogitsOfPredictions(independent=True)(ops.array([[[0.5], [0.75]]]))
        >>> [f"{float(one):.2f}" for one in logits[0, :, 0]]
        ['0.00', '1.10']
    """

    def call(self, p: Any, present: Any = None) -> Any:
        return _logits(p, present, self.independent)

    def compute_output_shape(self, p_shape: Shape, present_shape: Shape | None = None) -> Shape:
        return p_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class ProductOfPredictions(_OfPredictions):
    """The product of the probabilities, normalised; of independent classes, against its complement.

    Arguments and call: see `_OfPredictions`.

    Example:
        >>> p = ops.convert_to_tensor([[[0.5, 0.5], [0.2, 0.8]]])
        >>> [f"{one:.2f}" for one in ProductOfPredictions()(p)[0]]
        ['0.20', '0.80']

    Source: Hinton 2002, «Training Products of Experts by Minimizing Contrastive Divergence»,
    equation 1.
    """

    def call(self, p: Any, present: Any = None) -> Any:
        logits = ops.sum(_logits(p, present, self.independent), axis=1)
        # Keras' activations, because its losses look for their logits
        if self.independent:
            return keras.activations.sigmoid(logits)
        return keras.activations.softmax(logits)


@keras.saving.register_keras_serializable("multimodal_tf")
class MaximumOfPredictions(_OfPredictions):
    """The largest probability of each class, normalised unless the classes are independent.

    Arguments and call: see `_OfPredictions`.

    Example:
        >>> p = ops.convert_to_tensor([[[0.5, 0.5], [0.25, 0.75]]])
        >>> [f"{one:.2f}" for one in MaximumOfPredictions()(p)[0]]
        ['0.40', '0.60']

    Source: Kittler et al. 1998, «On Combining Classifiers», section 3.
    """

    def call(self, p: Any, present: Any = None) -> Any:
        largest = tf.reduce_max(_where_present(p, present, 0.0), axis=1)
        return largest if self.independent else largest / ops.sum(largest, axis=1, keepdims=True)


def _where_present(p: Any, present: Any, otherwise: float) -> Any:
    if present is None:
        return p
    return ops.where(ops.expand_dims(present > 0.5, -1), p, ops.full_like(p, otherwise))


def _logits(p: Any, present: Any, independent: bool) -> Any:
    p = _where_present(p, present, 0.5)
    logits = ops.log(ops.maximum(p, _LEAST_OF_TWO if independent else _LEAST))
    if independent:
        logits = logits - ops.log(ops.maximum(1 - p, _LEAST_OF_TWO))
    return _where_present(logits, present, 0.0)
