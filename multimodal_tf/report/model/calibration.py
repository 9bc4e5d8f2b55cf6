"""The section on calibration and selective prediction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.metrics import calibration
from multimodal_tf.metrics.calibration import Bin, Calibration, RiskCoverage, Temperature
from multimodal_tf.metrics.clustered import group_codes, share, weighted_metrics
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.section import ReportSection, note_section, report_section
from multimodal_tf.report.page import (
    Block,
    Cell,
    Column,
    Line,
    Lines,
    Metrics,
    Note,
    Reference,
    Table,
    Tile,
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
    # what a row is here
    noun: str = "rows"

    def calibration(self, probabilities: np.ndarray) -> Calibration:
        return calibration.calibration(
            self.labels,
            probabilities,
            resamples=self.resamples,
            seed=self.seed,
            groups=self.groups,
        )


@dataclass(frozen=True)
class _Scaled:
    """What a temperature, fitted on `n` validation rows (or decisions on labels), changes."""

    temperature: float
    n: int
    after: Calibration
    noun: str

    @property
    def ece(self) -> Metric:
        """The expected calibration error with the temperature."""
        return self.after.metrics["ece"]

    def sentence(self, before: Calibration) -> str:
        """The effect in words."""
        old, new = before.metrics["ece"].value or 0.0, self.ece.value or 0.0
        effect = "lowers" if new < old else "does not improve calibration: it changes"
        return (
            f"A temperature of {self.temperature:.2f}, fitted on {self.n} validation {self.noun}, "
            f"{effect} the expected calibration error from {old:.3f} to {new:.3f} "
            f"(n = {self.after.n})."
        )


def calibration_section(eval_split: EvalSplit, resamples: int, seed: int) -> ReportSection:
    """Calibration errors, reliability diagrams, temperature scaling, and risk by coverage.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the bootstrap intervals; 0: none of these.
        seed: int.

    Returns:
        `ReportSection`; one note for a head that predicts no classes, and where fewer than two rows
        have a label. Of a multi-label head every label of a row is a decision, and counts as a row.
    """
    target_type = eval_split.config.heads[eval_split.head].target_type
    if target_type not in ("class", "classes"):
        return note_section(
            TITLE, _DESCRIPTION, "The head does not choose one class, so it has no confidence."
        )
    known, width = eval_split.known, eval_split.predictions[eval_split.head].shape[1]
    if known.sum() < 2 or (target_type == "class" and width < 2):
        return note_section(
            TITLE, _DESCRIPTION, "Calibration needs two rows with a label, and two known classes."
        )
    groups = None if eval_split.groups is None else eval_split.groups[known]
    rows = _Rows(*_labelled(eval_split), groups, resamples, seed)
    if target_type == "classes":
        groups = np.repeat(group_codes(groups, int(known.sum())), width)
        rows = replace(rows, groups=groups, noun="decisions on a label")
    found = rows.calibration(rows.probabilities)
    hits = rows.probabilities.argmax(axis=1) == rows.labels
    confidence = rows.probabilities.max(axis=1)
    risks = calibration.risk_coverage(1.0 - hits, confidence, resamples, seed, groups)
    scaling, scaled = _temperature_scaling(eval_split, rows, found)
    blocks: list[Block] = [
        Metrics("Calibration", _with_names(found)),
        _reliability("Reliability, bins of equal width", found.bins),
        _reliability("Reliability, bins of equal size", found.adaptive_bins),
        *scaling,
        *_risk_by_coverage(risks, hits, confidence, group_codes(groups, len(hits))),
    ]
    mended = [] if scaled is None else [scaled.sentence(found)]
    return report_section(
        TITLE,
        _DESCRIPTION,
        blocks,
        (_sentence(found), *mended, *_selective(risks, rows.noun)),
        [_tile(found, scaled)],
        _findings(found, scaled, risks, rows.noun),
    )


def _tile(found: Calibration, scaled: _Scaled | None) -> Tile:
    gap, side = _side(found)
    details = [side if gap is None else f"{side} by {gap.shown}"]
    if scaled is not None:
        details.append(f"{scaled.ece.shown} with a temperature of {scaled.temperature:.2f}")
    return Tile("expected calibration error", found.metrics["ece"], TITLE, details)


def _findings(
    found: Calibration, scaled: _Scaled | None, risks: RiskCoverage, noun: str
) -> Iterator[Finding]:
    """Half of a gap counts: probabilities change, decisions do not."""
    gap, side = _side(found)
    ece = found.metrics["ece"]
    if gap is not None:
        remedy = ""
        if scaled is not None and scaled.ece.number < ece.number:
            remedy = (
                f"; a temperature of {scaled.temperature:.2f} lowers the calibration error from "
                f"{ece.shown} to {scaled.ece.shown}"
            )
        yield Finding(
            f"The model is {side}: mean confidence and accuracy differ by {gap.shown}{remedy}.",
            0.5 * gap.number,
        )
    index = _at_coverage(risks)
    if index is not None:
        yield Finding(
            f"Of the {risks.coverage[index]:.0%} of {noun} with the highest confidence "
            f"{risks.risk[index]:.1%} are wrong, of all {risks.risk[-1]:.1%}.",
            0.5 * float(risks.risk[-1] - risks.risk[index]),
        )


def _labelled(eval_split: EvalSplit) -> tuple[np.ndarray, np.ndarray]:
    """Classes and probabilities of the rows with a label; of a multi-label head its decisions."""
    known, predictions = eval_split.known, eval_split.predictions[eval_split.head]
    labels, probabilities = eval_split.labels[known], predictions[known]
    if eval_split.config.heads[eval_split.head].target_type == "class":
        return labels, probabilities
    return calibration.decisions(labels, probabilities)


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
) -> tuple[list[Block], _Scaled | None]:
    """What one temperature, fitted on validation rows, changes on these rows."""
    validation = eval_split.validation
    if validation is None or validation.known.sum() < 2:
        return [Note("There are no validation rows with labels to fit a temperature on.")], None
    try:
        fitted = Temperature.fit(*_labelled(validation))
    except ValueError as error:
        return [Note(f"No temperature could be fitted: {error}.")], None
    if fitted.value.reason:
        reason = f"on {fitted.n} validation {rows.noun}: {fitted.value.reason}"
        return [Note(f"No temperature could be fitted {reason}.")], None
    scaled = fitted(rows.probabilities)
    after = rows.calibration(scaled)
    losses = [_log_loss(rows, each) for each in (rows.probabilities, scaled)]
    named = [_with_names(each) for each in (before, after)]
    lines: list[list[Cell]] = [[name, *(each[name] for each in named)] for name in named[0]]
    title = (
        f"With a temperature of {fitted.value.value:.2f}, "
        f"fitted on {fitted.n} validation {rows.noun}"
    )
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
    return blocks, _Scaled(fitted.value.number, fitted.n, after, rows.noun)


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


def _side(found: Calibration) -> tuple[Metric | None, str]:
    """The gap of mean confidence and accuracy, positive, and which way it goes.

    No gap without an interval that excludes 0: it cannot be told from chance.
    """
    gap = replace(found.metrics["overconfidence"], unit="")
    if gap.value is None or gap.low is None or gap.high is None:
        return None, "no interval"
    if gap.low > 0:
        return gap, "overconfident"
    if gap.high < 0:
        return replace(gap, value=-gap.value, low=-gap.high, high=-gap.low), "underconfident"
    return None, "mean confidence equals accuracy"


def _sentence(found: Calibration) -> str:
    gap, side = _side(found)
    whole = replace(found.metrics["overconfidence"], unit="")
    if gap is not None:
        where = "above" if side == "overconfident" else "below"
        return (
            f"The model is {side}: mean confidence is {gap.shown} {gap.interval} {where} accuracy."
        )
    if whole.low is None:
        return f"Mean confidence minus accuracy is {whole}."
    return f"Mean confidence and accuracy do not differ significantly: the difference is {whole}."


def _at_coverage(risks: RiskCoverage) -> int | None:
    """The point at a coverage of 0.8; None if no threshold separates rows, or without errors."""
    index = int(np.searchsorted(risks.coverage, 0.8 - 1e-9))
    return None if index == len(risks.coverage) - 1 or not risks.risk[-1] else index


def _selective(risks: RiskCoverage, noun: str) -> tuple[str, ...]:
    index = _at_coverage(risks)
    if index is None:
        return ()
    coverage = risks.coverage[index]
    return (
        f"On the {coverage:.0%} of {noun} with the highest confidence, the error rate is "
        f"{risks.risk[index]:.1%} (n = {round(coverage * risks.n)}) instead of "
        f"{risks.risk[-1]:.1%} (n = {risks.n}).",
    )
