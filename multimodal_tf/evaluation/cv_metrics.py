"""The figures of a cross-validation, with intervals that reckon with what folds share; and two
configurations on the same folds.
"""

import numpy as np
import pydantic
from rich.console import Group
from rich.table import Table

from multimodal_tf.data.predictions import OutOfFold
from multimodal_tf.evaluation import by_head
from multimodal_tf.metrics import resampled_t
from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.metrics.resampled_t import PairedTest
from multimodal_tf.metrics.supervised import FIGURES, Figure


class Folded(pydantic.BaseModel):
    """A figure over folds: `mean` with its interval, and `scores`, by repetition and fold; None
    where a fold does not define it.
    """

    mean: Figure
    scores: list[list[float | None]]


class FoldedHead(pydantic.BaseModel):
    """The figures of one head; `n` rows have a label that training saw in every repetition."""

    type: str
    n: int
    figures: dict[str, Folded]


class CrossValidated(pydantic.BaseModel):
    """The figures of a cross-validation by head."""

    rows: int
    folds: int
    repeats: int
    # of the intervals
    level: float = LEVEL
    heads: dict[str, FoldedHead]

    def render(self) -> Group:
        """Tables for `rich.print`."""
        return Group(*(self._table(name, head) for name, head in self.heads.items()))

    def _table(self, name, head):
        times = f" x {self.repeats}" if self.repeats > 1 else ""
        table = Table(
            title=f"{name}: {self.folds} folds{times}, n = {head.n}", title_justify="left"
        )
        for column in ("figure", "mean", f"{self.level:.0%} interval", "lowest", "highest"):
            table.add_column(column, justify="left" if column == "figure" else "right")
        for figure, folded in head.figures.items():
            mean, scores = (
                folded.mean,
                [score for row in folded.scores for score in row if score is not None],
            )
            if mean.value is None:
                table.add_row(figure, mean.reason)
                continue
            ends = f"{mean.low:.3f} .. {mean.high:.3f}"
            table.add_row(
                figure, f"{mean.value:.3f}", ends, f"{min(scores):.3f}", f"{max(scores):.3f}"
            )
        return table


class Difference(pydantic.BaseModel):
    """One configuration less another, a figure of a head on the same folds."""

    head: str
    metric: str
    first: float
    second: float
    test: PairedTest


def judge(answers: OutOfFold) -> CrossValidated:
    """All figures of all heads, over the folds.

    A figure that some fold does not define, such as an AUROC where all its rows are of one class,
    has no mean, and says in how many.

    Raises:
        ValueError: an answer is NaN.
    """
    heads = {}
    for name, repeated in answers.heads.items():
        kind = repeated[0].head.type
        scores = _scores(answers, name)
        figures = {
            metric: Folded(mean=_mean(scores[metric]), scores=_listed(scores[metric]))
            for metric in FIGURES[kind]
        }
        heads[name] = FoldedHead(
            type=kind, n=int(np.all([one.known for one in repeated], axis=0).sum()), figures=figures
        )
    repeats, rows = answers.fold.shape
    return CrossValidated(rows=rows, folds=answers.folds, repeats=repeats, heads=heads)


def scores(answers: OutOfFold, head: str, metric: str) -> np.ndarray:
    """A figure on each held-out fold, float `(repeats, folds)`, NaN where it is not defined: what
    `resampled_t` takes.

    Raises:
        ValueError: there is no such head or metric, or an answer is NaN.
    """
    if head not in answers.heads:
        raise ValueError(f"head must be one of {sorted(answers.heads)}, received {head!r}")
    kind = answers.heads[head][0].head.type
    if metric not in FIGURES[kind]:
        raise ValueError(
            f"the metric of head {head!r}, of type {kind}, must be one of {', '.join(FIGURES[kind])}, received {metric!r}"
        )
    return _scores(answers, head)[metric]


