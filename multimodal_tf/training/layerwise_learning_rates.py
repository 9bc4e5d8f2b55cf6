"""Layer-wise learning rates: optimizers with a learning rate factor for each weight."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from multimodal_tf.models.peft import layer_paths


class _Layerwise(keras.optimizers.Optimizer):
    """Multiplies the learning rate, also that of the weight decay, by a factor for each weight.

    A mixin that comes before one of Keras' optimizers. It scales the learning rate, not the
    gradient, because Adam normalises the gradient's size.

    Args:
        factors: floats > 0, one for each weight in the order of `model.trainable_weights`.
    """

    def __init__(self, *args: Any, factors: Iterable[float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.factors = list(factors)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Checks that there is a factor for each variable, and makes the optimizer's own."""
        if len(variables) != len(self.factors):
            raise ValueError(
                f"factors: must be one for each of the model's {len(variables)} trainable weights, "
                f"received {len(self.factors)}: make the optimizer after choosing what is trained"
            )
        super().build(variables)

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        """Does nothing: `update_step` decays each weight by its own learning rate."""

    def update_step(
        self,
        gradient: keras.KerasTensor,
        variable: keras.Variable,
        learning_rate: keras.KerasTensor,
    ) -> None:
        """Decays and updates a variable at its own learning rate."""
        factor = self.factors[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype) * factor
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * (rate * self.weight_decay))
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for `from_config`."""
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable("multimodal_tf")
class LayerwiseAdamW(_Layerwise, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with the `factors` of `learning_rate_factors`."""


@keras.saving.register_keras_serializable("multimodal_tf")
class LayerwiseSGD(_Layerwise, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with the `factors` of `learning_rate_factors`."""


def learning_rate_factors(model: keras.Model, factors: Mapping[str, float]) -> list[float]:
    """The factor of each trainable weight, for `LayerwiseAdamW` or `LayerwiseSGD`.

    Args:
        model: a functional `keras.Model`. What is trained must have been chosen before.
        factors: float > 0 by pattern over paths of layers (`models.peft.layer_paths.layers`). A
            pattern includes what is within a layer that matches. If several match, the last
            counts; if none does, the factor is 1.

    Returns:
        list of float, in the order of `model.trainable_weights`.

    Raises:
        ValueError: a factor is not positive, or a pattern matches no layer.

    Example:
        >>> x = keras.Input((2,))
        >>> y = keras.layers.Dense(3, name="photo_dense")(x)
        >>> model = keras.Model(x, keras.layers.Dense(1, name="label")(y))
        >>> factors = learning_rate_factors(model, {"photo_*": 0.1})
        >>> factors
        [0.1, 0.1, 1.0, 1.0]
        >>> model.compile(LayerwiseAdamW(1e-3, factors=factors), "mse")
    """
    chosen: dict[int, float] = {}
    for pattern, factor in factors.items():
        if factor <= 0:
            raise ValueError(
                f"learning_rate_factors.{pattern}: must be positive, received {factor}: "
                "freeze what is not to be trained"
            )
        layers = layer_paths.matched(model, [pattern], "learning_rate_factors")
        for layer in layers.values():
            chosen.update((id(weight), float(factor)) for weight in layer.weights)
    return [chosen.get(id(weight), 1.0) for weight in model.trainable_weights]
