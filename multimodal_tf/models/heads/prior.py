"""What a head gives in a row without any of its inputs: the prior of the training split.

A prior is fixed, so nothing is learned from such rows.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.models.layer import Layer
from multimodal_tf.schema import Classes


@keras.saving.register_keras_serializable("multimodal_tf")
class PriorFallback(Layer):
    """Replaces the rows of a tensor that have no input by the prior.

    Args:
        prior: list of float, one for each number of the output.

    Call:
        `x` is `(batch, numbers)`, `any_present` float `(batch,)`, above 0.5 where any input is
        present. Returns `x`'s shape.

    Example:
        >>> PriorFallback([7.0])(ops.array([[1.0], [2.0]]), ops.array([1.0, 0.0])).numpy().tolist()
        [[1.0], [7.0]]
    """

    def __init__(self, prior: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prior = [float(one) for one in prior]

    def call(self, x: Any, any_present: Any) -> Any:
        return or_prior(x, any_present, self.prior)

    def compute_output_shape(self, x_shape: Any, any_present_shape: Any) -> Any:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "prior": self.prior}


@keras.saving.register_keras_serializable("multimodal_tf")
class DenseWithPrior(layers.Dense):
    """Keras' Dense layer whose logits are the prior's in rows without any input.

    Args:
        units: int.
        prior: list of `units` floats, logits.
        activation: as in `Dense`; and so the other arguments.

    Call:
        `x` is `(batch, dim)`, `any_present` float `(batch,)`, above 0.5 where any input is present.
        Returns `(batch, units)`.
    """

    def __init__(
        self, units: int, prior: Sequence[float], activation: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(units, **kwargs)
        self.prior = [float(one) for one in prior]
        # Dense's own would act on the logits before the prior replaces some
        self.last_activation = keras.activations.get(activation)

    def build(self, x_shape: Any, any_present_shape: Any = None) -> None:
        super().build(x_shape)

    def call(self, x: Any, any_present: Any, training: bool | None = None) -> Any:
        logits = super().call(x, training=training)
        return self.last_activation(or_prior(logits, any_present, self.prior))

    def compute_output_shape(self, x_shape: Any, any_present_shape: Any) -> Any:
        return super().compute_output_shape(x_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "prior": self.prior,
            "activation": keras.activations.serialize(self.last_activation),
        }


def dense(
    units: int, activation: str, prior: Sequence[float], x: Any, any_present: Any, name: str
) -> Any:
    """A Dense layer, with the `prior` logits where no input is present.

    Args:
        units: width of the output.
        activation: name of a Keras activation.
        prior: logits, `units` of them.
        x: `(batch, dim)`.
        any_present: float `(batch,)`, or None: some input is present in every row.
        name: of the layer.

    Returns:
        float32 `(batch, units)`.
    """
    if any_present is None:
        return layers.Dense(units, activation=activation, dtype="float32", name=name)(x)
    layer = DenseWithPrior(units, prior, activation=activation, dtype="float32", name=name)
    return layer(x, any_present)


def or_prior(x: Any, any_present: Any, prior: Sequence[float]) -> Any:
    """`x` `(batch, numbers)` where `any_present` `(batch,)` is above 0.5, else `prior`."""
    return ops.where(
        ops.expand_dims(any_present > 0.5, 1), x, ops.convert_to_tensor(prior, x.dtype)
    )


def class_shares(classes: Classes) -> list[float]:
    """Each class's share of the training rows; a class without rows counts as half a row.

    Example:
        >>> class_shares(Classes(names=["cat", "dog"], counts=[1, 3]))
        [0.25, 0.75]
    """
    return shares(classes.counts)


def shares(counts: Sequence[int]) -> list[float]:
    """Each count's share of all; one of 0 counts as a half."""
    weights = [max(count, 0.5) for count in counts]
    return [weight / sum(weights) for weight in weights]
