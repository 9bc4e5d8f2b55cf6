"""The section on out-of-distribution (OOD) detection."""

from collections.abc import Sequence

import numpy as np

from multimodal_tf.evaluation import ood_detection, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.ood_detection import OodDetection, detect_ood
from multimodal_tf.report.model.section import ReportSection, in_sentence, note_section
from multimodal_tf.report.page import Bars, Block, Cell, Column, HeatMap, Note, Section, Table

TITLE = "Out-of-distribution detection"
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
    scores = list(found.thresholds)
    blocks: list[Block] = []
    if not {ood_scores.MAHALANOBIS, ood_scores.NEAREST} & set(scores):
        blocks.append(Note(_NO_DISTANCE))
    if eval_split.config.heads[eval_split.head].target_type != "class":
        blocks.append(Note(_NO_CLASSES))
    auroc = {kind: of[scores[0]].auroc for kind, of in found.metrics.items()}
    blocks.append(Bars(f"Detection of OOD rows by {scores[0]}", auroc))
    blocks += [_scores_table(found), _thresholds_table(found)]
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
    return ReportSection(Section(TITLE, _DESCRIPTION, blocks), _sentences(found, scores))


def _scores_table(found: OodDetection) -> Table:
    rows: list[list[Cell]] = [
        [kind, score, each.auroc, each.fpr_at_95_tpr, each.above_threshold]
        for kind, of in found.metrics.items()
        for score, each in of.items()
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
    means = {
        score: float(np.mean([of[score].auroc.value for of in found.metrics.values()]))
        for score in scores
    }
    highest = max(means, key=lambda score: means[score])
    others = ", ".join(f"{score} {mean:.3f}" for score, mean in means.items() if score != highest)
    return (
        f"Of OOD rows, {first} detects «{best}» best, with an AUROC of {in_sentence(auroc[best])}, "
        f"and «{worst}» worst, with {in_sentence(auroc[worst])}.",
        f"On average over the kinds of OOD rows, {highest} has the highest AUROC, "
        f"{means[highest]:.3f}" + (f" ({others})." if others else "."),
    )
