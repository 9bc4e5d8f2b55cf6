"""The page of a comparison of runs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimodal_tf.data.predictions import HeadPredictions, Predicted
from multimodal_tf.evaluation import paired
from multimodal_tf.evaluation.paired import HeadComparison, PairedMetric
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.multi_label import THRESHOLD
from multimodal_tf.report import page

LOWER_IS_BETTER = frozenset({"log_loss", "rank_mae", "mae", "rmse", "pinball", "width"})
# on which runs differ
MOST_ROWS = 50
_OWN_UNIT = frozenset({"mae", "rmse", "pinball", "width"})
# characters of a cell
_LONGEST = 80
_MANY = "Intervals hold for each figure by itself: of twenty differences one excludes 0 by chance, so choose beforehand which one decides."


def page_of(
    heads: Mapping[str, HeadComparison],
    said: Mapping[str, Predicted],
    columns: pd.DataFrame | None,
    ungrouped: str | None,
    made: Mapping[str, str],
) -> page.Page:
    """A section for each head.

    Args:
        heads: what was compared.
        said: by run its answers.
        columns: the table's columns of these rows, in this order; None where the table is not at
        hand.
        ungrouped: the column whose values should have been drawn as a whole, where they could not
        be.
        made: what the page was made with.
    """
    runs = list(said)
    sentences = [sentence for name, head in heads.items() for sentence in _sentences(name, head)]
    warning = [
        f"Rows are drawn one by one, since the table with the column {ungrouped} was not given: intervals are too narrow."
    ]
    sections = [_section(name, head, said, columns) for name, head in heads.items()]
    return page.Page(
        f"{', '.join(runs[1:])} against {runs[0]}",
        [*sentences, *(warning if ungrouped else [])],
        sections,
        made,
    )


def main_figure(head: HeadComparison) -> str:
    """The figure that speaks for a head: `accuracy`, or `mae` where it says a number."""
    return "accuracy" if "accuracy" in head.metrics else "mae"


def _sentences(name, head):
    """For each run but the first, whether it is better."""
    metric = main_figure(head)
    measured = head.metrics[metric]
    first = next(iter(measured.metrics))
    for run, difference in measured.differences.items():
        if difference.value is None:
            yield f"{name}: {run} cannot be compared with {first}: {difference.reason}."
            continue
        values = f"{metric} {measured.metrics[run].value:.3f} against {measured.metrics[first].value:.3f}"
        apart = (
            "without an interval"
            if difference.low is None
            else f"{difference.low:+.3f} .. {difference.high:+.3f}"
        )
        how = f"{values}, a difference of {difference.value:+.3f} ({apart}), n = {measured.n:,}."
        if difference.low is None or difference.low <= 0 <= difference.high:
            yield f"{name}: {run} and {first} cannot be told apart: {how}"
        else:
            better = (difference.value > 0) != (metric in LOWER_IS_BETTER)
            yield f"{name}: {run} is {'better' if better else 'worse'} than {first}: {how}"


def _section(name, head, said, columns):
    metric = main_figure(head)
    bars = {
        run: page_figure(figure, head.n, _unit(metric))
        for run, figure in head.metrics[metric].metrics.items()
    }
    blocks: list[page.Block] = [
        page.Bars(f"{metric} of {name}", bars),
        _table(f"Figures of {name}", "figure", head.metrics, _unit),
        page.Note(_MANY),
    ]
    if head.classes:
        several = next(iter(said.values())).heads[name].head.target_type == "classes"
        of = "share of rows" if several else "recall"
        blocks.append(
            _table(f"{name} by class: {of} rightly told", "class", head.classes, lambda _: of)
        )
    blocks += _differing(
        {run: one.heads[name] for run, one in said.items()},
        name,
        next(iter(said.values())).rows,
        columns,
    )
    reading = "Every figure of each run on the same rows, and how far each run is from the first: resamples draw the same rows for all."
    return page.Section(name, reading, blocks)


def _unit(metric):
    return f"{metric}, unit of the label" if metric in _OWN_UNIT else metric


def page_figure(figure: Metric, n: int, unit: str) -> page.Figure:
    """A figure for the page."""
    return page.Figure(figure.value, n, unit, figure.low, figure.high, reason=figure.reason or "")


def _table(title, first_column, measured: Mapping[str, PairedMetric], unit):
    some = next(iter(measured.values()))
    columns = [
        page.Column(first_column),
        page.Column("n", "number", "rows"),
        *(page.Column(run, "number") for run in some.metrics),
    ]
    columns += [
        page.Column(f"{run} less {next(iter(some.metrics))}", "number") for run in some.differences
    ]
    rows: list[list[page.Cell]] = []
    for name, each in measured.items():
        figures = [page_figure(figure, each.n, unit(name)) for figure in each.metrics.values()]
        differences = [
            page_figure(figure, each.n, f"difference of {unit(name)}")
            for figure in each.differences.values()
        ]
        rows.append([name, each.n, *figures, *differences])
    return page.Table(title, columns, rows)


def _differing(said: Mapping[str, HeadPredictions], name, rows, columns) -> list[page.Block]:
    """The rows on which runs differ most, and how many are rightly told by which."""
    first = next(iter(said.values()))
    wrong = np.stack([paired.losses(one) for one in said.values()])
    apart = np.ptp(wrong, axis=0)
    told = np.stack([_told(one) for one in said.values()])
    differ = first.known & (told != told[0]).any(axis=0)
    if not differ.any():
        return [page.Note(f"All runs answer {name} alike, row by row.")]
    places = np.flatnonzero(differ)
    places = places[np.argsort(-apart[places], kind="stable")][:MOST_ROWS]
    shown = [] if columns is None else list(columns)
    truth = _words(first, _truth(first))
    of_runs = [_words(one, of_run, with_chance=True) for one, of_run in zip(said.values(), told)]
    lines: list[list[page.Cell]] = [
        [
            int(rows[at]),
            truth[at],
            *(words[at] for words in of_runs),
            *(_cell(columns[column].iloc[at]) for column in shown),
        ]
        for at in places
    ]
    title = f"Rows on which runs differ in {name}, most at first: {len(places)} of {int(differ.sum()):,}"
    table = page.Table(
        title,
        [page.Column("row of the table", "number"), *map(page.Column, ["label", *said, *shown])],
        lines,
    )
    return [*([] if first.head.target_type == "number" else [_agreement(said, told, name)]), table]


def _agreement(said, told, name):
    """Of each run and the first: on how many rows both, one or none is right."""
    first, *others = said
    known = said[first].known
    right = (told == _truth(said[first]))[:, known]
    rows = []
    for place, run in enumerate(others, start=1):
        of_each = [
            right[0] & right[place],
            ~right[0] & right[place],
            right[0] & ~right[place],
            ~right[0] & ~right[place],
        ]
        rows.append([run, *(int(each.sum()) for each in of_each)])
    counts = [
        page.Column(one, "number", "rows")
        for one in ("both right", "only the run", f"only {first}", "both wrong")
    ]
    return page.Table(f"Rows of {name} by who is right", [page.Column("run"), *counts], rows)


def _told(one):
    """The answer of each row, such that equal ones are equal."""
    if one.head.target_type == "class":
        return one.predictions.argmax(axis=1)
    if one.head.target_type == "classes":
        return _joined(one, one.predictions >= THRESHOLD)
    return one.predictions[:, one.head.point_index]


def _truth(one):
    return _joined(one, one.targets > 0) if one.head.target_type == "classes" else one.targets


def _joined(one, marks):
    return np.array(
        [", ".join(name for name, mark in zip(one.classes, row) if mark) for row in marks],
        dtype=object,
    )


def _words(one, told, with_chance=False):
    """Answers as a reader has them; those that chose a class with its probability."""
    if one.head.target_type == "class":
        names = [one.classes[place] for place in told]
        return (
            [f"{name} ({row.max():.2f})" for name, row in zip(names, one.predictions)]
            if with_chance
            else names
        )
    return (
        [str(each) or "none" for each in told]
        if one.head.target_type == "classes"
        else [f"{each:.4g}" for each in told]
    )


def _cell(value):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    text = f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
