"""Metrics of several models on the same rows, and their paired differences.

Each resample draws the same rows for all models.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pydantic

from multimodal_tf.data.predictions import HeadPredictions
from multimodal_tf.evaluation import by_head
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.bootstrap import Samples
from multimodal_tf.metrics.metric import Metric, estimate

NO_ROW = "no row is of this class"
# less is better
LOWER = frozenset({"mae"})


class PairedMetric(pydantic.BaseModel):
    """One metric of several runs on the same `n` rows.

    `metrics` is by run; `differences` holds each run but the first, less the first.
    """

    n: int
    metrics: dict[str, Metric]
    differences: dict[str, Metric]


class HeadComparison(pydantic.BaseModel):
    """One head of several runs: its metrics by name, and the share of right rows by class.

    A class counts its own rows where a head chooses one class; a label of a multi-label head counts
    all rows.
    """

    type: str
    # rows whose label is known
    n: int
    metrics: dict[str, PairedMetric]
    classes: dict[str, PairedMetric]


def main_metric(head: HeadComparison) -> str:
    """The name of the metric in the summary, the same as on the page of an evaluation."""
    # heads of several labels have it
    several = "exact_match" in head.metrics
    names = ("average_precision_macro",) if several else ("accuracy", "mae")
    return next((name for name in names if name in head.metrics), next(iter(head.metrics)))


def compare_head(
    predictions: Mapping[str, HeadPredictions],
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadComparison:
    """Compares the predictions of several runs for the same rows.

    Args:
        predictions: by run the predictions of one head, of the same rows with the same labels; the
            others are compared with the first.
        groups: int `(rows,)`, rows of one number are drawn together; None: each row alone.
        resamples: int. Bootstrap resamples; 0: no intervals. A difference's interval is that of the
            differences of resamples.
        seed: int.

    Raises:
        ValueError: a prediction is NaN.

    Example:
        >>> from multimodal_tf.config import RegressionHead
        >>> truth = [1.0, 2.0], [True, True]
        >>> one = HeadPredictions(RegressionHead(), (), *truth, [[1.5], [2.5]])
        >>> other = HeadPredictions(RegressionHead(), (), *truth, [[1.0], [2.5]])
        >>> found = compare_head({"one": one, "other": other}, resamples=0)
        >>> found.metrics["mae"].differences["other"].value
        -0.25

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16 (paired samples
    are drawn as pairs).
    """
    first = next(iter(predictions.values()))
    known = {run: one.only(one.known) for run, one in predictions.items()}
    codes = None if groups is None else np.unique(groups[first.known], return_inverse=True)[1]
    values = {run: by_head.metrics_of(one).metrics for run, one in known.items()}
    drawn = {run: by_head.samples(one, resamples, seed, codes) for run, one in known.items()}
    n = int(first.known.sum())
    return HeadComparison(
        type=first.head.type,
        n=n,
        metrics={name: _paired(name, n, values, drawn) for name in next(iter(values.values()))},
        classes=_by_class(known, codes, resamples, seed),
    )


def losses(predicted: HeadPredictions) -> np.ndarray:
    """The loss of each row, float `(rows,)`.

    1 less the probability of the right class, the share of wrong labels, or the absolute error.
    """
    head, targets, outputs = predicted.head, predicted.targets, predicted.predictions
    match head.target_type:
        case "class":
            return np.asarray(1 - outputs[np.arange(len(outputs)), targets])
        case "classes":
            return np.asarray((predicted.predicted_labels != (targets > 0)).mean(axis=1))
        case _:
            return np.asarray(np.abs(outputs[:, head.point_index] - targets))


def _paired(
    name: str, n: int, values: Mapping[str, Mapping[str, Metric]], drawn: Mapping[str, Samples]
) -> PairedMetric:
    """The metric called `name` of all runs, from values and resamples by run."""
    first = next(iter(values))
    before, theirs = values[first][name], drawn[first].get(name, np.zeros(0))
    metrics, differences = {}, {}
    for run in values:
        metric, samples = values[run][name], drawn[run].get(name, np.zeros(0))
        metrics[run] = estimate(metric.value, n, samples, metric.reason)
        if run != first:
            defined = metric.value is not None and before.value is not None
            difference = metric.number - before.number if defined else None
            reason = metric.reason or before.reason
            differences[run] = estimate(difference, n, samples - theirs, reason)
    return PairedMetric(n=n, metrics=metrics, differences=differences)


def _by_class(
    known: Mapping[str, HeadPredictions],
    codes: np.ndarray | None,
    resamples: int,
    seed: int,
) -> dict[str, PairedMetric]:
    first = next(iter(known.values()))
    if first.head.target_type == "number" or not len(first.known):
        return {}
    rows = len(first.known)
    statistics = {run: _class_accuracy(one) for run, one in known.items()}
    counts = np.full(first.width, rows)
    if first.head.target_type == "class":
        counts = np.bincount(first.targets, minlength=first.width)
    sizes = dict(zip(first.classes, counts.tolist()))
    values = {
        run: {
            name: estimate(value, sizes[name], reason=NO_ROW)
            for name, value in statistic(np.arange(rows)).items()
        }
        for run, statistic in statistics.items()
    }
    drawn = {
        run: bootstrap.resample(statistic, rows, resamples, seed, codes)
        for run, statistic in statistics.items()
    }
    return {name: _paired(name, n, values, drawn) for name, n in sizes.items()}


def _class_accuracy(one: HeadPredictions) -> Callable[[np.ndarray], dict[str, float]]:
    """A statistic: the share of right rows, by class; NaN where a class has no row."""
    if one.head.target_type == "classes":
        right = one.predicted_labels == (one.targets > 0)
        return lambda index: dict(zip(one.classes, right[index].mean(axis=0)))
    predicted = one.predictions.argmax(axis=1)

    def statistic(index: np.ndarray) -> dict[str, float]:
        hits, actual, _ = bootstrap.class_counts(one.targets, predicted, one.width, index)
        return dict(zip(one.classes, np.where(actual > 0, bootstrap.ratio(hits, actual), np.nan)))

    return statistic
