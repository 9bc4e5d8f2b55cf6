"""Metrics of heads that learn from targets drawn from the cells themselves."""

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.known_rows import known_groups
from multimodal_tf.metrics.metric import HeadMetrics, estimate

NOTHING = "no row has what the objective learns from"


def objective(
    kind: str,
    outputs: ArrayLike,
    chance: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    metric: str = "accuracy",
) -> HeadMetrics:
    """Loss and accuracy of an objective, and the accuracy of a guess.

    The draws are those of validation: the same in every evaluation. `accuracy` is the hits of all
    rows over how many there could be, `loss` the mean over rows, as in `fit`; rows that teach
    nothing do not count.

    Args:
        kind: type of the head.
        outputs: float `(rows, 3)`, as `losses.RowLoss` has them: loss, hits, and of how many.
        chance: the accuracy of a guess; None: it is left out.
        resamples, seed, groups: as in `classification`.
        metric: name of the share of hits.

    Returns:
        `HeadMetrics`; all metrics are None without a row that counts.

    Raises:
        ValueError: the shape differs, or a number is NaN.

    Example:
        >>> head = objective("order", [[0.5, 1, 1], [1.5, 0, 1], [0, 0, 0]], 0.5, resamples=0)
        >>> head.n, {name: metric.value for name, metric in head.metrics.items()}
        (2, {'accuracy': 0.5, 'loss': 1.0, 'chance': 0.5})
    """
    rows = np.asarray(outputs, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"predictions must have the shape (rows, 3), received {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("predictions must be finite numbers, received NaN or infinity")
    # as `losses.RowLoss` counts rows
    counted = (rows[:, 2] > 0) | (rows[:, 0] > 0)
    codes = known_groups(groups, counted, len(rows))
    losses, hits, counts = rows[counted].T
    n = len(losses)

    def statistic(index: np.ndarray) -> dict[str, float]:
        return {
            metric: float(hits[index].sum() / total) if (total := counts[index].sum()) else np.nan,
            "loss": float(losses[index].mean()),
        }

    values = statistic(np.arange(n)) if n else {}
    samples = bootstrap.resample(statistic, n, resamples, seed, codes)
    found = {
        name: estimate(values.get(name), n, samples.get(name), NOTHING) for name in (metric, "loss")
    }
    if chance is not None:
        found["chance"] = estimate(chance, n)
    return HeadMetrics(type=kind, n=n, metrics=found)
