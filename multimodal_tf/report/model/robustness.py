"""The section on robustness to corruptions at five severities."""

from collections.abc import Mapping

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.robustness import (
    CorruptionScores,
    Key,
    means_by_severity,
    robustness_metrics,
    worst_corruption,
)
from multimodal_tf.evaluation.row_scores import ERROR
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.model.section import ReportSection
from multimodal_tf.report.page import Block, Cell, Column, Line, Lines, Note, Section, Table

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
    """Accuracy by corruption and severity, and robustness metrics by input.

    Args:
        scores: from `corruption_scores`.
        eval_split: `EvalSplit`.
        resamples, seed: for the intervals.
        baseline: scores of another model on the same rows, for effective robustness; None: without.
    """
    means = means_by_severity(scores, resamples, seed)
    blocks: list[Block] = []
    n, known = len(scores.clean), int(eval_split.known.sum())
    if n < known:
        blocks.append(Note(f"{n:,} of the {known:,} rows with a label were corrupted, a sample."))
    if scores.unit != ERROR:
        blocks.append(_summary_table(robustness_metrics(scores, resamples, seed, baseline)))
    blocks += [_chart(scores, name, means) for name in scores.scores]
    blocks.append(_table(scores, means))
    if scores.unit == ERROR:
        blocks.append(Note("Corruption errors are error rates, which numbers do not have."))
    sentences = _sentences(scores, resamples, seed)
    return ReportSection(Section(TITLE, _DESCRIPTION, blocks), sentences)


def _chart(scores: CorruptionScores, name: str, means: Mapping[Key, list[Metric]]) -> Lines:
    lines = [
        Line(corruption, range(len(metrics)), metrics)
        for corruption in scores.scores[name]
        if (metrics := means[name, corruption])
    ]
    span = None if scores.unit == ERROR else (0.0, 1.0)
    title = f"{name}: {scores.unit} by severity"
    return Lines(title, "severity, 0 is clean", lines, span=span)


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


def _sentences(scores: CorruptionScores, resamples: int, seed: int) -> tuple[str, ...]:
    if not scores.scores:
        return ()
    worst = worst_corruption(scores, resamples, seed)
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
