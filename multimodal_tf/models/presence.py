"""Layers that know in which rows an input is there."""

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.random_in_training import RandomInTraining


@keras.saving.register_keras_serializable("multimodal_tf")
class ZeroWhereAbsent(layers.Layer):
    """Rows of an absent input become zero, whatever they hold; nothing flows back through them
    either.

    It stands before a tower, so that a NaN or an out-of-range token does no harm there, and behind
    it, so that the tower's answer to zeros does not count. It is a choice, not a product: 0 x NaN
    is NaN, in the gradient as well.

    Call:
        `x` is `(batch, ...)` of any dtype, `present` float `(batch,)`, above 0.5 where the input is
        there; or both have further axes in common, such as a column of `x` each. Returns `x`'s
        shape.

    Example:
        >>> ZeroWhereAbsent()(ops.convert_to_tensor([[1.0], [float("nan")]]), ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [[1.0], [0.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # tokens keep Keras' own mask
        self.supports_masking = True

    def call(self, x, present):
        there = present > 0.5
        # row by row, on images in a fifth of the time that a choice with broadcasting takes
        if len(present.shape) == 1:
            return tf.raw_ops.Select(condition=there, x=x, y=tf.zeros_like(x))
        for _ in range(len(x.shape) - len(present.shape)):
            there = ops.expand_dims(there, -1)
        return ops.where(there, x, ops.zeros_like(x))

    def compute_output_spec(self, x, present):
        # Keras casts floats alone
        return keras.KerasTensor(x.shape, self.compute_dtype if "float" in x.dtype else x.dtype)


@keras.saving.register_keras_serializable("multimodal_tf")
class TokensPresent(layers.Layer):
    """A mask of tokens, false throughout where the input is absent.

    Call:
        `mask` is bool `(batch, length)`, `present` float `(batch,)`, above 0.5 where the input is
        there. Returns bool `(batch, length)`.
    """

    def call(self, mask, present):
        return ops.logical_and(mask, ops.expand_dims(present > 0.5, 1))

    def compute_output_spec(self, mask, present):
        return keras.KerasTensor(mask.shape, "bool")


@keras.saving.register_keras_serializable("multimodal_tf")
class LearnedMissingEmbedding(layers.Layer):
    """A learned vector in the place of what an absent input would have brought.

    What it replaces may be NaN, and nothing flows back there.

    Call:
        `x` is `(batch, dim)`, `present` float `(batch,)`, above 0.5 where the input is there.
        Returns `x`'s shape.

    Example:
        >>> layer = LearnedMissingEmbedding()
        >>> answer = layer(ops.convert_to_tensor([[1.0, 2.0], [float("nan"), 0.0]]), ops.convert_to_tensor([1.0, 0.0]))
        >>> bool(ops.all(answer[1] == layer.vector))
        True

    Source: the mask token of He et al. 2022, arXiv:2111.06377, section 3, which stands there for a
    missing patch.
    """

    def build(self, x_shape, present_shape):
        self.vector = self.add_weight(
            shape=(x_shape[-1],),
            initializer=keras.initializers.RandomNormal(stddev=0.1),
            name="vector",
        )

    def call(self, x, present):
        return ops.where(ops.expand_dims(present > 0.5, 1), x, ops.cast(self.vector, x.dtype))

    def compute_output_shape(self, x_shape, present_shape):
        return x_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class AnyPresent(layers.Layer):
    """Whether any of several inputs is there.

    Call:
        `present` is a list of float `(batch,)`, 1 or 0. Returns the same, once.
    """

    def call(self, present):
        return ops.max(ops.stack(present), axis=0)

    def compute_output_shape(self, shapes):
        return shapes[0]


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over the rows where the input is there.

    With Keras' own layer, absent rows would shift the mean and variance, and so the other rows'
    answers and the weights before it. (Its `mask` does nearly this, but a batch in which the input
    is absent everywhere drags the moving averages towards zero.)

    Call:
        `x` is `(batch, ..., channels)`, `present` float `(batch,)`, 1 or 0. Returns `x`'s shape, in
        the compute dtype.
    """

    def call(self, x, present, training=None):
        if not (training and self.trainable):
            return super().call(x, training=False)
        # as in Keras: float16 overflows in the squares
        x = ops.cast(x, "float32")
        present = ops.cast(present, "float32")
        rows = self._of_all(ops.sum(present))
        share = present / ops.maximum(rows, 1.0)
        mean = self._average(x, share)
        variance = self._average(ops.square(x - mean), share)
        any_present = rows > 0.5
        mean, variance = (
            ops.where(any_present, mean, self.moving_mean),
            ops.where(any_present, variance, self.moving_variance),
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        beta, gamma = ops.cast(self.beta, "float32"), ops.cast(self.gamma, "float32")
        x = ops.batch_normalization(
            x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=self.epsilon
        )
        return ops.cast(x, self.compute_dtype)

    def _average(self, x, share):
        rows = ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
        return self._of_all(ops.sum(rows * ops.expand_dims(share, -1), axis=0))

    def _of_all(self, number):
        """The sum over replicas where that is asked for (`synchronized`), as in Keras' own layer."""
        context = tf.distribute.get_replica_context() if self.synchronized else None
        return number if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, number)

    def compute_output_shape(self, x_shape, present_shape):
        return super().compute_output_shape(x_shape)


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskedNetwork(layers.Layer):
    """A network of a library, run on the rows where the input is there; zeros in the others.

    So absent rows, whatever they hold, do not reach its batch statistics, and cost no time. A
    network that is not trainable runs as in
    inference, in training too: its batch normalisation keeps its statistics, its dropout rests.

    Args:
        network: `keras.Layer` or `keras.Model` of one input (a tensor, or a dict of tensors) of
            known shape but for the batch, and one output tensor.

    Call:
        `x` is a tensor `(batch, ...)` or a dict of such, `present` float `(batch,)`, above 0.5
        where the input is there. Returns `(batch, ...)` in the network's own dtype.

    Example:
        >>> layer = MaskedNetwork(layers.Rescaling(2.0))
        >>> layer(ops.ones((2, 1)), ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [[2.0], [0.0]]
    """

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self._answer = None

    def build(self, x_shape, present_shape):
        if not self.network.built:
            self.network.build(x_shape)

    def call(self, x, present, training=None):
        training = bool(training) and self.network.trainable
        rows, answer = tf.where(present > 0.5), self.compute_output_spec(x, present)
        # one row of zeros where nobody is there: a convolution fails on none, and a `tf.cond` costs
        # 15 % of a step
        nobody = tf.cast(tf.size(rows) == 0, tf.int32)
        chosen = tf.nest.map_structure(
            lambda part: _with_zeros(tf.gather_nd(part, rows), nobody), x
        )
        before = [tf.identity(weight.value) for weight in self._statistics(training)]
        found = self.network(chosen, training=training)[: tf.size(rows)]
        for weight, value in zip(self._statistics(training), before):
            weight.assign(tf.where(nobody == 0, weight.value, value))
        shape = tf.concat([tf.shape(present), tf.shape(found)[1:]], 0)
        everywhere = tf.scatter_nd(rows, found, tf.cast(shape, rows.dtype))
        return tf.ensure_shape(everywhere, answer.shape)

    def _statistics(self, training):
        """What a call in training may change: not weights that are only frozen, which may be many,
        and need no copy.
        """
        return (
            [
                weight
                for layer in self.network._flatten_layers()
                for weight in layer._non_trainable_variables
            ]
            if training
            else []
        )

    def compute_output_spec(self, x, present, training=None):
        # asked for once: it runs through the network's whole graph
        if self._answer is None:
            self._answer = self.network.compute_output_spec(tf.nest.map_structure(_any_batch, x))
        return self._answer

    def get_config(self):
        return super().get_config() | {"network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


def masked_network(network, x, present, name, dtype=None):
    """Calls a library's network as a part of a tower.

    Args:
        network: as `MaskedNetwork`; called `{name}_network`.
        x: Keras tensor, or dict of such.
        present: Keras tensor `(batch,)`; None where the model does not know presence: then the
        network stands in the graph itself.
        name: str. The input's.
        dtype: of the rows that come out; None: Keras' policy.

    Returns:
        Keras tensor, what the network answers; zeros where the input is absent.
    """
    if present is None:
        return network(x) if network.trainable else network(x, training=False)
    return MaskedNetwork(network, name=f"{name}_network", dtype=dtype)(x, present)


def _with_zeros(tensor, rows):
    # not `tf.pad`: TensorFlow's remapper fuses that with a convolution and forgets the padding of
    # rows
    return tf.concat([tensor, tf.zeros([rows, *tensor.shape[1:]], tensor.dtype)], axis=0)


def _any_batch(tensor):
    return keras.KerasTensor(
        [None, *tensor.shape[1:]], keras.backend.standardize_dtype(tensor.dtype)
    )


@keras.saving.register_keras_serializable("multimodal_tf")
class ModalityDropout(RandomInTraining):
    """In training, an input that is there counts as absent in a random share of the rows.

    Unlike `Dropout` it leaves the other values as they are, since absence is a state that the model
    knows.

    Args:
        rate: float, 0 to 1 (exclusive). Share of the rows.
        seed: int or None.

    Call:
        `present` is float `(batch,)`, 1 or 0. Returns the same, with more zeros in training.

    Source: Neverova et al. 2015, arXiv:1501.00102 («ModDrop»).
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def change(self, present):
        kept = keras.random.uniform(ops.shape(present), seed=self.seed_generator) >= self.rate
        return present * ops.cast(kept, present.dtype)

    def get_config(self):
        return super().get_config() | {"rate": self.rate}
