"""One metric with its interval, and the metrics of one head.

Rows whose label is unknown never count. A class that has neither a row nor a prediction takes no
part in an average, as in scikit-learn; a precision or recall of 0 / 0 is 0. A metric that is not
defined on these rows is None, and its `reason` says why.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydantic

from multimodal_tf.metrics import bootstrap

AVERAGES = tuple(
    f"{name}_{average}"
    for name in ("precision", "recall", "f1")
    for average in ("macro", "micro", "weighted")
)
# metrics of heads that predict classes
CLASS_METRICS = ("accuracy", "balanced_accuracy", *AVERAGES, "auroc", "log_loss")

# of heads that predict any number of labels
RANKED = ("average_precision_macro", "average_precision_micro")

NO_ROWS = "no row has a known label"
ONE_CLASS = "all rows are of one class"
ONE_SIDED = "no label has both a row that bears it and a row that does not"
NO_LABEL = "no row bears a label and none is predicted"
NO_SPREAD = "all labels are equal"


@dataclasses.dataclass(frozen=True)
class Metric:
    """A value with its 95 % interval and the number of rows behind it.

    The interval says how far the value would move with other rows. Where all rows are right, or all
    wrong, a bootstrap interval has no width: look at `n`.

    Args:
        value: None where the metric is not defined; `reason` then says why.
        n: number of rows behind it.
        unit: what the value measures, such as "accuracy", "nats" or "ms"; "" where its name says
            so.
        low, high: bounds of the interval; both None where there is none.
        resamples: bootstrap resamples behind the bounds: those in which the metric is defined.
        reason: why there is no value.

    Raises:
        ValueError: a number is not finite, only one bound is given, the bounds are in the wrong
            order, `n` is negative, or there is neither a value nor a reason.

    Example:
        >>> print(Metric(0.8471, 471, "accuracy", 0.803, 0.887))
        0.847 (0.803 .. 0.887), n = 471, accuracy
        >>> print(Metric(None, 12, "AUROC", reason="one class only"))
        not defined (one class only), n = 12, AUROC
    """

    value: float | None
    n: int
    unit: str = ""
    low: float | None = None
    high: float | None = None
    resamples: int = 0
    reason: str | None = None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{name} of a metric must be finite, received {number}")
        if (self.low is None) != (self.high is None) or (
            self.low is not None and self.high is not None and self.low > self.high
        ):
            raise ValueError(
                "low and high of a metric must be two numbers in order or both None, "
                f"received {self.low} and {self.high}"
            )
        if self.n < 0:
            raise ValueError(f"n of a metric must be 0 or more, received {self.n}")
        if self.value is None and not self.reason:
            raise ValueError(f"a metric without a value needs a reason, received {self.reason!r}")

    @property
    def number(self) -> float:
        """The value of a metric that is defined.

        Raises:
            ValueError: it has no value.
        """
        if self.value is None:
            raise ValueError(f"a metric must be defined here, received none: {self.reason}")
        return self.value

    @property
    def shown(self) -> str:
        """The value alone, with three decimals."""
        return "not defined" if self.value is None else f"{self.value:.3f}"

    @property
    def interval(self) -> str:
        """The interval in brackets, or the reason where there is no value."""
        if self.value is None:
            return f"({self.reason})"
        return "(no interval)" if self.low is None else f"({self.low:.3f} .. {self.high:.3f})"

    def __str__(self) -> str:
        return f"{self.shown} {self.interval}, n = {self.n:,}" + f", {self.unit}" * bool(self.unit)


class ClassMetrics(pydantic.BaseModel):
    """Metrics of one class, which `n` rows bear; None where they are not defined.

    Without rows none is. `auroc` and `average_precision` are those of a multi-label head.
    """

    n: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    auroc: float | None = None
    average_precision: float | None = None


class HeadMetrics(pydantic.BaseModel):
    """All metrics of one head, on the `n` rows whose label is known.

    `confusion[i][j]` counts the rows of class `i` that were predicted as class `j`, in the order of
    `classes`. Of a multi-label head, `confusion[i]` is `[[true negatives, false positives], [false
    negatives, true positives]]` of label `i`.
    """

    # of the head in the configuration
    type: str
    n: int
    # rows without a label, left out; filled by `evaluate`
    missing: int = 0
    # labels that training never saw, with their rows, left out; filled by `evaluate`
    unseen: dict[str, int] = {}
    metrics: dict[str, Metric]
    classes: dict[str, ClassMetrics] = {}
    confusion: list[Any] = []


def estimate(
    value: float | None, n: int, samples: np.ndarray | None = None, reason: str | None = None
) -> Metric:
    """A metric with the interval of its resamples.

    Args:
        value: None or NaN where the metric is not defined.
        n: number of rows behind it.
        samples: float `(resamples,)`, the metric on resamples, NaN where it is not defined. None:
            no interval.
        reason: why there is no value.

    Example:
        >>> estimate(2.0, 3, np.array([1.0, np.nan, 3.0])).resamples
        2
    """
    if value is None or np.isnan(value):
        return Metric(None, n, reason=reason)
    low, high, used = (None, None, 0) if samples is None else bootstrap.interval(samples)
    return Metric(float(value), n, low=low, high=high, resamples=used)


def mean_metrics(
    rows: Mapping[str, np.ndarray], resamples: int, seed: int, groups: np.ndarray | None = None
) -> dict[str, Metric]:
    """The mean of each array of `rows`, one number per row, with bootstrap intervals."""
    n = len(next(iter(rows.values())))
    if not n:
        return {name: Metric(None, 0, reason=NO_ROWS) for name in rows}
    samples = bootstrap.resample(bootstrap.row_means(rows), n, resamples, seed, groups)
    return {
        name: estimate(float(of_rows.mean()), n, samples.get(name))
        for name, of_rows in rows.items()
    }


def named_metrics(
    names: Sequence[str],
    n: int,
    values: Mapping[str, float],
    samples: Mapping[str, np.ndarray],
    undefined: str,
) -> dict[str, Metric]:
    """The metrics of a head.

    Args:
        names: of the metrics, in their order.
        n: number of rows behind them.
        values: by metric, NaN where it is not defined; empty without rows.
        samples: by metric, its values on resamples.
        undefined: why a metric that needs two kinds of labels is not defined.
    """
    found = {}
    for name in names:
        reason = NO_ROWS if not values else NO_LABEL if name in AVERAGES else undefined
        found[name] = estimate(values.get(name, np.nan), n, samples.get(name), reason)
    return found
