"""Several models' figures on the same rows, and how far they are apart: each resample draws the
same rows for all of them.
"""

from collections.abc import Mapping

import numpy as np
import pydantic

from multimodal_tf.data.predictions import HeadPredictions
from multimodal_tf.evaluation import by_head
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.supervised import THRESHOLD, Figure

NO_ROW = "no row is of this class"


class Measured(pydantic.BaseModel):
    """One figure of several runs on the same `n` rows: by run, and of each run but the first its
    difference, less the first's.
    """

    n: int
    figures: dict[str, Figure]
    differences: dict[str, Figure]


class HeadComparison(pydantic.BaseModel):
    """One head of several runs: its figures by name, and by class the share of rows that are
    rightly told: of the rows of a class where a head chooses one, of all rows for each label of a
    multi-label head."""

    type: str
    # rows whose label is known
    n: int
    figures: dict[str, Measured]
    classes: dict[str, Measured]


def compare_head(
    said: Mapping[str, HeadPredictions],
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadComparison:
    """Compares the answers of several runs to the same rows.

    Args:
        said: by run the answers of one head, of the same rows with the same labels; the first is
            what the others are compared with.
        groups: int `(rows,)`, rows of one number are drawn together; None: each row alone.
        resamples: int. For the intervals; 0: no intervals. A difference's interval is that of the
        differences of resamples.
        seed: int.

    Raises:
        ValueError: an answer is NaN.

    Example:
        >>> from multimodal_tf.config import RegressionHead
        >>> one, other = (HeadPredictions(RegressionHead(), (), [1.0, 2.0], [True, True], rows) for rows in ([[1.5], [2.5]], [[1.0], [2.5]]))
        >>> compare_head({"one": one, "other": other}, resamples=0).figures["mae"].differences["other"].value
        -0.25

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 16 (paired samples
    are drawn as pairs).
    """
    first = next(iter(said.values()))
    known = {run: one.only(one.known) for run, one in said.items()}
    codes = None if groups is None else np.unique(groups[first.known], return_inverse=True)[1]
    values = {run: by_head.metrics_of(one).figures for run, one in known.items()}
    drawn = {run: by_head.samples(one, resamples, seed, codes) for run, one in known.items()}
    n = int(first.known.sum())
    figures = {name: _measured(name, n, values, drawn) for name in next(iter(values.values()))}
    return HeadComparison(
        type=first.head.type, n=n, figures=figures, classes=_by_class(known, codes, resamples, seed)
    )


def losses(predicted: HeadPredictions) -> np.ndarray:
    """How wrong each answer is, float `(rows,)`: 1 less the probability of the right class, the
    share of labels wrongly told, or the absolute error."""
    head, targets, answers = predicted.head, predicted.targets, predicted.predictions
    if head.target_type == "class":
        return 1 - answers[np.arange(len(answers)), targets]
    if head.target_type == "classes":
        return ((answers >= THRESHOLD) != (targets > 0)).mean(axis=1)
    return np.abs(answers[:, middle(predicted)] - targets)


def middle(predicted: HeadPredictions) -> int:
    """The place of the answer to a head that says a number: of quantiles the one nearest to the
    median.
    """
    return predicted.head.point_index


def _measured(name, n, values, drawn):
    """The figures called `name` of all runs, from values and resamples by run."""
    first = next(iter(values))
    figures, differences = {}, {}
    for run in values:
        value, samples = values[run][name], drawn[run].get(name, np.zeros(0))
        figures[run] = _figure(value.value, samples, value.reason)
        if run != first:
            before, theirs = values[first][name], drawn[first].get(name, np.zeros(0))
            defined = value.value is not None and before.value is not None
            difference = value.value - before.value if defined else None
            differences[run] = _figure(difference, samples - theirs, value.reason or before.reason)
    return Measured(n=n, figures=figures, differences=differences)


def _figure(value, samples, reason):
    if value is None:
        return Figure(value=None, reason=reason)
    low, high, used = bootstrap.interval(samples)
    return Figure(value=value, low=low, high=high, resamples=used)


def _by_class(known, codes, resamples, seed):
    first = next(iter(known.values()))
    if first.head.target_type == "number" or not len(first.known):
        return {}
    statistics = {run: _right(one) for run, one in known.items()}
    rows = np.arange(len(first.known))
    values = {run: _as_figures(statistic(rows)) for run, statistic in statistics.items()}
    drawn = {
        run: bootstrap.resample(statistic, len(rows), resamples, seed, codes)
        for run, statistic in statistics.items()
    }
    single = first.head.target_type == "class"
    counts = (
        np.bincount(first.targets, minlength=first.width)
        if single
        else np.full(first.width, len(rows))
    )
    return {
        name: _measured(name, int(count), values, drawn)
        for name, count in zip(first.classes, counts)
    }


def _right(one):
    """A statistic of the share of rows that are rightly told, by class; NaN where there is none."""
    if one.head.target_type == "classes":
        right = (one.predictions >= THRESHOLD) == (one.targets > 0)
        return lambda index: dict(zip(one.classes, right[index].mean(axis=0)))
    chosen = one.predictions.argmax(axis=1)

    def statistic(index):
        hits, actual, _ = bootstrap.class_counts(one.targets, chosen, one.width, index)
        return dict(zip(one.classes, np.where(actual > 0, bootstrap.ratio(hits, actual), np.nan)))

    return statistic


def _as_figures(values):
    return {
        name: Figure(value=None, reason=NO_ROW) if np.isnan(value) else Figure(value=float(value))
        for name, value in values.items()
    }
