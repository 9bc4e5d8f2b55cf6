"""The section on explanations of single rows: contributions and saliency maps."""

from collections.abc import Mapping

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.explanations import Explanation
from multimodal_tf.evaluation.explanations.of_split import (
    DeletionCurves,
    explain_split,
    has_hits,
)
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.example import explained_example
from multimodal_tf.report.model.section import ReportSection, listed, note_section, report_section
from multimodal_tf.report.page import Bars, Block, Examples, Line, Lines

TITLE = "Explanations of single rows"
# weight of a finding on maps, which change no prediction
_UNRELIABLE = 0.005
_DESCRIPTION = (
    "A part of a row was left out; the drop of the prediction is the part's relevance. Red is "
    "positive, blue negative, the most relevant part of each row in full colour. Patches of an "
    "image were filled with its mean colour, words left out, intervals of a waveform silenced. A "
    "saliency map is right if deleting what it marks lowers the prediction sooner than deleting at "
    "random."
)


def explanations_section(eval_split: EvalSplit, resamples: int, seed: int) -> ReportSection:
    """Explains the rows with the highest loss, and a sample of right ones.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals of the deletion curves; 0: no intervals.
        seed: int, for rows, random orders and intervals.

    Returns:
        `ReportSection`; one note where no row has a label and an input.
    """
    found = explain_split(eval_split, resamples, seed)
    if not found.worst and not found.right:
        return note_section(TITLE, _DESCRIPTION, "No row of this split has a label and an input.")
    blocks: list[Block] = [_examples("Rows with the highest loss", eval_split, found.worst)]
    if found.right:
        title = "Right predictions" if has_hits(eval_split) else "Rows with a low loss"
        blocks.append(_examples(title, eval_split, found.right))
    if found.curves:
        areas = {name: curves.area for name, curves in found.curves.items()}
        blocks.append(Bars("Area between deletion by the map and at random", areas))
    blocks += [_lines(name, curves) for name, curves in found.curves.items()]
    sentences = _sentences(found.curves)
    findings = [Finding(sentence, _UNRELIABLE) for sentence in sentences]
    return report_section(TITLE, _DESCRIPTION, blocks, sentences, findings=findings)


def _examples(title: str, eval_split: EvalSplit, explained: Mapping[int, Explanation]) -> Examples:
    return Examples(
        title, [explained_example(eval_split, row, each) for row, each in explained.items()]
    )


def _lines(name: str, curves: DeletionCurves) -> Lines:
    lines = [
        Line("by the map", curves.deleted, curves.by_map),
        Line("at random", curves.deleted, curves.at_random),
    ]
    return Lines(f"Deletion of parts of {name}", "fraction of the parts deleted", lines)


def _sentences(curves: Mapping[str, DeletionCurves]) -> tuple[str, ...]:
    constant = [name for name, each in curves.items() if each.is_constant]
    wrong = [
        name
        for name, each in curves.items()
        if name not in constant and (each.area.value or 0.0) <= 0
    ]
    sentences = [
        f"In none of the explained rows (n = {curves[name].area.n}) does the prediction change "
        f"when {name} is deleted part by part."
        for name in constant
    ]
    if wrong:
        sentences.append(
            f"The saliency maps of {listed(wrong)} are not reliable: deleting what they mark "
            "lowers the prediction no sooner than deleting at random."
        )
    return tuple(sentences)
