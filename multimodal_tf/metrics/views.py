"""Metrics of two views of one cell: how well one finds the other."""

from numpy.typing import ArrayLike

from multimodal_tf.metrics.alignment import alignment
from multimodal_tf.metrics.metric import HeadMetrics


def views(
    cells: ArrayLike,
    vectors: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Retrieval of each row's second view by its first, among those of all rows.

    Args:
        cells: int `(rows, 2)`, equal numbers for equal cells, which are relevant to each other.
        vectors: float `(rows, 2, dim + 2)`, as the head's output; zeros where the cell is missing.
        resamples, seed, groups: as in `classification`.

    Returns:
        `HeadMetrics`, its metrics those of `metrics.retrieval.Retrieval`; None where fewer than two
        rows, or than its K, have a cell.

    Raises:
        ValueError: a shape differs, or a number is NaN.

    Example:
        >>> rows = [[[1, 0, 9, 0], [1, 0, 9, 0]], [[0, 1, 9, 0], [0.8, 0.6, 9, 0]]]
        >>> views([[0, 0], [1, 1]], rows, resamples=0).metrics["recall_at_1"].value
        1.0
    """
    both = alignment(cells, vectors, ["first", "second"], resamples, seed, groups)
    prefix = "first_to_second_"
    metrics = {
        name.removeprefix(prefix): metric
        for name, metric in both.metrics.items()
        if name.startswith(prefix)
    }
    return HeadMetrics(type="views", n=both.n, metrics=metrics)
