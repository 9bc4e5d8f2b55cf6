"""Fusions that multiply the inputs with each other.

Each vector gets a 1 at its end (Zadeh et al. 2017, arXiv:1707.07250): so the product holds what
each input says by itself too, and of an absent one, whose vector is zero, only the 1 remains.
"""

import itertools
import math

import keras
from keras import layers, ops

from multimodal_tf.models.fusion.vectors import finished, projected


@keras.saving.register_keras_serializable("multimodal_tf")
class PairwiseBilinear(layers.Layer):
    """`sum over i < j of [x_i, 1] W_ij [x_j, 1]`: a bilinear form of every two inputs, with `units`
    answers.

    Args:
        units: int.

    Call:
        `x` is `(batch, inputs, dim)`, two inputs or more, zero where an input is absent. Returns
        `(batch, units)`.

    Raises:
        ValueError: there are fewer than two inputs.

    Source: Tenenbaum and Freeman 2000, «Separating Style and Content with Bilinear Models»,
    equation 1.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        _, inputs, dim = shape
        if inputs < 2:
            raise ValueError(f"PairwiseBilinear needs two inputs or more, received {inputs}")
        pairs = inputs * (inputs - 1) // 2
        drawn = keras.initializers.RandomNormal(
            stddev=1 / ((dim + 1) * math.sqrt(pairs))
            # so that an answer is as large as a number of `x`
        )
        self.kernel = self.add_weight(
            shape=(pairs, dim + 1, dim + 1, self.units), initializer=drawn, name="kernel"
        )

    def call(self, x):
        x = ops.concatenate([x, ops.ones_like(x[:, :, :1])], axis=2)
        first, second = zip(*itertools.combinations(range(x.shape[1]), 2))
        left, right = ops.take(x, first, axis=1), ops.take(x, second, axis=1)
        half = ops.einsum("bpi,pijo->bpjo", left, ops.cast(self.kernel, x.dtype))
        return ops.einsum("bpjo,bpj->bo", half, right)

    def compute_output_shape(self, shape):
        return (shape[0], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("multimodal_tf")
class LowRankTensor(layers.Layer):
    """`sum over r of the product over i of (W_i,r x_i + c_i,r)`, number by number, plus a bias.

    It is a linear map of the outer product of all `[x_i, 1]`, whose tensor of weights has rank
    `rank`; that tensor is never made.

    Args:
        units: int. Numbers that come out.
        rank: int.

    Call:
        `vectors` is a list of `(batch, dim)`, of any dims, zero where an input is absent. Returns
        `(batch, units)`.

    Source: Liu et al. 2018, arXiv:1806.00064. The `c` begin as ones, not as small random numbers:
    else the product of many inputs begins, and its gradients stay, near zero. The bias begins as
    minus their sum.
    """

    def __init__(self, units, rank, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rank = units, rank

    def build(self, shapes):
        self.kernels, self.constants = [], []
        for number, (_, dim) in enumerate(shapes):
            self.kernels.append(
                self.add_weight(
                    shape=(dim, self.rank * self.units),
                    initializer="glorot_uniform",
                    name=f"kernel_{number}",
                )
            )
            self.constants.append(
                self.add_weight(
                    shape=(self.rank * self.units,), initializer="ones", name=f"constant_{number}"
                )
            )
        self.bias = self.add_weight(
            shape=(self.units,), initializer=keras.initializers.Constant(-self.rank), name="bias"
        )

    def call(self, vectors):
        product = None
        for x, kernel, constant in zip(vectors, self.kernels, self.constants):
            factor = ops.matmul(x, ops.cast(kernel, x.dtype)) + ops.cast(constant, x.dtype)
            product = factor if product is None else product * factor
        return ops.sum(ops.reshape(product, (-1, self.rank, self.units)), axis=1) + ops.cast(
            self.bias, self.compute_dtype
        )

    def compute_output_shape(self, shapes):
        return (shapes[0][0], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units, "rank": self.rank}


def bilinear(fusion, encodings, present, name):
    """A bilinear form of every two projected inputs, `PairwiseBilinear`; one input alone is only
    projected.

    Args:
        fusion: `config.BilinearFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Tenenbaum and Freeman 2000; of an image and a question: Fukui et al. 2016,
    arXiv:1606.01847.
    """
    x, _ = projected(fusion, encodings, present, name)
    if len(encodings) == 1:
        return finished(fusion, layers.Reshape((fusion.dim,), name=f"{name}_alone")(x), name)
    return finished(fusion, PairwiseBilinear(fusion.dim, name=f"{name}_bilinear")(x), name)


def low_rank_tensor(fusion, encodings, present, name):
    """A linear map of the product of all inputs, `LowRankTensor`; where all are absent, its bias
    and constants remain.

    Args:
        fusion: `config.LowRankTensorFusion`.
        encodings, present, name: as `models.fusion.fuse` says.

    Returns:
        `(batch, fusion.dim)`, or the last of `fusion.hidden`.

    Source: Liu et al. 2018, arXiv:1806.00064.
    """
    vectors = [encoding.vector for encoding in encodings.values()]
    return finished(
        fusion, LowRankTensor(fusion.dim, fusion.rank, name=f"{name}_tensor")(vectors), name
    )
