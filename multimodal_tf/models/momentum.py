"""A copy of layers whose weights follow theirs: a moving average, step by step."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from multimodal_tf.models.layer import Layer
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.step_counter import step_counter


@keras.saving.register_keras_serializable("multimodal_tf")
class MomentumEncoder(Layer):
    """A network that is not trained, but follows the model's layers of the same names.

    `follow` moves its weights; in the first step they become equal. Statistics, such as those of
    batch normalization, are its own afterwards. No gradient flows through it.

    Args:
        network: functional `keras.Model` of one output. Pass a copy, whose weights are not shared;
            its layers keep the names that those have in the model.
        momentum: float, 0 to 1. The share of a weight that stays in a step.

    Call:
        `inputs` is a list of tensors, as `network` takes. Returns `network`'s output.

    Source: He et al. 2020, arXiv:1911.05722, equation 2.
    """

    def __init__(self, network: keras.Model, momentum: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network, self.momentum = network, momentum
        # layers that train normalize by the batch, but no optimizer has their weights
        for weight in network.variables:
            weight.trainable = False

    @property
    def trainable(self) -> bool:
        """Whether it trains: it never does, also where the model around it is set to train."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        pass

    def build(self, inputs_shape: Any) -> None:
        self.steps = step_counter(self)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return ops.stop_gradient(self.network(inputs, training=training))

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        rows = keras.tree.flatten(inputs)[0].shape[0]
        output = self.network.output
        return keras.KerasTensor((rows, *output.shape[1:]), output.dtype)

    def follow(self, model: keras.Model) -> None:
        """One step of the moving average, before a step of training.

        Args:
            model: in which this layer is, with the layers that it follows.
        """
        followed = layer_paths.weights(model)
        first = self.steps == 0
        for path, own in layer_paths.weights(self.network).items():
            if path in followed and "float" in own.dtype:
                other = followed[path]
                later = 1 - self.momentum if other.trainable else 0.0
                _move(own, other, tf.where(first, 1.0, later))
        self.steps.assign(self.steps + 1)

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "momentum": self.momentum}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MomentumEncoder":
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def momentum_copy(network: keras.Model, momentum: float, name: str) -> MomentumEncoder:
    """A `MomentumEncoder` of the layers of a network, equal to it as it is."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return MomentumEncoder(copy, momentum, name=name)


def _move(own: Any, other: Any, share: Any) -> None:
    """Moves a weight to another one by a share of their difference, on this replica.

    All replicas move theirs by the same, which `assign` cannot know.
    """

    def assign(variable: Any, value: Any) -> None:
        variable.assign(variable + tf.cast(share, value.dtype) * (value - variable))

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        assign(own.value, other.value)
        return
    tf.distribute.get_replica_context().merge_call(
        lambda strategy: strategy.extended.update(own.value, assign, args=(other.value,))
    )
