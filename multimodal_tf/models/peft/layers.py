"""Layers for parameter-efficient fine-tuning: a low-rank update of a kernel, and adapters.

Keras' own `enable_lora` was not enough (3.15). For an `EinsumDense` its first matrix has a part for
each attention head, six times the paper's weights for MiniLM. An `Embedding` multiplies its whole
table in every step. A saved model is loaded with both matrices zero, which are never trained again,
and under mixed precision with a kernel rounded to 16 bits. Only saving merges.
"""

import math
import string
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer

# the equation of a `Dense`
DENSE = "...x,xy->...y"


@keras.saving.register_keras_serializable("multimodal_tf")
class LowRank(Layer):
    """What LoRA adds to a `Dense` or `EinsumDense`: `alpha / rank * (x A) B`.

    It is added before the bias and the activation. A is drawn uniformly from +-1 / sqrt(inputs), B
    is zero, so that the output is unchanged at first. Both are float32.

    Args:
        equation: of the `EinsumDense`; of a `Dense`, `DENSE`.
        shape: of the kernel.
        rank: > 0.
        alpha: > 0.
        seed: of the random numbers.

    Call:
        `x` as for the layer. Returns what is added, in the compute dtype.

    Raises:
        ValueError: the equation sums over no axis of the kernel, or adds none.

    Example:
        >>> layer = LowRank(DENSE, [3, 4], rank=2, alpha=2.0, seed=0)
        >>> shapes = [tuple(weight.shape) for weight in layer.weights]
        >>> layer(ops.ones((5, 3))).shape, shapes, float(ops.sum(layer.delta()))
        (TensorShape([5, 4]), [(3, 2), (2, 4)], 0.0)

    Source: Hu et al. 2021, arXiv:2106.09685.
    """

    def __init__(
        self,
        equation: str,
        shape: Sequence[int],
        rank: int,
        alpha: float,
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.equation, self.shape = equation, list(shape)
        self.rank, self.alpha, self.seed = rank, alpha, seed
        x, kernel, output = _letters(equation)
        summed = [one for one in kernel if one in x and one not in output]
        added = [one for one in kernel if one not in x]
        if not summed or not added:
            raise ValueError(
                "equation: must sum over some axes of the kernel and make others, "
                f"received {equation!r}"
            )
        free = next(one for one in string.ascii_letters if one not in x + kernel + output)
        # axes of the kernel that `x` and the output share, such as groups, are in both matrices
        shared = [one for one in kernel if one in output and one in x]
        self._first = "".join([one for one in kernel if one in x] + [free])
        self._second = "".join(shared + [free] + added)
        self._between = "".join(one for one in x if one not in summed) + free
        sizes = dict(zip(kernel, shape)) | {free: rank}
        reach = 1 / math.sqrt(math.prod(sizes[one] for one in summed))
        self.a = self.add_weight(
            name="a",
            shape=[sizes[one] for one in self._first],
            initializer=keras.initializers.RandomUniform(-reach, reach, seed=seed),
            dtype="float32",
        )
        self.b = self.add_weight(
            name="b",
            shape=[sizes[one] for one in self._second],
            initializer="zeros",
            dtype="float32",
        )
        self.built = True

    def call(self, x: Any) -> Any:
        scale = self.alpha / self.rank
        a, b = (ops.cast(one, self.compute_dtype) for one in (self.a, self.b))
        # `x` may have any number of axes
        if self.equation == DENSE:
            return ops.matmul(ops.matmul(x, a), b) * scale
        given, _, output = _letters(self.equation)
        narrow = ops.einsum(f"{given},{self._first}->{self._between}", x, a)
        return ops.einsum(f"{self._between},{self._second}->{output}", narrow, b) * scale

    def compute_output_spec(self, x: Any) -> keras.KerasTensor:
        # Keras traces `call` with the float32 weights
        return keras.KerasTensor(super().compute_output_spec(x).shape, self.compute_dtype)

    def delta(self) -> Any:
        """The update of the kernel, float32 of its shape."""
        kernel = _letters(self.equation)[1]
        product = ops.einsum(f"{self._first},{self._second}->{kernel}", self.a, self.b)
        return product * (self.alpha / self.rank)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "equation": self.equation,
            "shape": self.shape,
            "rank": self.rank,
            "alpha": self.alpha,
            "seed": self.seed,
        }


