"""Layers that know in which rows an input is there."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("multimodal_tf")
class ZeroWhereAbsent(layers.Layer):
    """Rows of an absent input become zero, whatever they hold; nothing flows back through them either.

    It stands before a tower, so that a NaN or an out-of-range token does no harm there, and behind it, so that the tower's answer to
    zeros does not count. It is a choice, not a product: 0 x NaN is NaN, in the gradient as well.

    Call:
        `x` is `(batch, ...)` of any dtype, `present` float `(batch,)`, above 0.5 where the input is there. Returns `x`'s shape.

    Example:
        >>> ZeroWhereAbsent()(ops.convert_to_tensor([[1.0], [float("nan")]]), ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [[1.0], [0.0]]
    """

    def call(self, x, present):
        there = ops.reshape(present > 0.5, (-1,) + (1,) * (len(x.shape) - 1))
        return ops.where(there, x, ops.zeros_like(x))

    def compute_output_shape(self, x_shape, present_shape):
        return x_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class PresentBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over the rows where the input is there.

    With Keras' own layer, absent rows would shift the mean and variance, and so the other rows' answers and the weights before it. (Its
    `mask` does nearly this, but a batch in which the input is absent everywhere drags the moving averages towards zero.)

    Call:
        `x` is `(batch, ..., channels)`, `present` float `(batch,)`, 1 or 0. Returns `x`'s shape, in the compute dtype.
    """

    def call(self, x, present, training=None):
        if not (training and self.trainable):
            return super().call(x, training=False)
        x = ops.cast(x, "float32")  # as in Keras: float16 overflows in the squares
        present = ops.cast(present, "float32")
        share = present / ops.maximum(ops.sum(present), 1.0)
        mean = self._average(x, share)
        variance = self._average(ops.square(x - mean), share)
        anyone = ops.any(present > 0.5)
        mean, variance = ops.where(anyone, mean, self.moving_mean), ops.where(anyone, variance, self.moving_variance)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        beta, gamma = ops.cast(self.beta, "float32"), ops.cast(self.gamma, "float32")
        x = ops.batch_normalization(x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=self.epsilon)
        return ops.cast(x, self.compute_dtype)

    def _average(self, x, share):
        rows = ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
        return ops.sum(rows * ops.expand_dims(share, -1), axis=0)

    def compute_output_shape(self, x_shape, present_shape):
        return super().compute_output_shape(x_shape)


@keras.saving.register_keras_serializable("multimodal_tf")
class ModalityDropout(layers.Layer):
    """In training, an input that is there counts as absent in a random share of the rows.

    Unlike `Dropout` it leaves the other values as they are, since absence is a state that the model knows.

    Args:
        rate: float, 0 to 1 (exclusive). Share of the rows.
        seed: int or None.

    Call:
        `present` is float `(batch,)`, 1 or 0. Returns the same, with more zeros in training.

    Source: Neverova et al. 2015, arXiv:1501.00102 («ModDrop»).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, present, training=False):
        if not training:
            return present
        kept = keras.random.uniform(ops.shape(present), seed=self.seed_generator) >= self.rate
        return present * ops.cast(kept, present.dtype)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
