"""The section on robustness to corruptions at five severities."""

from collections.abc import Mapping

import numpy as np

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.robustness import (
    CorruptionScores,
    Key,
    WorstCorruption,
    damaging_corruptions,
    means_by_severity,
    robustness_metrics,
    worst_corruption,
)
from multimodal_tf.evaluation.row_scores import ERROR, PRECISION, UNDEFINED
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.section import ReportSection, report_section
from multimodal_tf.report.page import (
    Block,
    Cell,
    Column,
    HeatMap,
    Line,
    Lines,
    Note,
    Reference,
    Table,
    Tile,
)

# corruptions with curves: more cannot be told apart
_CURVES = 3
TITLE = "Robustness to corruptions"
_DESCRIPTION = (
    "The bytes of cells were corrupted at five severities from mild (1) to strong (5), before "
    "preprocessing. Severity 0 is the clean row. Random draws depend on the seed and the row only."
)


def robustness_section(
    scores: CorruptionScores,
    eval_split: EvalSplit,
    resamples: int,
    seed: int,
    baseline: CorruptionScores | None = None,
) -> ReportSection:
    """The score by corruption and severity, and robustness metrics by input.

    Args:
        scores: from `corruption_scores`.
        eval_split: `EvalSplit`.
        resamples, seed: for the intervals.
        baseline: scores of another model on the same rows, for effective robustness; None: without.
    """
    if scores.unit == PRECISION and np.isnan(scores.clean).all():
        return report_section(TITLE, _DESCRIPTION, [Note(UNDEFINED)], [UNDEFINED])
    means = means_by_severity(scores, resamples, seed)
    blocks: list[Block] = []
    n, known = len(scores.clean), int(eval_split.known.sum())
    if n < known:
        blocks.append(Note(f"{n:,} of the {known:,} rows with a label were corrupted, a sample."))
    if scores.unit != ERROR:
        blocks.append(_summary_table(robustness_metrics(scores, resamples, seed, baseline)))
    if means:
        blocks.append(_heat_map(scores, means))
    worst = worst_corruption(scores, resamples, seed)
    if worst is not None:
        blocks.append(_chart(scores, damaging_corruptions(scores)[:_CURVES], means))
    blocks.append(_table(scores, means))
    if scores.unit == ERROR:
        blocks.append(Note("Corruption errors are error rates, which numbers do not have."))
    return report_section(
        TITLE,
        _DESCRIPTION,
        blocks,
        _sentences(scores, worst),
        [] if worst is None else [_tile(worst)],
        [] if worst is None else [_finding(worst)],
    )


def _heat_map(scores: CorruptionScores, means: Mapping[Key, list[Metric]]) -> HeatMap:
    """The mean score of each corruption and severity; the darker, the more is lost."""
    keys = list(means)
    values = [[metric.number for metric in means[key]] for key in keys]
    lost = [[max(0.0, row[0] - value) for value in row] for row in values]
    most = max(max(row) for row in lost) or 1.0
    return HeatMap(
        f"{scores.unit.capitalize()} by corruption and severity",
        [f"{name}: {corruption.replace('_', ' ')}" for name, corruption in keys],
        [str(severity) for severity in range(len(values[0]))],
        values,
        "corruption",
        "severity, 0 is clean",
        scores.unit,
        shades=[[loss / most for loss in row] for row in lost],
        shade_title="what is lost against clean rows",
    )


def _chart(scores: CorruptionScores, keys: list[Key], means: Mapping[Key, list[Metric]]) -> Lines:
    lines = [
        Line(f"{name}: {corruption.replace('_', ' ')}", range(len(means[key])), means[key])
        for key in keys
        for name, corruption in [key]
    ]
    clean, severities = means[keys[0]][0].number, len(means[keys[0]]) - 1
    return Lines(
        f"The {len(keys)} most damaging corruptions" if len(keys) > 1 else "The only damage",
        "severity, 0 is clean",
        lines,
        Reference("clean", (0, clean), (severities, clean)),
        None if scores.unit == ERROR else (0.0, 1.0),
    )


def _table(scores: CorruptionScores, means: Mapping[Key, list[Metric]]) -> Table:
    texts = ("input", "corruption", "strengths of severity 1 to 5")
    severities = range(1, len(next(iter(means.values()))))
    columns = [
        *(Column(text) for text in texts),
        *(Column(f"severity {severity}", "number") for severity in severities),
    ]
    rows: list[list[Cell]] = [
        [name, corruption, scores.strengths.get((name, corruption), ""), *metrics[1:]]
        for (name, corruption), metrics in means.items()
    ]
    return Table("Corruptions", columns, rows)


def _summary_table(by_input: Mapping[str, Mapping[str, Metric]]) -> Table:
    names = next(iter(by_input.values()))
    columns = [Column("input"), *(Column(name, "number") for name in names)]
    rows: list[list[Cell]] = [[name, *metrics.values()] for name, metrics in by_input.items()]
    return Table("Robustness by input", columns, rows)


def _tile(worst: WorstCorruption) -> Tile:
    lost = worst.clean.number - worst.mean.number
    return Tile(
        "worst damage",
        f"{-lost:+.3f}",
        TITLE,
        [
            f"{worst.corruption.replace('_', ' ')} of {worst.input}",
            f"{worst.clean.unit} {worst.clean.shown} becomes {worst.mean.shown} on average, "
            f"{worst.strongest.shown} at the strongest",
        ],
    )


def _finding(worst: WorstCorruption) -> Finding:
    lost, scale = worst.clean.number - worst.mean.number, 1.0
    if worst.clean.unit == ERROR:
        # as the share of what is then wrong
        scale = max(abs(worst.mean.number), 1e-12)
    return Finding(
        f"The most damaging corruption is {worst.corruption.replace('_', ' ')} of {worst.input}: "
        f"{worst.clean.unit} falls from {worst.clean.shown} to {worst.mean.shown}.",
        0.5 * lost / scale,
    )


def _sentences(scores: CorruptionScores, worst: WorstCorruption | None) -> tuple[str, ...]:
    if not scores.scores:
        return ()
    if worst is None:
        return (f"No corruption lowers the {scores.unit} on average over the severities.",)
    clean, mean, strongest = (
        f"{metric.shown} {metric.interval}" for metric in (worst.clean, worst.mean, worst.strongest)
    )
    return (
        f"The most damaging corruption is {worst.corruption.replace('_', ' ')} of {worst.input}: "
        f"{scores.unit} falls from {clean} to {mean} on average over five severities and to "
        f"{strongest} at the strongest, n = {worst.mean.n:,}.",
    )
