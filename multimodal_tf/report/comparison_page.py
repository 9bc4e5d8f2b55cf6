"""The page of a comparison of runs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from multimodal_tf.evaluation.comparison import RunComparison
from multimodal_tf.evaluation.disagreement import Disagreement, disagreement
from multimodal_tf.evaluation.paired import LOWER, HeadComparison, PairedMetric, main_metric
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report import page
from multimodal_tf.report.findings import Finding, ranked

# rows on which runs disagree, at most
MAX_ROWS = 50
_IN_LABEL_UNIT = frozenset({"mae", "rmse", "pinball", "width"})
# characters of a cell
_LONGEST = 80
_MANY_METRICS = (
    "Each interval holds for one metric. Of twenty differences, one excludes 0 by chance, so "
    "choose the deciding metric beforehand."
)


def comparison_page(found: RunComparison, made_with: Mapping[str, str]) -> page.Page:
    """A section for each head.

    Args:
        found: `RunComparison`.
        made_with: what the page was made with.
    """
    runs = list(found.predictions)
    findings = [each for name, head in found.heads.items() for each in _findings(name, head)]
    sentences = ranked(findings)
    if found.ungrouped is not None:
        sentences.append(
            f"Rows are drawn one by one, because the table with the column {found.ungrouped} was "
            "not given: intervals are too narrow."
        )
    sections = [_section(name, head, found) for name, head in found.heads.items()]
    tiles = [tile for name, head in found.heads.items() for tile in _tiles(name, head)]
    title = f"{', '.join(runs[1:])} against {runs[0]}"
    return page.Page(title, sentences, sections, made_with, tiles)


def _tiles(name: str, head: HeadComparison) -> Iterator[page.Tile]:
    """For each run but the first, its score and the difference from the first."""
    metric = main_metric(head)
    paired = head.metrics[metric]
    first, baseline = next(iter(paired.metrics.items()))
    for run, difference in paired.differences.items():
        details = [f"{first} {baseline.shown}", f"difference {_signed(difference)}"]
        title = f"{metric.replace('_', ' ')} of {name}, {run}"
        yield page.Tile(title, paired.metrics[run], name, details)


def _signed(difference: Metric) -> str:
    if difference.value is None:
        return difference.shown
    if difference.low is None or difference.high is None:
        return f"{difference.value:+.3f}"
    return f"{difference.value:+.3f} ({difference.low:+.3f} .. {difference.high:+.3f})"


def _findings(name: str, head: HeadComparison) -> Iterator[Finding]:
    """For each run but the first, whether it is better; significant differences first."""
    metric = main_metric(head)
    paired = head.metrics[metric]
    first = next(iter(paired.metrics))
    for run, difference in paired.differences.items():
        if difference.value is None:
            yield Finding(
                f"{name}: {run} cannot be compared with {first}: {difference.reason}.", 0.1
            )
            continue
        values = f"{metric} {paired.metrics[run].shown} against {paired.metrics[first].shown}"
        if difference.low is None or difference.high is None:
            interval = "without an interval"
            differs = False
        else:
            interval = f"{difference.low:+.3f} .. {difference.high:+.3f}"
            differs = not difference.low <= 0 <= difference.high
        details = (
            f"{values}, a difference of {difference.value:+.3f} ({interval}), n = {paired.n:,}."
        )
        if differs:
            better = (difference.value < 0) == (metric in LOWER)
            kind = "better" if better else "worse"
            yield Finding(f"{name}: {run} is {kind} than {first}: {details}", 1)
        else:
            text = f"{name}: {run} and {first} do not differ significantly: {details}"
            yield Finding(text, 0.5)


def _section(name: str, head: HeadComparison, found: RunComparison) -> page.Section:
    metric = main_metric(head)
    bars = {
        run: replace(each, unit=_unit(metric)) for run, each in head.metrics[metric].metrics.items()
    }
    blocks: list[page.Block] = [
        page.Bars(f"{metric} of {name}", bars),
        _table(f"Metrics of {name}", "metric", head.metrics, _unit),
        page.Note(_MANY_METRICS),
    ]
    predictions = {run: one.heads[name] for run, one in found.predictions.items()}
    if head.classes:
        several = next(iter(predictions.values())).head.target_type == "classes"
        unit = "label accuracy" if several else "recall"
        blocks.append(_table(f"{unit} of {name} by class", "class", head.classes, lambda _: unit))
    differing = disagreement(predictions, MAX_ROWS)
    if differing is None:
        blocks.append(page.Note(f"All runs predict the same {name} in every row."))
    else:
        blocks += _disagreement_tables(name, differing, found)
    description = (
        "Every metric of each run on the same rows, and its difference from the first run. "
        "Resamples draw the same rows for all runs."
    )
    return page.Section(name, description, blocks)


def _unit(metric: str) -> str:
    return f"{metric}, unit of the label" if metric in _IN_LABEL_UNIT else metric


def _table(
    title: str,
    first_column: str,
    paired: Mapping[str, PairedMetric],
    unit: Callable[[str], str],
) -> page.Table:
    some = next(iter(paired.values()))
    first = next(iter(some.metrics))
    numbers = [*some.metrics, *(f"{run} minus {first}" for run in some.differences)]
    columns = [
        page.Column(first_column),
        page.Column("n", "number", "rows"),
        *(page.Column(name, "number") for name in numbers),
    ]
    rows: list[list[page.Cell]] = []
    for name, each in paired.items():
        metrics = _with_unit(each.metrics, unit(name))
        differences = _with_unit(each.differences, f"difference of {unit(name)}")
        rows.append([name, each.n, *metrics, *differences])
    return page.Table(title, columns, rows)


def _with_unit(metrics: Mapping[str, Metric], unit: str) -> list[Metric]:
    return [replace(metric, unit=unit) for metric in metrics.values()]


def _disagreement_tables(
    name: str, differing: Disagreement, found: RunComparison
) -> list[page.Block]:
    shown = [] if found.columns is None else list(found.columns)
    columns = [
        page.Column("row of the table", "number"),
        *map(page.Column, ["label", *differing.predictions, *map(str, shown)]),
    ]
    rows: list[list[page.Cell]] = []
    for position, index in enumerate(differing.indices):
        cells = [] if found.columns is None else [found.columns[key].iloc[index] for key in shown]
        predictions = (of_run[position] for of_run in differing.predictions.values())
        rows.append(
            [
                int(found.rows[index]),
                differing.labels[position],
                *predictions,
                *(_cell(cell) for cell in cells),
            ]
        )
    number = f"{len(rows)} of {differing.total:,}"
    title = f"Rows on which runs disagree in {name}, largest difference first: {number}"
    table = page.Table(title, columns, rows)
    return [_counts_table(name, differing, found), table] if differing.counts else [table]


def _counts_table(name: str, differing: Disagreement, found: RunComparison) -> page.Table:
    """Of each run and the first: on how many rows both, one or none is right."""
    first = next(iter(found.predictions))
    names = ("both right", "only the run", f"only {first}", "both wrong")
    columns = [page.Column("run"), *(page.Column(each, "number", "rows") for each in names)]
    rows: list[list[page.Cell]] = [
        [run, counts.both, counts.only_this, counts.only_first, counts.neither]
        for run, counts in differing.counts.items()
    ]
    return page.Table(f"Rows of {name} by which runs are right", columns, rows)


def _cell(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    text = f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
