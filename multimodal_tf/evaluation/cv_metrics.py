"""The metrics of a cross-validation, and of two configurations on the same folds.

Intervals account for what folds share.
"""

import numpy as np
import pydantic
from rich.console import Group
from rich.table import Table

from multimodal_tf.data.predictions import HeadPredictions, ObjectivePredictions, OutOfFold
from multimodal_tf.evaluation import by_head
from multimodal_tf.metrics import resampled_t
from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.metrics.metric import HeadMetrics, Metric
from multimodal_tf.metrics.resampled_t import PairedTest


class FoldMetric(pydantic.BaseModel):
    """A metric over folds: `mean` with its interval, and `scores` by repetition and fold.

    A score is None where a fold does not define the metric.
    """

    mean: Metric
    scores: list[list[float | None]]


class FoldHeadMetrics(pydantic.BaseModel):
    """Metrics of one head; `n` rows have a label that training saw in every repetition.

    Of a head that learns without labels `n` is the number of rows that teach it something.
    """

    type: str
    n: int
    metrics: dict[str, FoldMetric]


class CrossValidated(pydantic.BaseModel):
    """Metrics of a cross-validation by head."""

    rows: int
    folds: int
    repeats: int
    # of the intervals
    level: float = LEVEL
    heads: dict[str, FoldHeadMetrics]

    def render(self) -> Group:
        """Tables for `rich.print`."""
        return Group(*(self._table(name, head) for name, head in self.heads.items()))

    def _table(self, name: str, head: FoldHeadMetrics) -> Table:
        times = f" x {self.repeats}" if self.repeats > 1 else ""
        table = Table(
            title=f"{name}: {self.folds} folds{times}, n = {head.n}", title_justify="left"
        )
        for column in ("metric", "mean", f"{self.level:.0%} interval", "lowest", "highest"):
            table.add_column(column, justify="left" if column == "metric" else "right")
        for metric, over_folds in head.metrics.items():
            mean = over_folds.mean
            scores = [score for row in over_folds.scores for score in row if score is not None]
            if mean.value is None:
                table.add_row(metric, mean.reason)
                continue
            bounds = f"{mean.low:.3f} .. {mean.high:.3f}"
            table.add_row(
                metric, f"{mean.value:.3f}", bounds, f"{min(scores):.3f}", f"{max(scores):.3f}"
            )
        return table


class Difference(pydantic.BaseModel):
    """One configuration less another: a metric of a head on the same folds."""

    head: str
    metric: str
    first: float
    second: float
    test: PairedTest


def cross_validation_metrics(predictions: OutOfFold) -> CrossValidated:
    """All metrics of all heads, over the folds.

    A metric that some fold does not define, such as an AUROC where all its rows are of one class,
    has no mean; its reason gives the number of these folds.

    Raises:
        ValueError: a prediction is NaN.
    """
    heads = {}
    for name, repeated in _learning(predictions).items():
        of_folds = _of_folds(predictions, name)
        by_metric = _scores(of_folds)
        n = sum(one.n for one in of_folds[0])
        if name in predictions.heads:
            n = int(np.all([one.known for one in predictions.heads[name]], axis=0).sum())
        metrics = {
            metric: FoldMetric(mean=_mean(by_metric[metric]), scores=_listed(by_metric[metric]))
            for metric in by_metric
        }
        heads[name] = FoldHeadMetrics(type=repeated[0].head.type, n=n, metrics=metrics)
    repeats, rows = predictions.fold.shape
    return CrossValidated(rows=rows, folds=predictions.folds, repeats=repeats, heads=heads)


def compare(first: OutOfFold, second: OutOfFold) -> list[Difference]:
    """Two configurations on the same folds: the difference of every metric that all folds define.

    Differences are first less second. There is a test for each metric, so some of many are
    significant by chance: choose beforehand the one that decides.

    Raises:
        ValueError: they were not cross-validated on the same rows in the same folds, a head of both
            is of another type, or they have no head in common.

    Source: Nadeau and Bengio 2003, «Inference for the generalization error».
    """
    check_same_folds(first, second)
    found = []
    for head in common_heads(first, second):
        one, other = (_scores(_of_folds(of, head)) for of in (first, second))
        # alignments of other inputs have other metrics
        for metric in (name for name in one if name in other):
            if np.isfinite(one[metric]).all() and np.isfinite(other[metric]).all():
                test = resampled_t.paired_test(one[metric], other[metric])
                means = {"first": float(one[metric].mean()), "second": float(other[metric].mean())}
                found.append(Difference(head=head, metric=metric, test=test, **means))
    return found


