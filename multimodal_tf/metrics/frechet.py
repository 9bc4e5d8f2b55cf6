"""The Fréchet distance of two samples of vectors."""

import numpy as np
from numpy.typing import ArrayLike


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """How far two samples of vectors are apart, as normal distributions with their moments.

    With embeddings of real and of predicted images it says how alike both sets are, whichever image
    belongs to which row. Values of different embeddings do not compare; those of an Inception
    network, called FID, are others.

    Args:
        first, second: float `(rows, dim)`, two rows or more each. Few rows make it larger: compare
            it with the distance of two samples of real images that are as large.

    Returns:
        The squared distance, in the square of the vectors' unit, 0 or more.

    Raises:
        ValueError: a shape is another one, or a number is not finite.

    Example:
        >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
        9.0

    Source: Dowson and Landau 1982, «The Fréchet distance between multivariate normal
    distributions», equation 4; for images Heusel et al. 2017, arXiv:1706.08500.
    """
    one, other = _checked("first", first), _checked("second", second)
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"second must have vectors of {one.shape[1]} numbers, as first, "
            f"received {other.shape[1]}"
        )
    shift = one.mean(axis=0) - other.mean(axis=0)
    root, theirs = _root(np.atleast_2d(np.cov(one.T))), np.atleast_2d(np.cov(other.T))
    # the trace of the root of a product is the sum of the roots of its eigenvalues, and the product
    # has those of this symmetric matrix
    products = np.linalg.eigvalsh(root @ theirs @ root)
    common = np.sqrt(np.maximum(products, 0)).sum()
    return max(0.0, float(shift @ shift + (root**2).sum() + np.trace(theirs) - 2 * common))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric root; the squares of its numbers add up to the covariance's trace."""
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _checked(name: str, vectors: ArrayLike) -> np.ndarray:
    rows = np.asarray(vectors, dtype=float)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(
            f"{name} must have the shape (rows, dim) with two rows or more, received {rows.shape}"
        )
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} must be finite numbers, received NaN or infinity")
    return rows