def compare(first: OutOfFold, second: OutOfFold) -> list[Difference]:
    """Two configurations on the same folds: the difference, first less second, of every figure that
    all folds define.

    There is a test for each figure, so some of many come out significant by chance: choose
    beforehand the one that decides.

    Raises:
        ValueError: they were not cross-validated on the same rows in the same folds, a head of both
            is of another type, or they have no head in common.

    Source: Nadeau and Bengio 2003, «Inference for the generalization error».
    """
    check_same_folds(first, second)
    found = []
    for head in common_heads(first, second):
        one, other = _scores(first, head), _scores(second, head)
        for metric in one:
            if np.isfinite(one[metric]).all() and np.isfinite(other[metric]).all():
                test = resampled_t.paired_test(one[metric], other[metric])
                means = {"first": float(one[metric].mean()), "second": float(other[metric].mean())}
                found.append(Difference(head=head, metric=metric, test=test, **means))
    return found


def check_same_folds(first: OutOfFold, second: OutOfFold):
    """Refuses two cross-validations that cannot be paired.

    Raises:
        ValueError: they are of other rows, or these were dealt in another way.
    """
    if not np.array_equal(first.rows, second.rows):
        only = np.setxor1d(first.rows, second.rows)
        raise ValueError(
            f"both configurations must keep the same rows of the table, received {len(first.rows)} and {len(second.rows)} rows, of which "
            f"{len(only)} are in one only, such as row {only[0]}"
        )
    if not np.array_equal(first.fold, second.fold):
        raise ValueError(
            "both configurations must be cross-validated on the same folds, received folds dealt by other numbers, seeds, groups or strata"
        )


def common_heads(first: OutOfFold, second: OutOfFold) -> list[str]:
    """The heads that both have, alike.

    Raises:
        ValueError: there is none, or one is of two types.
    """
    both = [name for name in first.heads if name in second.heads]
    if not both:
        raise ValueError(
            f"both configurations must have a head in common, received {sorted(first.heads)} and {sorted(second.heads)}"
        )
    for name in both:
        kinds = [answers.heads[name][0].head.type for answers in (first, second)]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"the head {name!r} must be of one type in both configurations, received {kinds[0]} and {kinds[1]}"
            )
    return both


def render(differences: list[Difference]) -> Table:
    """A table for `rich.print`."""
    table = Table(title="first less second, on the same folds", title_justify="left")
    for column in ("head", "figure", "first", "second", "difference", f"{LEVEL:.0%} interval", "p"):
        table.add_column(column, justify="left" if column in ("head", "figure") else "right")
    for one in differences:
        figure = one.test.difference
        ends = f"{figure.low:.3f} .. {figure.high:.3f}"
        table.add_row(
            one.head,
            one.metric,
            f"{one.first:.3f}",
            f"{one.second:.3f}",
            f"{figure.value:.3f}",
            ends,
            f"{one.test.p:.3g}",
        )
    return table


def _scores(answers, head):
    """By metric the figures on each held-out fold, float `(repeats, folds)`."""
    repeated = answers.heads[head]
    found = {
        metric: np.full((len(answers.fold), answers.folds), np.nan)
        for metric in FIGURES[repeated[0].head.type]
    }
    for repeat, fold in enumerate(answers.fold):
        for number in range(answers.folds):
            try:
                figures = by_head.metrics_of(repeated[repeat].only(fold == number)).figures
            except ValueError as error:
                raise ValueError(
                    f"head {head!r}, fold {number} of repetition {repeat}: {error}"
                ) from error
            for metric, figure in figures.items():
                if figure.value is not None:
                    found[metric][repeat, number] = figure.value
    return found


def _mean(scores):
    undefined = int(np.isnan(scores).sum())
    if undefined:
        return Figure(value=None, reason=f"not defined in {undefined} of {scores.size} folds")
    return resampled_t.interval(scores)


def _listed(scores):
    return [[None if np.isnan(score) else float(score) for score in row] for row in scores]
