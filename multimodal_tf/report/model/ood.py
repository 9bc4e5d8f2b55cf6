"""The section on out-of-distribution (OOD) detection."""

from collections.abc import Mapping, Sequence

import numpy as np

from multimodal_tf.evaluation import ood_detection, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.ood_detection import OodDetection, detect_ood
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.section import (
    ReportSection,
    in_sentence,
    listed,
    note_section,
    report_section,
)
from multimodal_tf.report.page import Bars, Block, Cell, Column, HeatMap, Note, Table, Tile

TITLE = "Out-of-distribution detection"
# AUROC of a score that knows nothing
_CHANCE = 0.5
# weight of a finding on rows that need a check before anything changes
_UNNOTICED = 0.01
_DESCRIPTION = (
    "OOD scores, fitted on training rows, compare clean rows with corrupted rows and other data. "
    "AUROC is the probability that an OOD row scores higher than a clean one. FPR is the share of "
    "OOD rows below the threshold that 95 % of the clean rows are below."
)
_NO_DISTANCE = (
    "There is no fused embedding of training rows, so no distance can be fitted. The scores are "
    "energy and maximum softmax probability."
)
_NO_CLASSES = (
    "The head does not choose one class, so it has neither energy nor a maximum softmax "
    "probability."
)


def ood_section(
    eval_split: EvalSplit, resamples: int, seed: int, other: EvalSplit | None = None
) -> ReportSection:
    """How well scores detect OOD rows, and which input they point to.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals; 0: no intervals.
        seed: int, for the samples and the intervals.
        other: rows of another data set with the same inputs, of which only `raw` is used.

    Returns:
        `ReportSection`; one note where `detect_ood` is not possible.
    """
    try:
        found = detect_ood(eval_split, resamples, seed, other)
    except ValueError as error:
        return note_section(TITLE, _DESCRIPTION, str(error))
    scores = _by_mean(found)
    blocks: list[Block] = []
    if not {ood_scores.MAHALANOBIS, ood_scores.NEAREST} & set(scores):
        blocks.append(Note(_NO_DISTANCE))
    if eval_split.config.heads[eval_split.head].target_type != "class":
        blocks.append(Note(_NO_CLASSES))
    auroc = {kind: of[scores[0]].auroc for kind, of in found.metrics.items()}
    blocks.append(Bars(f"Detection of OOD rows by {scores[0]}", auroc))
    blocks += [_scores_table(found, scores), _thresholds_table(found)]
    if found.sources is not None:
        blocks.append(
            HeatMap(
                "Source: the input whose own embedding is furthest above its threshold",
                found.sources.replaced,
                found.sources.scored,
                found.sources.counts,
                "replaced input",
                "input with the highest score",
                "rows",
                by_row=True,
            )
        )
    blocks.append(_no_input_note(found, scores[0]))
    return report_section(
        TITLE,
        _DESCRIPTION,
        blocks,
        _sentences(found, scores),
        [_tile(found, scores[0], auroc)],
        _findings(scores[0], auroc),
    )


def _means(found: OodDetection) -> dict[str, float]:
    """By score, the mean AUROC over the kinds of OOD rows."""
    return {
        score: float(np.mean([of[score].auroc.value for of in found.metrics.values()]))
        for score in found.thresholds
    }


def _by_mean(found: OodDetection) -> list[str]:
    """The scores, that with the highest mean AUROC first."""
    means = _means(found)
    return sorted(means, key=lambda score: -means[score])


def _tile(found: OodDetection, score: str, auroc: Mapping[str, Metric]) -> Tile:
    worst = min(auroc, key=lambda kind: auroc[kind].value or 0.0)
    return Tile(
        "out-of-distribution AUROC",
        f"{_means(found)[score]:.3f}",
        TITLE,
        [f"{score}, mean of {len(auroc)} kinds", f"worst: {worst} {auroc[worst].shown}"],
    )


def _findings(score: str, auroc: Mapping[str, Metric]) -> list[Finding]:
    """The kinds of rows that go unnoticed."""
    unnoticed = [
        kind for kind, metric in auroc.items() if metric.low is not None and metric.low <= _CHANCE
    ]
    if not unnoticed:
        return []
    return [
        Finding(
            f"No score notices {listed([f'«{kind}»' for kind in unnoticed])}: the AUROC of the "
            f"best, {score}, is {min(auroc[kind].number for kind in unnoticed):.3f}.",
            _UNNOTICED * len(unnoticed) / len(auroc),
        )
    ]


def _scores_table(found: OodDetection, scores: list[str]) -> Table:
    rows: list[list[Cell]] = [
        [kind, score, of[score].auroc, of[score].fpr_at_95_tpr, of[score].above_threshold]
        for kind, of in found.metrics.items()
        for score in scores
    ]
    numbers = (ood_scores.AUROC, ood_scores.FPR, "above the threshold")
    return Table("OOD rows by score", _columns(("OOD rows", "score"), numbers), rows)


def _thresholds_table(found: OodDetection) -> Table:
    rows: list[list[Cell]] = [
        [score, "none" if isinstance(threshold, str) else f"{threshold:.4g}", metric]
        for (score, threshold), metric in zip(
            found.thresholds.items(), found.false_positives.values()
        )
    ]
    title = (
        f"Thresholds from validation rows at a false positive rate of {ood_detection.FPR:.0%}, "
        "on clean rows of this split"
    )
    return Table(title, _columns(("score", "threshold"), ("false positive rate",)), rows)


def _no_input_note(found: OodDetection, score: str) -> Note:
    threshold, side = found.thresholds[score], ""
    if not isinstance(threshold, str):
        above = "above" if found.no_input > threshold else "below"
        side = f", {above} the threshold of {threshold:.4g}"
    return Note(
        f"A row without any input has a {score} of {found.no_input:.4g}{side}. An exported model "
        "with a guard always marks it for review."
    )


def _columns(texts: Sequence[str], numbers: Sequence[str]) -> list[Column]:
    return [*(Column(name) for name in texts), *(Column(name, "number") for name in numbers)]


def _sentences(found: OodDetection, scores: list[str]) -> tuple[str, str]:
    first = scores[0]
    auroc = {kind: of[first].auroc for kind, of in found.metrics.items()}
    values = {kind: metric.value or 0.0 for kind, metric in auroc.items()}
    worst, best = min(values, key=lambda k: values[k]), max(values, key=lambda k: values[k])
    means = _means(found)
    others = ", ".join(f"{score} {means[score]:.3f}" for score in scores[1:])
    return (
        f"Of OOD rows, {first} detects «{best}» best, with an AUROC of {in_sentence(auroc[best])}, "
        f"and «{worst}» worst, with {in_sentence(auroc[worst])}.",
        f"On average over the kinds of OOD rows, {first} has the highest AUROC, {means[first]:.3f}"
        + (f" ({others})." if others else "."),
    )
