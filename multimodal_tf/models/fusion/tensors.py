"""Fusions that multiply the inputs with each other.

A 1 is appended to each vector (Zadeh et al. 2017, arXiv:1707.07250), so that the product also
contains each input alone. Of a missing input, whose vector is zero, only the 1 remains.
"""

import itertools
import math
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import BilinearFusion, LowRankTensorFusion
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.fusion.explanations import Fused
from multimodal_tf.models.fusion.vectors import Encodings, Present, last_layers, projected
from multimodal_tf.models.layer import Layer


@keras.saving.register_keras_serializable("multimodal_tf")
class PairwiseBilinear(Layer):
    """`sum over i < j of [x_i, 1] W_ij [x_j, 1]`: a bilinear form of every two inputs.

    Args:
        units: width of the output.

    Call:
        `x` is `(batch, inputs, dim)`, two inputs or more, zero where an input is missing. Returns
        `(batch, units)`.

    Raises:
        ValueError: there are fewer than two inputs.

    Source: Tenenbaum and Freeman 2000, «Separating Style and Content with Bilinear Models»,
    equation 1.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: tuple[int, int, int]) -> None:
        _, inputs, dim = shape
        if inputs < 2:
            raise ValueError(f"PairwiseBilinear needs two inputs or more, received {inputs}")
        pairs = inputs * (inputs - 1) // 2
        # the output is then as large as a number of `x`
        stddev = 1 / ((dim + 1) * math.sqrt(pairs))
        self.kernel = self.add_weight(
            shape=(pairs, dim + 1, dim + 1, self.units),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
            name="kernel",
        )

    def call(self, x: Any) -> Any:
        x = ops.concatenate([x, ops.ones_like(x[:, :, :1])], axis=2)
        first, second = zip(*itertools.combinations(range(x.shape[1]), 2))
        left, right = ops.take(x, first, axis=1), ops.take(x, second, axis=1)
        half = ops.einsum("bpi,pijo->bpjo", left, ops.cast(self.kernel, x.dtype))
        return ops.einsum("bpjo,bpj->bo", half, right)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("multimodal_tf")
class LowRankTensor(Layer):
    """`sum over r of the product over i of (W_i,r x_i + c_i,r)`, elementwise, plus a bias.

    It is a linear map of the outer product of all `[x_i, 1]`, whose weight tensor has rank `rank`;
    that tensor is never made.

    Args:
        units: width of the output.
        rank: of the weight tensor.

    Call:
        `vectors` is a list of `(batch, dim)`, of any dims, zero where an input is missing. Returns
        `(batch, units)`.

    Source: Liu et al. 2018, arXiv:1806.00064. The `c` start as ones, not as small random numbers:
    else the product of many inputs, and its gradients, would start and stay near zero. The bias
    starts as minus their sum.
    """

    def __init__(self, units: int, rank: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.rank = units, rank

    def build(self, shapes: list[tuple[int, int]]) -> None:
        width = self.rank * self.units
        self.kernels, self.constants = [], []
        for index, (_, dim) in enumerate(shapes):
            self.kernels.append(
                self.add_weight(
                    shape=(dim, width), initializer="glorot_uniform", name=f"kernel_{index}"
                )
            )
            self.constants.append(
                self.add_weight(shape=(width,), initializer="ones", name=f"constant_{index}")
            )
        self.bias = self.add_weight(
            shape=(self.units,), initializer=keras.initializers.Constant(-self.rank), name="bias"
        )

    def call(self, vectors: list[Any]) -> Any:
        product = None
        for x, kernel, constant in zip(vectors, self.kernels, self.constants):
            factor = ops.matmul(x, ops.cast(kernel, x.dtype)) + ops.cast(constant, x.dtype)
            product = factor if product is None else product * factor
        return ops.sum(ops.reshape(product, (-1, self.rank, self.units)), axis=1) + ops.cast(
            self.bias, self.compute_dtype
        )

    def compute_output_shape(self, shapes: list[Shape]) -> Shape:
        return (shapes[0][0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "rank": self.rank}


def bilinear(fusion: BilinearFusion, encodings: Encodings, present: Present, name: str) -> Fused:
    """A bilinear form of every two projected inputs; one input alone is only projected.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; no explanations.

    Source: Tenenbaum and Freeman 2000; of an image and a question: Fukui et al. 2016,
    arXiv:1606.01847.
    """
    x, _ = projected(fusion.dim, encodings, present, name)
    if len(encodings) == 1:
        x = layers.Reshape((fusion.dim,), name=f"{name}_alone")(x)
    else:
        x = PairwiseBilinear(fusion.dim, name=f"{name}_bilinear")(x)
    return Fused(last_layers(fusion, x, name), {})


def low_rank_tensor(
    fusion: LowRankTensorFusion, encodings: Encodings, present: Present, name: str
) -> Fused:
    """A linear map of the product of all inputs, `LowRankTensor`.

    In a row without inputs, its bias and constants remain.

    Args:
        fusion: its configuration.
        encodings, present, name: see `models.fusion.fuse`.

    Returns:
        The vector `(batch, fusion.dim)`, or of the last width in `fusion.hidden`; no explanations.

    Source: Liu et al. 2018, arXiv:1806.00064.
    """
    vectors = [encoding.vector for encoding in encodings.values()]
    x = LowRankTensor(fusion.dim, fusion.rank, name=f"{name}_tensor")(vectors)
    return Fused(last_layers(fusion, x, name), {})