def check_same_folds(first: OutOfFold, second: OutOfFold) -> None:
    """Checks that two cross-validations can be paired.

    Raises:
        ValueError: they are of other rows, or split these into other folds.
    """
    if not np.array_equal(first.rows, second.rows):
        only = np.setxor1d(first.rows, second.rows)
        raise ValueError(
            "both configurations must keep the same rows of the table, "
            f"received {len(first.rows)} and {len(second.rows)} rows, of which "
            f"{len(only)} are in one only, such as row {only[0]}"
        )
    if not np.array_equal(first.fold, second.fold):
        raise ValueError(
            "both configurations must be cross-validated on the same folds, "
            "received folds of other numbers, seeds, groups or strata"
        )


def common_heads(first: OutOfFold, second: OutOfFold) -> list[str]:
    """The heads that both have, of the same type.

    Raises:
        ValueError: there is none, or one is of two types.
    """
    heads = [_learning(of) for of in (first, second)]
    both = [name for name in heads[0] if name in heads[1]]
    if not both:
        raise ValueError(
            "both configurations must have a head in common, "
            f"received {sorted(heads[0])} and {sorted(heads[1])}"
        )
    for name in both:
        kinds = [of[name][0].head.type for of in heads]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"the head {name!r} must be of one type in both configurations, "
                f"received {kinds[0]} and {kinds[1]}"
            )
    return both


def render(differences: list[Difference]) -> Table:
    """A table for `rich.print`."""
    table = Table(title="first less second, on the same folds", title_justify="left")
    for column in ("head", "metric", "first", "second", "difference", f"{LEVEL:.0%} interval", "p"):
        table.add_column(column, justify="left" if column in ("head", "metric") else "right")
    for one in differences:
        mean = one.test.difference
        table.add_row(
            one.head,
            one.metric,
            f"{one.first:.3f}",
            f"{one.second:.3f}",
            f"{mean.value:.3f}",
            f"{mean.low:.3f} .. {mean.high:.3f}",
            f"{one.test.p:.3g}",
        )
    return table


def _learning(
    predictions: OutOfFold,
) -> dict[str, tuple[HeadPredictions, ...] | tuple[ObjectivePredictions, ...]]:
    """The predictions of all heads, by name."""
    return {**predictions.heads, **predictions.objectives}


def _of_folds(predictions: OutOfFold, head: str) -> list[list[HeadMetrics]]:
    """The metrics of one head on each held-out fold, repetition by repetition."""
    repeated = _learning(predictions)[head]
    found: list[list[HeadMetrics]] = []
    for repeat, fold in enumerate(predictions.fold):
        found.append([])
        for number in range(predictions.folds):
            try:
                found[-1].append(by_head.metrics_of(repeated[repeat].only(fold == number)))
            except ValueError as error:
                raise ValueError(
                    f"head {head!r}, fold {number} of repetition {repeat}: {error}"
                ) from error
    return found


def _scores(of_folds: list[list[HeadMetrics]]) -> dict[str, np.ndarray]:
    """By metric its values on each held-out fold, float `(repeats, folds)`."""
    found: dict[str, np.ndarray] = {}
    for repeat, of_repeat in enumerate(of_folds):
        for number, of_fold in enumerate(of_repeat):
            for name, metric in of_fold.metrics.items():
                shape = len(of_folds), len(of_repeat)
                values = found.setdefault(name, np.full(shape, np.nan))
                if metric.value is not None:
                    values[repeat, number] = metric.value
    return found


def _mean(scores: np.ndarray) -> Metric:
    undefined = int(np.isnan(scores).sum())
    if undefined:
        reason = f"not defined in {undefined} of {scores.size} folds"
        return Metric(None, scores.size, reason=reason)
    return resampled_t.interval(scores)


def _listed(scores: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(score) else float(score) for score in row] for row in scores]
