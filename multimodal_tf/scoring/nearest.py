"""The nearest of many vectors, exactly, without a matrix of all pairs."""

import numpy as np
import tensorflow as tf

# queries and items whose scores are in memory at a time, 4 bytes each
_QUERIES, _ITEMS = 1024, 8192


def nearest(queries: np.ndarray, items: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The items with the largest scalar products with each query, by all items.

    Args:
        queries: float32 `(n, dim)`.
        items: float32 `(m, dim)`.
        first: how many items of each query, 1 or more.

    Returns:
        int64 indices of items and float32 scores, `(n, min(first, m))`, best first; of equal ones
        the item that comes first.

    Example:
        >>> items = np.array([[1, 0], [0, 1], [-1, 0]], "float32")
        >>> index, scores = nearest(np.array([[0.5, 1]], "float32"), items, first=2)
        >>> index.tolist(), scores.tolist()
        ([[1, 0]], [[1.0, 0.5]])
    """
    width = min(first, len(items))
    index = np.empty((len(queries), width), np.int64)
    scores = np.empty((len(queries), width), np.float32)
    for start in range(0, len(queries), _QUERIES):
        rows = slice(start, start + _QUERIES)
        index[rows], scores[rows] = _of_block(queries[rows], items, width)
    return index, scores


def _of_block(queries: np.ndarray, items: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    index = tf.zeros([len(queries), 0], tf.int64)
    scores = tf.zeros([len(queries), 0], tf.float32)
    for start in range(0, len(items), _ITEMS):
        found = tf.matmul(queries, items[start : start + _ITEMS], transpose_b=True)
        best, place = tf.math.top_k(found, min(width, found.shape[1]))
        # of equal scores the lower place comes first, and so do the blocks before
        scores = tf.concat([scores, best], axis=1)
        index = tf.concat([index, tf.cast(place, tf.int64) + start], axis=1)
        scores, place = tf.math.top_k(scores, min(width, scores.shape[1]))
        index = tf.gather(index, place, batch_dims=1)
    return index.numpy(), scores.numpy()
