"""The figures of ordinal, quantile and matching heads; see `metrics.supervised`, whose rules hold
here too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import nearest_to_median
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.supervised import (
    ONE_CLASS,
    HeadMetrics,
    as_metrics,
    classification,
    column,
    known_rows,
    mean_metrics,
    regression,
)


def ordinal(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadMetrics:
    """Figures of a head that chooses one class out of several in an order: those of
    `classification`, and `rank_mae`, how many steps the chosen class is away from the right one, in
    the mean.

    Args, returns, raises: as `classification`, `classes` in their order.

    Example:
        >>> head = ordinal([0, 2], [[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], ["S", "M", "L"], resamples=0)
        >>> head.figures["accuracy"].value, head.figures["rank_mae"].value
        (0.5, 1.0)
    """
    head = classification(labels, probabilities, classes, known, resamples, seed)
    truth, scores = known_rows(labels, (), probabilities, (len(classes),), known)
    rows = rank_rows(truth, scores)
    return head.model_copy(
        update={"type": "ordinal", "figures": head.figures | mean_metrics(rows, resamples, seed)}
    )


def rank_rows(truth: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """What `ordinal` takes the mean of besides, by name, a number a row."""
    return {"rank_mae": np.abs(scores.argmax(axis=1) - truth)}


def quantile(
    labels: ArrayLike,
    quantiles: ArrayLike,
    levels: Sequence[float],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadMetrics:
    """Figures of a head that says quantiles of a number: those of `regression` for the one nearest
    to the median; `pinball`, the loss whose least mean is at the quantiles, mean over these;
    `coverage`, the share of rows between the lowest and the highest; `width`, the mean distance of
    these. All but `r2` and `coverage` are in the label's unit.

    Args:
        labels: float `(rows,)` or `(rows, 1)`.
        quantiles: float `(rows, levels)`.
        levels: the quantiles' probabilities, rising.
        known, resamples, seed: as in `classification`.

    Returns:
        `HeadMetrics`; without known rows all its figures are None, and `r2` is None where all
        labels are equal.

    Raises:
        ValueError: the shapes disagree, or a quantile or known label is NaN.

    Example:
        >>> head = quantile([1.0, 9.0], [[0.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [0.1, 0.5, 0.9], resamples=0)
        >>> head.figures["coverage"].value, head.figures["width"].value, head.figures["mae"].value
        (0.5, 2.5, 2.5)
    """
    truth, said = known_rows(column(labels), (), quantiles, (len(levels),), known)
    head = regression(truth, said[:, nearest_to_median(levels)], resamples=resamples, seed=seed)
    rows = quantile_rows(truth, said, levels)
    return head.model_copy(
        update={"type": "quantile", "figures": head.figures | mean_metrics(rows, resamples, seed)}
    )


def quantile_rows(
    truth: np.ndarray, said: np.ndarray, levels: Sequence[float]
) -> dict[str, np.ndarray]:
    """What `quantile` takes the mean of besides, by name, a number a row."""
    above, chances = truth[:, None] - said, np.array(levels)
    return {
        "pinball": np.maximum(chances * above, (chances - 1) * above).mean(axis=1),
        "coverage": (truth >= said[:, 0]) & (truth <= said[:, -1]),
        "width": said[:, -1] - said[:, 0],
    }


def matching(vectors: ArrayLike, resamples: int = 1000, seed: int = 0) -> HeadMetrics:
    """Figures of a head that says whether two inputs belong together, on each row's own pair and on
    as many mismatched ones: each row's first with the second of the next row, the last's with the
    first row's. However the rows were batched, the pairs are the same.

    `accuracy` (of the answer «they do» from a probability of 0.5 on), `auroc` and `log_loss`
    (nats). An interval's resamples draw rows, each with its two pairs. Rows that lack one of the
    two do not count.

    Args:
        vectors: float `(rows, 2, dim)`: the scalar product of two vectors is the logit of their
            belonging together; zeros where one is absent.
        resamples, seed: as in `classification`.

    Returns:
        `HeadMetrics`; all its figures are None without two rows that have both.

    Raises:
        ValueError: the shape is another, or a number is NaN.

    Example:
        >>> head = matching([[[2.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [-1.0, 1.0]]], resamples=0)  # logits: own 2, 2; mismatched -2, 0
        >>> head.figures["accuracy"].value, head.figures["auroc"].value
        (0.75, 1.0)
    """
    both = np.asarray(vectors, dtype=float)
    if both.ndim != 3 or both.shape[1] != 2:
        raise ValueError(f"predictions must have the shape (rows, 2, dim), received {both.shape}")
    if not np.isfinite(both).all():
        raise ValueError("predictions must be finite numbers, received NaN or infinity")
    both = both[(both != 0).any(axis=(1, 2))]
    if len(both) < 2:
        return HeadMetrics(
            type="matching", n=len(both), figures=as_metrics("matching", {}, {}, ONE_CLASS)
        )
    first, second = both[:, 0], both[:, 1]
    own, mismatched = (
        (first * second).sum(axis=1),
        (first * np.roll(second, -1, axis=0)).sum(axis=1),
    )
    rows = {
        "accuracy": ((own >= 0) * 1.0 + (mismatched < 0)) / 2,
        "log_loss": (np.logaddexp(0, -own) + np.logaddexp(0, mismatched)) / 2,
    }
    area = bootstrap.auroc(
        (np.arange(2 * len(own)) < len(own))[:, None], np.concatenate([own, mismatched])[:, None]
    )

    def resampled(index):
        return bootstrap.row_means(rows)(index) | area(np.concatenate([index, index + len(own)]))

    values = resampled(np.arange(len(own)))
    samples = bootstrap.resample(resampled, len(own), resamples, seed)
    return HeadMetrics(
        type="matching", n=len(own), figures=as_metrics("matching", values, samples, ONE_CLASS)
    )
