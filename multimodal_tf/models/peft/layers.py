"""What is added to a layer that is already there: a low-rank change of its kernel, or a bottleneck
behind it.

Keras' own `enable_lora` was not enough (3.15): of an `EinsumDense` its first matrix has a part for
each attention head, six times the paper's weights for MiniLM; an `Embedding` multiplies its whole
table in every step; a saved model comes back with both matrices zero, which never learn again, and
under mixed precision with a kernel rounded to 16 bits; nothing merges but saving.
"""

import math
import string

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("multimodal_tf")
class LowRank(layers.Layer):
    """What LoRA adds to the answer of a `Dense` or `EinsumDense`, before its bias and activation:
    `alpha / rank * (x A) B`.

    A is drawn evenly from +-1 / sqrt(inputs), B is zero, so that at first nothing changes. Both are
    float32.

    Args:
        equation: str. That of the `EinsumDense`; of a `Dense` `DENSE`.
        shape: list of int. The kernel's.
        rank: int > 0.
        alpha: float > 0.
        seed: int. Of the drawing.

    Call:
        `x` as the layer takes it. Returns what is to be added, in the compute dtype.

    Raises:
        ValueError: the equation has no kernel letter that is summed over, or none that is new.

    Example:
        >>> layer = LowRank(DENSE, [3, 4], rank=2, alpha=2.0, seed=0)
        >>> layer(ops.ones((5, 3))).shape, [tuple(weight.shape) for weight in layer.weights], float(ops.sum(layer.delta()))
        (TensorShape([5, 4]), [(3, 2), (2, 4)], 0.0)

    Source: Hu et al. 2021, arXiv:2106.09685.
    """

    def __init__(self, equation, shape, rank, alpha, seed, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.equation, self.shape, self.rank, self.alpha, self.seed = (
            equation,
            list(shape),
            rank,
            alpha,
            seed,
        )
        x, kernel, answer = letters = _letters(equation)
        summed = [one for one in kernel if one in x and one not in answer]
        made = [one for one in kernel if one not in x]
        if not summed or not made:
            raise ValueError(
                f"equation: must sum over some axes of the kernel and make others, received {equation!r}"
            )
        free = next(one for one in string.ascii_letters if one not in "".join(letters))
        # axes of the kernel that `x` and the answer share, such as groups, are in both matrices
        self._first = "".join([one for one in kernel if one in x] + [free])
        self._second = "".join(
            [one for one in kernel if one in answer and one in x] + [free] + made
        )
        self._between = "".join(one for one in x if one not in summed) + free
        self._sizes = dict(zip(kernel, shape)) | {free: rank}
        reach = 1 / math.sqrt(math.prod(self._sizes[one] for one in summed))
        drawn = keras.initializers.RandomUniform(-reach, reach, seed=seed)
        self.a = self.add_weight(
            name="a",
            shape=[self._sizes[one] for one in self._first],
            initializer=drawn,
            dtype="float32",
        )
        self.b = self.add_weight(
            name="b",
            shape=[self._sizes[one] for one in self._second],
            initializer="zeros",
            dtype="float32",
        )
        self.built = True

    def call(self, x):
        scale = self.alpha / self.rank
        # `x` may have any number of axes
        if self.equation == DENSE:
            return ops.matmul(ops.matmul(x, self.a), self.b) * scale
        asked, _, answer = _letters(self.equation)
        narrow = ops.einsum(f"{asked},{self._first}->{self._between}", x, self.a)
        return ops.einsum(f"{self._between},{self._second}->{answer}", narrow, self.b) * scale

    def delta(self):
        """What is added to the kernel, float32 of its shape."""
        kernel = _letters(self.equation)[1]
        return ops.einsum(f"{self._first},{self._second}->{kernel}", self.a, self.b) * (
            self.alpha / self.rank
        )

    def get_config(self):
        own = {
            "equation": self.equation,
            "shape": self.shape,
            "rank": self.rank,
            "alpha": self.alpha,
            "seed": self.seed,
        }
        return super().get_config() | own


DENSE = "...x,xy->...y"


def _letters(equation):
    """The letters of `x`, of the kernel and of the answer; those that an ellipsis stands for have
    none.
    """
    x, rest = equation.replace(" ", "").split(",")
    return (x, *rest.split("->"))


@keras.saving.register_keras_serializable("multimodal_tf")
class LowRankRows(layers.Layer):
    """What LoRA adds to an `Embedding`: `alpha / rank * A[ids] B`, for the rows that are asked for
    alone.

    A is zero, B is drawn evenly from +-1 / sqrt(rank): of A a step changes few rows, so B has to be
    there from the beginning.

    Args:
        shape: (int, int). The table's.
        rank, alpha, seed: as `LowRank`.

    Call:
        `ids` is an integer `(...)`. Returns `(..., dim)`.

    Source: as `LowRank`.
    """

    def __init__(self, shape, rank, alpha, seed, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.shape, self.rank, self.alpha, self.seed = list(shape), rank, alpha, seed
        reach = 1 / math.sqrt(rank)
        drawn = keras.initializers.RandomUniform(-reach, reach, seed=seed)
        self.a = self.add_weight(
            name="a", shape=(shape[0], rank), initializer="zeros", dtype="float32"
        )
        self.b = self.add_weight(
            name="b", shape=(rank, shape[1]), initializer=drawn, dtype="float32"
        )
        self.built = True

    def call(self, ids):
        rows = ops.cast(ops.take(self.a, ops.cast(ids, "int32"), axis=0), self.compute_dtype)
        return ops.matmul(rows, self.b) * (self.alpha / self.rank)

    def delta(self):
        """What is added to the table, float32 of its shape."""
        return ops.matmul(self.a, self.b) * (self.alpha / self.rank)

    def get_config(self):
        return super().get_config() | {
            "shape": self.shape,
            "rank": self.rank,
            "alpha": self.alpha,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("multimodal_tf")
class Adapter(layers.Layer):
    """A bottleneck behind a layer: `x + activation(x D + d) U + u`. U and u begin as zero, so that
    at first nothing changes.

    Args:
        dim: int. The last axis' size.
        units: int. The bottleneck's width.
        activation: str, one of Keras'. A "linear" one can be merged into a layer before it.
        seed: int. Of the drawing of D.

    Call:
        `x` is `(..., dim)`. Returns the same shape, in the compute dtype.

    Example:
        >>> Adapter(3, units=2, activation="gelu", seed=0)(ops.ones((1, 3))).numpy().tolist()
        [[1.0, 1.0, 1.0]]

    Source: Houlsby et al. 2019, arXiv:1902.00751.
    """

    def __init__(self, dim, units, activation, seed, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dim, self.units, self.activation, self.seed = dim, units, activation, seed
        drawn = keras.initializers.GlorotUniform(seed)
        self.down = layers.Dense(
            units,
            activation=activation,
            kernel_initializer=drawn,
            dtype=self.dtype_policy,
            name="down",
        )
        self.up = layers.Dense(dim, kernel_initializer="zeros", dtype=self.dtype_policy, name="up")
        self.down.build((None, dim))
        self.up.build((None, units))
        self.built = True

    def call(self, x):
        return ops.add(x, self.up(self.down(x)))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {
            "dim": self.dim,
            "units": self.units,
            "activation": self.activation,
            "seed": self.seed,
        }
