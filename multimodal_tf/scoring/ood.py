"""Out-of-distribution scores of a row, from an embedding or from the probabilities of a head.

A score is higher for rows that are less like the training rows. Calling it with a tensor runs the
formula in a graph and keeps the dtype. Calling it with a NumPy array checks the array and returns
float64. `evaluation.ood` fits the arrays.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from multimodal_tf.scoring.agreement import unit_vectors
from multimodal_tf.scoring.probabilities import check_probabilities, log_probabilities

# rows of a NumPy array scored at a time
BLOCK = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Mahalanobis:
    """The squared Mahalanobis distance of an embedding to the nearest class, no unit.

    Args:
        whitening: float `(dim, dim)`.
        centres: float `(classes, dim)`, whitened.
        embedding: the embedding that is scored: `fused`, `fused_of_{head}`, or an input's name.

    Raises:
        ValueError: the shapes disagree, or a number is not finite.

    Example:
        >>> score = Mahalanobis(np.eye(2), np.array([[1.0, 1.0]]))
        >>> score([[1.0, 1.0], [4.0, 1.0]]), score(tf.constant([[1.0, 1.0]])).numpy()
        (array([0., 9.]), array([0.], dtype=float32))

    Source: Lee et al. 2018, arXiv:1807.03888, equation 2.
    """

    whitening: np.ndarray
    centres: np.ndarray
    embedding: str = "fused"

    def __post_init__(self) -> None:
        width = len(self.whitening)
        _check_matrix("guard.score.whitening", self.whitening, (width, width))
        _check_matrix("guard.score.centres", self.centres, (len(self.centres), width))

    @property
    def width(self) -> int:
        """Width of the embedding."""
        return len(self.whitening)

    def __call__(self, vectors: Any) -> Any:
        """`(rows,)` of embeddings `(rows, dim)`."""
        return _scored(self._formula, vectors, "embeddings", self.width)

    def _formula(self, vectors: tf.Tensor) -> tf.Tensor:
        # float64: a direction in which training rows hardly differ is stretched by thousands, and
        # then squared
        centres = tf.constant(self.centres, tf.float64)
        white = tf.matmul(tf.cast(vectors, tf.float64), tf.constant(self.whitening, tf.float64))
        squares = tf.maximum(tf.reduce_min(_squared_distances(white, centres), axis=1), 0)
        return tf.cast(squares, vectors.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """The distance of an embedding to the k-th nearest row of a bank, 0 to 2.

    All vectors are scaled to length 1. A zero embedding is at distance 1 from all. A row of the
    bank is its own nearest neighbour, so score other rows.

    Args:
        bank: float `(bank rows, dim)`, each row of length 1 or 0.
        k: int, from 1 to the bank's rows.
        embedding: as in `Mahalanobis`.

    Raises:
        ValueError: `k` is out of range, a row has another length, or a number is not finite.

    Example:
        >>> NearestNeighbour(np.eye(2), k=2)([[0.0, 3.0]]).round(4)
        array([1.4142])

    Source: Sun et al. 2022, arXiv:2204.06507.
    """

    bank: np.ndarray
    k: int
    embedding: str = "fused"

    def __post_init__(self) -> None:
        _check_matrix("guard.score.bank", self.bank, (len(self.bank), np.shape(self.bank)[-1]))
        if not 1 <= self.k <= len(self.bank):
            raise ValueError(
                f"guard.score.k must be from 1 to the {len(self.bank)} rows of the bank, "
                f"received {self.k}"
            )
        lengths = np.linalg.norm(self.bank, axis=1)
        if (np.minimum(lengths, np.abs(lengths - 1)) > 1e-3).any():
            raise ValueError(
                "guard.score.bank must have rows of length 1 or 0, "
                f"received lengths up to {lengths.max():g}"
            )

    @property
    def width(self) -> int:
        """Width of the embedding."""
        return int(self.bank.shape[1])

    def __call__(self, vectors: Any) -> Any:
        """`(rows,)` of embeddings `(rows, dim)`."""
        return _scored(self._formula, vectors, "embeddings", self.width)

    def _formula(self, vectors: tf.Tensor) -> tf.Tensor:
        squares = _squared_distances(unit_vectors(vectors), tf.constant(self.bank, vectors.dtype))
        return tf.sqrt(tf.maximum(-tf.math.top_k(-squares, self.k).values[:, -1], 0))


@dataclasses.dataclass(frozen=True)
class MaximumSoftmax:
    """1 - the highest probability of a head that chooses one class.

    Example:
        >>> MaximumSoftmax("label")([[0.75, 0.25], [0.5, 0.5]])
        array([0.25, 0.5 ])

    Source: Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """

    head: str

    def __call__(self, probabilities: Any) -> Any:
        """`(rows,)` of probabilities `(rows, classes)`."""
        return _scored(self._formula, probabilities, "probabilities")

    def _formula(self, probabilities: tf.Tensor) -> tf.Tensor:
        return 1 - tf.reduce_max(probabilities, axis=1)


@dataclasses.dataclass(frozen=True)
class Energy:
    """The energy of a head that chooses one class, nats: -log(sum(exp(logits))).

    Logits are taken to have a mean of 0 over the classes. What all logits of a row have in common
    does not change its probabilities, and training does not move it. The energy is then the mean
    of the log probabilities.

    Example:
        >>> Energy("label")([[0.5, 0.5], [0.9, 0.1]]).round(4)
        array([-0.6931, -1.204 ])

    Source: Liu et al. 2020, arXiv:2010.03759, equation 4, temperature 1.
    """

    head: str

    def __call__(self, probabilities: Any) -> Any:
        """`(rows,)` of probabilities `(rows, classes)`."""
        return _scored(self._formula, probabilities, "probabilities")

    def _formula(self, probabilities: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(log_probabilities(probabilities), axis=1)


Score: TypeAlias = Mahalanobis | NearestNeighbour | MaximumSoftmax | Energy


def score_input(score: Score, predictions: Mapping[str, Any], vectors: Mapping[str, Any]) -> Any:
    """What a score is called with.

    Args:
        score: a score.
        predictions: the model's outputs by head.
        vectors: embeddings by name.
    """
    if isinstance(score, MaximumSoftmax | Energy):
        return predictions[score.head]
    return vectors[score.embedding]


def finite_rows(
    name: str, values: ArrayLike, width: int | None = None, least: int = 2
) -> np.ndarray:
    """Checks an array of rows.

    Args:
        name: what the array is called in errors.
        values: float `(rows, width)`.
        width: int. None: any width from 1 on.
        least: int. The least number of rows.

    Returns:
        float64 `(rows, width)`.

    Raises:
        ValueError: the shape differs, or a number is NaN or infinite.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or len(array) < least or array.shape[1] != (width or max(array.shape[1], 1)):
        raise ValueError(
            f"{name} must have the shape (at least {least} rows, {width or 'dim'}), "
            f"received {array.shape}"
        )
    wrong = ~np.isfinite(array).all(axis=1)
    if wrong.any():
        raise ValueError(
            f"{name} must be finite numbers, received NaN or infinity "
            f"in {wrong.sum()} of {len(array)} rows"
        )
    return array


def _scored(
    formula: Callable[[tf.Tensor], tf.Tensor], values: Any, name: str, width: int | None = None
) -> Any:
    """A tensor's scores as a tensor; those of an array as float64 array, in blocks."""
    if tf.is_tensor(values):
        return formula(values)
    array = finite_rows(name, values, width, least=0)
    if name == "probabilities":
        check_probabilities(array)
    starts = range(0, len(array), BLOCK)
    blocks = [formula(tf.constant(array[start : start + BLOCK])).numpy() for start in starts]
    return np.concatenate([np.empty(0), *blocks])


def _squared_distances(rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """`(rows, others)`, of `(rows, dim)` and `(others, dim)`."""
    products = tf.matmul(rows, others, transpose_b=True)
    return _squares(rows)[:, None] - 2 * products + _squares(others)


def _squares(vectors: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(vectors), axis=1)


def _check_matrix(name: str, matrix: np.ndarray, shape: tuple[int, ...]) -> None:
    array = np.asarray(matrix)
    if array.shape != shape or 0 in shape or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name} must be numbers of the shape {shape}, received {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, received NaN or infinity")
