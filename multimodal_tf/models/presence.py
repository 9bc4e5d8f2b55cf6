"""Layers that know in which rows an input is present."""

from typing import Any, Self

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.random_in_training import RandomInTraining


@keras.saving.register_keras_serializable("multimodal_tf")
class ZeroWhereMissing(Layer):
    """Sets the rows of a missing input to zero, whatever they hold, with zero gradient.

    It stands before a tower, so that a NaN or an out-of-range token does no harm there, and after
    it, so that the tower's output for zeros does not count. It selects and does not multiply: 0 x
    NaN is NaN, in the gradient as well.

    Call:
        `x` is `(batch, ...)` of any dtype, `present` float `(batch,)`, above 0.5 where the input is
        present; or both have further axes in common, such as one column of `x` each. Returns `x`'s
        shape.

    Example:
        >>> x, present = ops.array([[1.0], [float("nan")]]), ops.array([1.0, 0.0])
        >>> ZeroWhereMissing()(x, present).numpy().tolist()
        [[1.0], [0.0]]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # tokens keep Keras' own mask
        self.supports_masking = True

    def call(self, x: Any, present: Any) -> Any:
        keep = present > 0.5
        # row by row; on images this takes a fifth of the time of a selection with broadcasting
        if len(present.shape) == 1:
            return tf.raw_ops.Select(condition=keep, x=x, y=tf.zeros_like(x))
        for _ in range(len(x.shape) - len(present.shape)):
            keep = ops.expand_dims(keep, -1)
        return ops.where(keep, x, ops.zeros_like(x))

    def compute_output_spec(
        self, x: keras.KerasTensor, present: keras.KerasTensor
    ) -> keras.KerasTensor:
        return self.spec_like(x)


@keras.saving.register_keras_serializable("multimodal_tf")
class TokensPresent(Layer):
    """A mask of tokens, False throughout where the input is missing.

    Call:
        `mask` is bool `(batch, length)`, `present` float `(batch,)`, above 0.5 where the input is
        present. Returns bool `(batch, length)`.
    """

    def call(self, mask: Any, present: Any) -> Any:
        return ops.logical_and(mask, ops.expand_dims(present > 0.5, 1))

    def compute_output_spec(
        self, mask: keras.KerasTensor, present: keras.KerasTensor
    ) -> keras.KerasTensor:
        return keras.KerasTensor(mask.shape, "bool")


@keras.saving.register_keras_serializable("multimodal_tf")
class LearnedMissingEmbedding(Layer):
    """Replaces the vector of a missing input by a learned one.

    What it replaces may be NaN, and gets no gradient.

    Call:
        `x` is `(batch, dim)`, `present` float `(batch,)`, above 0.5 where the input is present.
        Returns `x`'s shape.

    Example:
        >>> layer = LearnedMissingEmbedding()
        >>> output = layer(ops.array([[1.0, 2.0], [float("nan"), 0.0]]), ops.array([1.0, 0.0]))
        >>> bool(ops.all(output[1] == layer.vector))
        True

    Source: the mask token of He et al. 2022, arXiv:2111.06377, section 3, which replaces a missing
    patch there.
    """

    def build(self, x_shape: Shape, present_shape: Shape) -> None:
        self.vector = self.add_weight(
            shape=(x_shape[-1],),
            initializer=keras.initializers.RandomNormal(stddev=0.1),
            name="vector",
        )

    def call(self, x: Any, present: Any) -> Any:
        return ops.where(ops.expand_dims(present > 0.5, 1), x, ops.cast(self.vector, x.dtype))

    def compute_output_shape(self, x_shape: Shape, present_shape: Shape) -> Shape:
        return x_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class AnyPresent(Layer):
    """Whether any of several inputs is present.

    Call:
        `present` is a list of float `(batch,)`, 1 or 0. Returns one of the same kind.
    """

    def call(self, present: list[Any]) -> Any:
        return tf.reduce_max(ops.stack(present), axis=0)

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        return shapes[0]


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over the rows where the input is present.

    With Keras' own layer, missing rows would shift the mean and variance, and so the outputs of the
    other rows and the weights before it. (Its `mask` does nearly this, but a batch in which the
    input is missing everywhere pulls the moving averages towards zero.)

    Call:
        `x` is `(batch, ..., channels)`, `present` float `(batch,)`, 1 or 0. Returns `x`'s shape, in
        the compute dtype.
    """

    def build(self, x_shape: Shape, present_shape: Shape | None = None) -> None:
        super().build(x_shape)

    def call(self, x: Any, present: Any, training: bool | None = None) -> Any:
        if not (training and self.trainable):
            return super().call(x, training=False)
        # as in Keras: float16 overflows in the squares
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        x, present = ops.cast(x, wide), ops.cast(present, wide)
        rows = self._sum_over_replicas(ops.sum(present))
        weights = present / ops.maximum(rows, 1.0)
        mean = self._average(x, weights)
        variance = self._average(ops.square(x - mean), weights)
        any_present = rows > 0.5
        before = [ops.cast(one, wide) for one in (self.moving_mean, self.moving_variance)]
        mean = ops.where(any_present, mean, before[0])
        variance = ops.where(any_present, variance, before[1])
        for moving, then, now in (
            (self.moving_mean, before[0], mean),
            (self.moving_variance, before[1], variance),
        ):
            moving.assign(then * self.momentum + now * (1 - self.momentum))
        beta, gamma = ops.cast(self.beta, wide), ops.cast(self.gamma, wide)
        x = ops.batch_normalization(
            x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(x, self.compute_dtype)

    def _average(self, x: Any, weights: Any) -> Any:
        rows = ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
        return self._sum_over_replicas(ops.sum(rows * ops.expand_dims(weights, -1), axis=0))

    def _sum_over_replicas(self, x: Any) -> Any:
        """The sum over replicas if the layer is `synchronized`, as in Keras' own layer."""
        context = tf.distribute.get_replica_context() if self.synchronized else None
        return x if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, x)

    def compute_output_shape(self, x_shape: Shape, present_shape: Shape) -> Any:
        return super().compute_output_shape(x_shape)


