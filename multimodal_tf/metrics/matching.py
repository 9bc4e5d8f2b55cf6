"""Metrics of heads that predict whether two inputs belong together."""

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.known_rows import known_groups
from multimodal_tf.metrics.metric import ONE_CLASS, HeadMetrics, named_metrics

METRICS = ("accuracy", "auroc", "log_loss")


def matching(
    vectors: ArrayLike, resamples: int = 1000, seed: int = 0, groups: ArrayLike | None = None
) -> HeadMetrics:
    """Metrics of a matching head, on each row's own pair and on as many mismatched pairs.

    A mismatched pair is a row's first vector with the second vector of the next row; the last row
    takes that of the first. The pairs do not depend on how rows were batched.

    `accuracy` (a pair is predicted to match from a probability of 0.5 on), `auroc` and `log_loss`
    (nats). Resamples draw rows, each with its two pairs. Rows that lack an input do not count.

    Args:
        vectors: float `(rows, 2, dim)`. The scalar product of the two vectors is the logit of a
            match; zeros where an input is missing.
        resamples, seed, groups: as in `classification`.

    Returns:
        `HeadMetrics`; all metrics are None without two rows that have both inputs.

    Raises:
        ValueError: the shape differs, or a number is NaN.

    Example:
        >>> rows = [[[2.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [-1.0, 1.0]]]
        >>> head = matching(rows, resamples=0)  # logits: own 2, 2; mismatched -2, 0
        >>> head.metrics["accuracy"].value, head.metrics["auroc"].value
        (0.75, 1.0)
    """
    both = np.asarray(vectors, dtype=float)
    if both.ndim != 3 or both.shape[1] != 2:
        raise ValueError(f"predictions must have the shape (rows, 2, dim), received {both.shape}")
    if not np.isfinite(both).all():
        raise ValueError("predictions must be finite numbers, received NaN or infinity")
    present = (both != 0).any(axis=(1, 2))
    codes = known_groups(groups, present, len(both))
    both = both[present]
    n = len(both)
    if n < 2:
        empty = named_metrics(METRICS, n, {}, {}, ONE_CLASS)
        return HeadMetrics(type="matching", n=n, metrics=empty)
    first, second = both[:, 0], both[:, 1]
    own = (first * second).sum(axis=1)
    mismatched = (first * np.roll(second, -1, axis=0)).sum(axis=1)
    return _of_logits("matching", own, mismatched[:, np.newaxis], resamples, seed, codes)


def token_matching(
    outputs: ArrayLike, resamples: int = 1000, seed: int = 0, groups: ArrayLike | None = None
) -> HeadMetrics:
    """Metrics of a token matching head, as `matching`, on each row's pair and two hard ones.

    The mismatched pairs are those that the model drew from its batch, so that metrics depend on
    which rows stood beside each other. Rows that lack an input, or for which the batch held no
    mismatched pair, do not count.

    Args:
        outputs: float `(rows, 2, 3)`, as `losses.TokenMatchingLoss` has them.
        resamples, seed, groups: as in `classification`.

    Returns:
        As `matching`.

    Raises:
        ValueError: as `matching`.

    Example:
        >>> rows = [[[2.0, -1.0, 1.0], [1, 1, 1]], [[1.0, -2.0, -2.0], [1, 1, 1]]]
        >>> head = token_matching(rows, resamples=0)
        >>> head.metrics["accuracy"].value, head.metrics["auroc"].value
        (0.875, 0.9375)
    """
    rows = np.asarray(outputs, dtype=float)
    if rows.ndim != 3 or rows.shape[1:] != (2, 3):
        raise ValueError(f"predictions must have the shape (rows, 2, 3), received {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("predictions must be finite numbers, received NaN or infinity")
    counted = (rows[:, 1] > 0).all(axis=1)
    codes = known_groups(groups, counted, len(rows))
    logits = rows[counted, 0]
    if len(logits) < 2:
        empty = named_metrics(METRICS, len(logits), {}, {}, ONE_CLASS)
        return HeadMetrics(type="token_matching", n=len(logits), metrics=empty)
    return _of_logits("token_matching", logits[:, 0], logits[:, 1:], resamples, seed, codes)


def _of_logits(
    kind: str,
    own: np.ndarray,
    mismatched: np.ndarray,
    resamples: int,
    seed: int,
    codes: np.ndarray | None,
) -> HeadMetrics:
    """Metrics of logits of rows' own pairs `(rows,)` and mismatched ones `(rows, pairs)`."""
    n, pairs = mismatched.shape
    means = bootstrap.row_means(
        {
            "accuracy": ((own >= 0) * 1.0 + (mismatched < 0).mean(axis=1)) / 2,
            "log_loss": (np.logaddexp(0, -own) + np.logaddexp(0, mismatched).mean(axis=1)) / 2,
        }
    )
    logits = np.concatenate([own, *mismatched.T])
    area = bootstrap.auroc((np.arange(len(logits)) < n)[:, None], logits[:, None])

    def statistic(index: np.ndarray) -> dict[str, float]:
        return means(index) | area(np.concatenate([index + n * one for one in range(pairs + 1)]))

    values = statistic(np.arange(n))
    samples = bootstrap.resample(statistic, n, resamples, seed, codes)
    found = named_metrics(METRICS, n, values, samples, ONE_CLASS)
    return HeadMetrics(type=kind, n=n, metrics=found)
