"""A learning rate for each depth: optimizers that multiply theirs by a factor for each weight."""

from collections.abc import Mapping, Sequence

import keras

from multimodal_tf.models.peft import layer_paths


class _ByDepth(keras.optimizers.Optimizer):
    """Multiplies the learning rate, also in the weight decay; to be put before one of Keras'
    optimizers.

    Not the gradient is multiplied, since Adam divides that by its own size.

    Args:
        factors: list of float > 0, one for each weight in the order of `model.trainable_weights`.
    """

    def __init__(self, *args, factors, **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = list(factors)

    def build(self, variables):
        if len(variables) != len(self.factors):
            raise ValueError(
                f"factors: must be one for each of the model's {len(variables)} trainable weights, received {len(self.factors)}: "
                "make the optimizer after what chooses these"
            )
        super().build(variables)

    def _apply_weight_decay(self, variables):
        """Done in `update_step`, where the weight's own rate is known."""

    def update_step(self, gradient, variable, learning_rate):
        rate = (
            keras.ops.cast(learning_rate, variable.dtype)
            * self.factors[self._get_variable_index(variable)]
        )
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * (rate * self.weight_decay))
        super().update_step(gradient, variable, rate)

    def get_config(self):
        return super().get_config() | {"factors": self.factors}


@keras.saving.register_keras_serializable("multimodal_tf")
class AdamWByDepth(_ByDepth, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with a factor of the learning rate for each weight; `factors` of
    `learning_rate_factors`.
    """


@keras.saving.register_keras_serializable("multimodal_tf")
class SGDByDepth(_ByDepth, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with a factor of the learning rate for each weight; `factors` of
    `learning_rate_factors`.
    """


def learning_rate_factors(model: keras.Model, rates: Mapping[str, float]) -> list[float]:
    """The factor of each trainable weight, for `AdamWByDepth` or `SGDByDepth`.

    Args:
        model: a functional `keras.Model`, after all that chooses what is trained.
        rates: factor by pattern over paths of layers (`models.peft.layer_paths.layers`); what is in
            a layer that matches is meant too. Where several match, the last counts; where none
            does, the factor is 1.

    Returns:
        list of float, in the order of `model.trainable_weights`.

    Raises:
        ValueError: a factor is not positive, or a pattern matches no layer.

    Example:
        >>> x = keras.Input((2,))
        >>> model = keras.Model(x, keras.layers.Dense(1, name="label")(keras.layers.Dense(3, name="photo_dense")(x)))
        >>> factors = learning_rate_factors(model, {"photo_*": 0.1})
        >>> factors
        [0.1, 0.1, 1.0, 1.0]
        >>> model.compile(AdamWByDepth(1e-3, factors=factors), "mse")
    """
    found: dict[int, float] = {}
    for pattern, rate in rates.items():
        if rate <= 0:
            raise ValueError(
                f"rates.{pattern}: must be positive, received {rate}: freeze what is not to learn"
            )
        for layer in layer_paths.matched(model, [pattern], "rates").values():
            found.update((id(weight), float(rate)) for weight in layer.weights)
    return [found.get(id(weight), 1.0) for weight in model.trainable_weights]


def discriminative(stages: Sequence[Sequence[str]], decay: float = 2.6) -> dict[str, float]:
    """Rates that fall from one depth to the next: 1, 1 / decay, 1 / decay^2...

    Args:
        stages: sequence of sequences of str: patterns, the layers next to the answers first, as in
            `GradualUnfreezing`.
        decay: float > 0.

    Returns:
        dict of pattern to factor, for `learning_rate_factors`.

    Example:
        >>> discriminative([["title_network/*/transformer_layer_1"], ["title_network/*/transformer_layer_0"]], decay=2)
        {'title_network/*/transformer_layer_1': 1.0, 'title_network/*/transformer_layer_0': 0.5}

    Raises:
        ValueError: `decay` is not positive.

    Source: Howard and Ruder 2018, arXiv:1801.06146, section 3.2, whose 2.6 is the default.
    """
    if decay <= 0:
        raise ValueError(f"discriminative: decay must be positive, received {decay}")
    return {pattern: 1 / decay**depth for depth, stage in enumerate(stages) for pattern in stage}
