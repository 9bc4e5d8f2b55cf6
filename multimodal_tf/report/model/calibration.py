"""The section on calibration and selective prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.row_scores import ACCURACY, unit_of
from multimodal_tf.metrics import calibration
from multimodal_tf.metrics.calibration import Bin, Calibration, RiskCoverage, Temperature
from multimodal_tf.metrics.clustered import group_codes, share, weighted_metrics
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.model.section import ReportSection, note_section
from multimodal_tf.report.page import (
    Block,
    Cell,
    Column,
    Line,
    Lines,
    Metrics,
    Note,
    Reference,
    Section,
    Table,
)

TITLE = "Calibration"
_DESCRIPTION = (
    "Of the predictions with a confidence of 0.8, 80 % should be right. Calibration errors measure "
    "the gap. An error over bins is above 0 for a perfectly calibrated model too, more so with "
    "fewer rows."
)
# name and unit of each calibration metric
_NAMES = {
    "ece": ("expected calibration error", "gap of confidence and accuracy"),
    "adaptive_ece": ("adaptive calibration error", "gap of confidence and accuracy"),
    "overconfidence": ("overconfidence", "share"),
    "brier": ("Brier score", "squared distance"),
}
_COVERAGES = (0.5, 0.8, 0.9, 1.0)
# points of the risk-coverage curve, at most
_POINTS = 60


@dataclass(frozen=True)
class _Rows:
    """The rows with a label: classes, probabilities and groups, and how intervals are drawn."""

    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray | None
    resamples: int
    seed: int

    def calibration(self, probabilities: np.ndarray) -> Calibration:
        return calibration.calibration(
            self.labels,
            probabilities,
            resamples=self.resamples,
            seed=self.seed,
            groups=self.groups,
        )


def calibration_section(eval_split: EvalSplit, resamples: int, seed: int) -> ReportSection:
    """Calibration errors, reliability diagrams, temperature scaling, and risk by coverage.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the bootstrap intervals; 0: none of these.
        seed: int.

    Returns:
        `ReportSection`; one note for a head that does not choose one class, and where fewer than
        two rows have a label.
    """
    if unit_of(eval_split.config, eval_split.head) != ACCURACY:
        return note_section(
            TITLE, _DESCRIPTION, "The head does not choose one class, so it has no confidence."
        )
    known, predictions = eval_split.known, eval_split.predictions[eval_split.head]
    if known.sum() < 2 or predictions.shape[1] < 2:
        return note_section(
            TITLE, _DESCRIPTION, "Calibration needs two rows with a label, and two known classes."
        )
    groups = None if eval_split.groups is None else eval_split.groups[known]
    rows = _Rows(eval_split.labels[known], predictions[known], groups, resamples, seed)
    found = rows.calibration(rows.probabilities)
    hits = rows.probabilities.argmax(axis=1) == rows.labels
    confidence = rows.probabilities.max(axis=1)
    risks = calibration.risk_coverage(1.0 - hits, confidence, resamples, seed, groups)
    scaling, sentences = _temperature_scaling(eval_split, rows, found)
    blocks: list[Block] = [
        Metrics("Calibration", _with_names(found)),
        _reliability("Reliability, bins of equal width", found.bins),
        _reliability("Reliability, bins of equal size", found.adaptive_bins),
        *scaling,
        *_risk_by_coverage(risks, hits, confidence, group_codes(groups, len(hits))),
    ]
    return ReportSection(
        Section(TITLE, _DESCRIPTION, blocks), (_sentence(found), *sentences, *_selective(risks))
    )


def _with_names(found: Calibration) -> dict[str, Metric]:
    return {
        _NAMES[key][0]: replace(metric, unit=_NAMES[key][1])
        for key, metric in found.metrics.items()
    }


def _reliability(title: str, bins: list[Bin]) -> Lines:
    metrics = [replace(each.accuracy, unit="accuracy") for each in bins]
    line = Line("accuracy by confidence", [each.confidence for each in bins], metrics)
    diagonal = Reference("perfectly calibrated", (0, 0), (1, 1))
    return Lines(title, "mean confidence of the bin", [line], diagonal, span=(0, 1))


def _temperature_scaling(
    eval_split: EvalSplit, rows: _Rows, before: Calibration
) -> tuple[list[Block], tuple[str, ...]]:
    """What one temperature, fitted on validation rows, changes on these rows."""
    validation = eval_split.validation
    if validation is None or validation.known.sum() < 2:
        return [Note("There are no validation rows with labels to fit a temperature on.")], ()
    try:
        fitted = Temperature.fit(
            validation.labels[validation.known],
            validation.predictions[eval_split.head][validation.known],
        )
    except ValueError as error:
        return [Note(f"No temperature could be fitted: {error}.")], ()
    if fitted.value.reason:
        reason = f"on {fitted.n} validation rows: {fitted.value.reason}"
        return [Note(f"No temperature could be fitted {reason}.")], ()
    scaled = fitted(rows.probabilities)
    after = rows.calibration(scaled)
    losses = [_log_loss(rows, each) for each in (rows.probabilities, scaled)]
    named = [_with_names(each) for each in (before, after)]
    lines: list[list[Cell]] = [[name, *(each[name] for each in named)] for name in named[0]]
    title = f"With a temperature of {fitted.value.value:.2f}, fitted on {fitted.n} validation rows"
    columns = [
        Column("metric"),
        Column("unscaled", "number"),
        Column("with the temperature", "number"),
    ]
    own = replace(fitted.value, unit="above 1: overconfident")
    blocks: list[Block] = [
        Metrics("Temperature", {"temperature": own}),
        Table(title, columns, [*lines, ["log loss", *losses]]),
    ]
    return blocks, (_scaling_sentence(fitted, before, after),)


def _scaling_sentence(fitted: Temperature, before: Calibration, after: Calibration) -> str:
    old, new = before.metrics["ece"].value or 0.0, after.metrics["ece"].value or 0.0
    effect = "lowers" if new < old else "does not improve calibration: it changes"
    return (
        f"A temperature of {fitted.value.value:.2f}, fitted on {fitted.n} validation rows, "
        f"{effect} the expected calibration error from {old:.3f} to {new:.3f} (n = {after.n})."
    )


def _log_loss(rows: _Rows, probabilities: np.ndarray) -> Metric:
    losses = calibration.log_losses(rows.labels, probabilities)

    def statistic(weights: np.ndarray) -> Mapping[str, float]:
        return {"mean": weights @ losses / weights.sum()}

    codes = group_codes(rows.groups, len(losses))
    metrics = weighted_metrics(statistic, codes, rows.resamples, rows.seed)
    return replace(metrics["mean"], unit="nats")


def _risk_by_coverage(
    risks: RiskCoverage, hits: np.ndarray, confidence: np.ndarray, codes: np.ndarray
) -> list[Block]:
    def error_rate(index: int) -> Metric:
        """The error rate of the predictions with at least this confidence."""
        chosen = confidence >= risks.threshold[index]
        return replace(share(~hits[chosen], codes[chosen]), unit="error rate")

    last = len(risks.coverage) - 1
    points = np.unique(np.linspace(0, last, min(_POINTS, last + 1)).astype(int))
    metrics = [error_rate(index) for index in points]
    line = Line(
        "highest confidence first", [float(risks.coverage[index]) for index in points], metrics
    )
    rows: list[list[Cell]] = []
    for coverage in _COVERAGES:
        index = int(np.searchsorted(risks.coverage, coverage - 1e-9))
        rows.append([risks.coverage[index], risks.threshold[index], error_rate(index)])
    names = ("coverage", "confidence at least", "error rate")
    aurc = replace(risks.aurc, unit="mean error rate")
    return [
        Lines("Error rate by coverage", "coverage, the share of rows predicted", [line]),
        Metrics("Risk", {"area under the risk-coverage curve": aurc}),
        Table("Selective prediction", [Column(name, "number") for name in names], rows),
    ]


def _sentence(found: Calibration) -> str:
    gap = replace(found.metrics["overconfidence"], unit="")
    # without an interval, a gap cannot be told from chance
    if gap.value is None or gap.low is None or gap.high is None:
        return f"Mean confidence minus accuracy is {gap}."
    if gap.low > 0:
        return f"The model is overconfident: mean confidence is {_gap(gap)} above accuracy."
    if gap.high < 0:
        below = replace(gap, value=-gap.value, low=-gap.high, high=-gap.low)
        return f"The model is underconfident: mean confidence is {_gap(below)} below accuracy."
    return f"Mean confidence and accuracy do not differ significantly: the difference is {gap}."


def _gap(metric: Metric) -> str:
    return f"{metric.shown} {metric.interval}"


def _selective(risks: RiskCoverage) -> tuple[str, ...]:
    index = int(np.searchsorted(risks.coverage, 0.8 - 1e-9))
    # no threshold separates the rows, or there is no error
    if index == len(risks.coverage) - 1 or not risks.risk[-1]:
        return ()
    coverage = risks.coverage[index]
    return (
        f"On the {coverage:.0%} of rows with the highest confidence, the error rate is "
        f"{risks.risk[index]:.1%} (n = {round(coverage * risks.n)}) instead of "
        f"{risks.risk[-1]:.1%} (n = {risks.n}).",
    )
