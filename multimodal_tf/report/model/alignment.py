"""The section on cross-modal alignment: detection of rows with a mismatched input."""

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.heads import comparing
from multimodal_tf.evaluation import mismatches, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.mismatches import MismatchDetection, detect_mismatches
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.section import (
    ReportSection,
    in_sentence,
    listed,
    note_section,
    report_section,
)
from multimodal_tf.report.page import Bars, Block, Cell, Column, Note, Table

TITLE = "Cross-modal alignment"
# AUROC of a score that knows nothing
_CHANCE = 0.5
# weight of a finding on rows that need a check before anything changes
_UNNOTICED = 0.01
_SHORT = "Whether scores detect rows in which one input is another row's."
_NO_MATCHING_HEAD = (
    "No head of this model aligns inputs (type: matching or alignment), so there is no "
    "agreement score. The scores below are baselines."
)


def alignment_section(eval_split: EvalSplit, resamples: int, seed: int) -> ReportSection:
    """How well scores detect mismatched rows, by exchanged input.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals; 0: no intervals.
        seed: int, for the exchange and the intervals.

    Returns:
        `ReportSection`; one note where `detect_mismatches` is not possible.
    """
    try:
        found = detect_mismatches(eval_split, resamples, seed)
    except ValueError as error:
        return note_section(TITLE, _SHORT, str(error))
    score = _by_mean(found)[0]
    main = {name: of[score][0] for name, of in found.scores.items() if score in of}
    blocks: list[Block] = []
    if not comparing(eval_split.config.heads):
        blocks.append(Note(_NO_MATCHING_HEAD))
    blocks.append(Bars(f"Detection of mismatched rows by {score}", main))
    blocks.append(_scores_table(found))
    if found.rates:
        blocks.append(_rates_table(found))
    return report_section(
        TITLE,
        _description(eval_split, eval_split.config),
        blocks,
        _sentences(score, main),
        findings=_findings(score, main),
    )


def _by_mean(found: MismatchDetection) -> list[str]:
    """The scores, that with the highest mean AUROC first, of equal ones the model's own."""
    scores = list(dict.fromkeys(score for of in found.scores.values() for score in of))
    means = {
        score: np.mean([of[score][0].value or 0.0 for of in found.scores.values() if score in of])
        for score in scores
    }
    return sorted(scores, key=lambda score: -means[score])


def _findings(score: str, metrics: dict[str, Metric]) -> list[Finding]:
    """Inputs whose exchange goes unnoticed."""
    unnoticed = {
        name: metric
        for name, metric in metrics.items()
        if metric.low is not None and metric.low <= _CHANCE
    }
    if not unnoticed:
        return []
    names = listed(list(unnoticed))
    return [
        Finding(
            f"No score notices that {names} is another row's: the best, {score}, has an AUROC of "
            f"{min(metric.number for metric in unnoticed.values()):.3f}, and 0.5 is chance.",
            _UNNOTICED * len(unnoticed) / len(metrics),
        )
    ]


def _description(eval_split: EvalSplit, config: Config) -> str:
    kinds = ["classes"] if config.heads[eval_split.head].target_type == "class" else []
    kinds += [] if eval_split.groups is None else ["groups"]
    between = ""
    if kinds:
        between = f" of other {' and '.join(kinds)} (of any, if one has more than half of the rows)"
    return (
        f"Cells of one input were exchanged with those of rows{between}. AUROC is the probability "
        "that a mismatched row scores higher than a matched one: 0.5 is chance."
    )


def _scores_table(found: MismatchDetection) -> Table:
    columns = [
        Column("exchanged input"),
        Column("score"),
        Column(ood_scores.AUROC, "number"),
        Column(ood_scores.FPR, "number"),
    ]
    order = _by_mean(found)
    rows: list[list[Cell]] = [
        [name, score, *of[score]]
        for name, of in found.scores.items()
        for score in order
        if score in of
    ]
    return Table("Exchanged inputs by score", columns, rows)


def _rates_table(found: MismatchDetection) -> Table:
    names = ("detected", "false positive rate", "odd one out found")
    columns = [Column("exchanged input"), *(Column(name, "number") for name in names)]
    rows: list[list[Cell]] = [
        [name, rates.detected, rates.false_positives, rates.odd_one_out]
        for name, rates in found.rates.items()
    ]
    threshold = ""
    if found.threshold is not None:
        threshold = f"; threshold {found.threshold:.3f} from validation rows"
    return Table(f"At a false positive rate of {mismatches.FPR:.0%}{threshold}", columns, rows)


def _sentences(score: str, metrics: dict[str, Metric]) -> tuple[str, ...]:
    known = {name: metric.value for name, metric in metrics.items() if metric.value is not None}
    if not known:
        return ()
    worst, best = min(known, key=lambda n: known[n]), max(known, key=lambda n: known[n])
    sentence = (
        f"{score.capitalize()} detects that {best} is another row's with an AUROC of "
        f"{in_sentence(metrics[best])}"
    )
    if worst != best:
        sentence += f", that {worst} is with {in_sentence(metrics[worst])}"
    return (f"{sentence}.",)