class NetworkLayer(Layer):
    """A layer around a library's network.

    Args:
        network: `keras.Layer` or `keras.Model` of one input (a tensor, or a dict of tensors) of
            known shape except for the batch, and one output tensor.
    """

    def __init__(self, network: keras.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network
        self._output_spec: Any = None

    def spec_of(self, x: Any) -> Any:
        """The output's spec, computed once, because it runs through the network's whole graph."""
        if self._output_spec is None:
            self._output_spec = self.network.compute_output_spec(
                tf.nest.map_structure(_any_batch, x)
            )
        # a Keras tensor of its own for each call
        rows = tf.nest.flatten(x)[0].shape[0]
        return keras.KerasTensor((rows, *self._output_spec.shape[1:]), self._output_spec.dtype)

    def build_network(self, x_shape: Any) -> None:
        """Builds the network, unless it is built."""
        if not self.network.built:
            self.network.build(x_shape)

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


@keras.saving.register_keras_serializable("multimodal_tf")
class FreezableNetwork(NetworkLayer):
    """Runs a library's network, in inference mode where it is not trainable.

    In a functional model, Keras overrides the `training=False` with which a network was called:
    the dropout of a frozen one would be active in training.

    Args:
        network: as of `NetworkLayer`.

    Call:
        `x` is a tensor `(batch, ...)` or a dict of such. Returns `(batch, ...)` in the network's
        own dtype.

    Example:
        >>> layer = FreezableNetwork(layers.Dropout(0.5))
        >>> layer.network.trainable = False
        >>> layer(ops.ones((2, 1)), training=True).numpy().tolist()
        [[1.0], [1.0]]
    """

    def build(self, x_shape: Any) -> None:
        self.build_network(x_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.network(x, training=bool(training) and self.network.trainable)

    def compute_output_spec(self, x: Any, training: bool | None = None) -> Any:
        return self.spec_of(x)


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedNetwork(NetworkLayer):
    """Runs a library's network on the rows where the input is present; zeros in the others.

    Missing rows, whatever they hold, then do not affect its batch statistics, and cost no time. A
    network that is not trainable runs in inference mode, in training too: its batch normalisation
    keeps its statistics, and its dropout is off.

    Args:
        network: `keras.Layer` or `keras.Model` of one input (a tensor, or a dict of tensors) of
            known shape except for the batch, and one output tensor.

    Call:
        `x` is a tensor `(batch, ...)` or a dict of such, `present` float `(batch,)`, above 0.5
        where the input is present. Returns `(batch, ...)` in the network's own dtype.

    Example:
        >>> layer = MaskedNetwork(layers.Rescaling(2.0))
        >>> layer(ops.ones((2, 1)), ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [[2.0], [0.0]]
    """

    def build(self, x_shape: Any, present_shape: Shape) -> None:
        self.build_network(x_shape)

    def call(self, x: Any, present: Any, training: bool | None = None) -> Any:
        training = bool(training) and self.network.trainable
        rows, spec = tf.where(present > 0.5), self.spec_of(x)
        # one row of zeros if no row is present: a convolution fails on no rows, and a `tf.cond`
        # costs 15 % of a step
        padding = tf.cast(tf.size(rows) == 0, tf.int32)
        selected = tf.nest.map_structure(
            lambda one: with_zeros(tf.gather_nd(one, rows), padding), x
        )
        before = [tf.identity(weight.value) for weight in self._statistics(training)]
        output = self.network(selected, training=training)[: tf.size(rows)]
        for weight, value in zip(self._statistics(training), before):
            weight.assign(tf.where(padding == 0, weight.value, value))
        shape = tf.concat([tf.shape(present), tf.shape(output)[1:]], 0)
        scattered = tf.scatter_nd(rows, output, tf.cast(shape, rows.dtype))
        # not `tf.ensure_shape`, an operation that LiteRT lacks
        scattered.set_shape(spec.shape)
        return scattered

    def _statistics(self, training: bool) -> list[Any]:
        """The weights that a call in training may change without the optimizer.

        Frozen weights, which may be many, are not among them, and need no copy.
        """
        if not training:
            return []
        return [
            weight
            for layer in self.network._flatten_layers()
            for weight in layer._non_trainable_variables
        ]

    def compute_output_spec(self, x: Any, present: Any, training: bool | None = None) -> Any:
        return self.spec_of(x)


def masked_network(
    network: keras.Layer, x: Any, present: Any, name: str, dtype: str | None = None
) -> keras.KerasTensor:
    """Calls a library's network as a part of a tower.

    Args:
        network: as `MaskedNetwork`, which is called `{name}_network`.
        x: Keras tensor, or dict of such.
        present: Keras tensor `(batch,)`; None where the model does not know presence: then the
            network, if trainable, is itself part of the graph.
        name: of the input.
        dtype: of the output; None: Keras' policy.

    Returns:
        Keras tensor, the network's output; zeros where the input is missing.
    """
    wrapper = f"{name}_network"
    if present is not None:
        return MaskedNetwork(network, name=wrapper, dtype=dtype)(x, present)
    if network.trainable:
        return network(x)
    return FreezableNetwork(network, name=wrapper, dtype=dtype)(x)


def with_zeros(tensor: Any, rows: Any) -> Any:
    """The tensor, and so many rows of zeros behind its own."""
    # not `tf.pad`: TensorFlow's remapper fuses it with a convolution and forgets the padded rows
    return tf.concat([tensor, tf.zeros([rows, *tensor.shape[1:]], tensor.dtype)], axis=0)


def _any_batch(tensor: Any) -> keras.KerasTensor:
    return keras.KerasTensor(
        [None, *tensor.shape[1:]], keras.backend.standardize_dtype(tensor.dtype)
    )


@keras.saving.register_keras_serializable("multimodal_tf")
class ModalityDropout(RandomInTraining):
    """In training, a present input counts as missing in a random share of the rows.

    Unlike `Dropout` it does not rescale the other values, because a missing input is a state that
    the model knows.

    Args:
        rate: share of the rows, 0 to 1 (exclusive).
        seed: of the random numbers; None: drawn by Keras.

    Call:
        `present` is float `(batch,)`, 1 or 0. Returns the same, with more zeros in training.

    Source: Neverova et al. 2015, arXiv:1501.00102 («ModDrop»).
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def change(self, present: Any) -> Any:
        kept = keras.random.uniform(ops.shape(present), seed=self.seed_generator) >= self.rate
        return present * ops.cast(kept, present.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