def _letters(equation: str) -> tuple[str, str, str]:
    """The letters of `x`, the kernel and the output; the axes of an ellipsis have none."""
    x, rest = equation.replace(" ", "").split(",")
    kernel, output = rest.split("->")
    return x, kernel, output


@keras.saving.register_keras_serializable("multimodal_tf")
class LowRankEmbedding(Layer):
    """What LoRA adds to an `Embedding`: `alpha / rank * A[ids] B`, for the given ids alone.

    A is zero, B is drawn uniformly from +-1 / sqrt(rank). A step changes only few rows of A, so B
    must not be the one that starts at zero.

    Args:
        shape: of the table.
        rank, alpha, seed: as `LowRank`.

    Call:
        `ids` is an integer `(...)`. Returns `(..., dim)`.

    Source: as `LowRank`.
    """

    def __init__(
        self, shape: Sequence[int], rank: int, alpha: float, seed: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.shape, self.rank, self.alpha, self.seed = list(shape), rank, alpha, seed
        reach = 1 / math.sqrt(rank)
        self.a = self.add_weight(
            name="a", shape=(shape[0], rank), initializer="zeros", dtype="float32"
        )
        self.b = self.add_weight(
            name="b",
            shape=(rank, shape[1]),
            initializer=keras.initializers.RandomUniform(-reach, reach, seed=seed),
            dtype="float32",
        )
        self.built = True

    def call(self, ids: Any) -> Any:
        rows = ops.cast(ops.take(self.a, ops.cast(ids, "int32"), axis=0), self.compute_dtype)
        return ops.matmul(rows, ops.cast(self.b, rows.dtype)) * (self.alpha / self.rank)

    def compute_output_spec(self, ids: Any) -> keras.KerasTensor:
        return keras.KerasTensor((*ids.shape, self.shape[1]), self.compute_dtype)

    def delta(self) -> Any:
        """The update of the table, float32 of its shape."""
        return ops.matmul(self.a, self.b) * (self.alpha / self.rank)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "shape": self.shape,
            "rank": self.rank,
            "alpha": self.alpha,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("multimodal_tf")
class Adapter(Layer):
    """A bottleneck after a layer: `x + activation(x D + d) U + u`.

    U and u are zero at first, so that the output is unchanged.

    Args:
        dim: size of the last axis.
        units: width of the bottleneck.
        activation: name in Keras. A "linear" adapter can be merged into the layer before it.
        seed: of D's random numbers.

    Call:
        `x` is `(..., dim)`. Returns the same shape, in the compute dtype.

    Example:
        >>> Adapter(3, units=2, activation="gelu", seed=0)(ops.ones((1, 3))).numpy().tolist()
        [[1.0, 1.0, 1.0]]

    Source: Houlsby et al. 2019, arXiv:1902.00751.
    """

    def __init__(self, dim: int, units: int, activation: str, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dim, self.units, self.activation, self.seed = dim, units, activation, seed
        self.down = layers.Dense(
            units,
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            dtype=self.dtype_policy,
            name="down",
        )
        self.up = layers.Dense(dim, kernel_initializer="zeros", dtype=self.dtype_policy, name="up")
        self.down.build((None, dim))
        self.up.build((None, units))
        self.built = True

    def call(self, x: Any) -> Any:
        # not `ops.add`, which takes a batch of no rows for a bias
        return x + self.up(self.down(x))

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "units": self.units,
            "activation": self.activation,
            "seed": self.seed,
        }
