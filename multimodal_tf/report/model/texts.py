"""The section on a head of texts: the best and the worst predictions, and slices of the table."""

import numpy as np

from multimodal_tf.evaluation.eval_records import EvalRecords
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.in_depth import Limits
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.evaluation.texts_of_rows import texts_of_rows
from multimodal_tf.metrics.text_overlap import edit_share
from multimodal_tf.report.model.errors import (
    slice_finding,
    slice_sentence,
    slices_block,
    slices_of,
)
from multimodal_tf.report.model.example import input_cells
from multimodal_tf.report.model.section import ReportSection, note_section, report_section
from multimodal_tf.report.page import Example, Examples

# rows of each kind that are shown
_SHOWN = 6
_DESCRIPTION = (
    "Predicted texts beside the inputs and the targets, and the slices of the table in which fewer "
    "of them are the target."
)


def texts_section(
    predictor: Predictor, records: EvalRecords, split: str, head: str, limits: Limits
) -> ReportSection:
    """The best and the worst predictions of a head of texts, and where they are right less often.

    Args:
        predictor: of a run.
        records: of the split.
        split: "train", "validation" or "test".
        head: of texts.
        limits: of rows.

    Returns:
        `ReportSection`; a note where fewer than two rows have a target.
    """
    title = f"Texts: {head}"
    rows, features = records.read(predictor, split, head, limits.rows, limits.seed)
    known = np.flatnonzero(rows.known)
    if len(known) < 2:
        reason = f"Texts need two rows with a target, received {len(known)}."
        return note_section(title, _DESCRIPTION, reason)
    targets, written = texts_of_rows(predictor, records, rows, features)
    pairs = {row: (targets[row], written[row]) for row in known.tolist()}
    edits = np.array([edit_share(*pair) for pair in pairs.values()])
    order = known[np.argsort(-edits, kind="stable")]
    shown = min(_SHOWN, len(order) // 2)
    kinds = {"Worst": order[:shown], "Best": order[::-1][:shown]}
    blocks = [
        Examples(f"{kind} predictions", [_example(rows, row, pairs[row]) for row in some.tolist()])
        for kind, some in kinds.items()
    ]
    hits = np.array([target == predicted for target, predicted in pairs.values()])
    groups = None if rows.groups is None else rows.groups[known]
    of_table = slices_of(rows, known, hits, groups)
    findings = tuple(slice_finding(of_table, len(known)))
    every = [*blocks, slices_block(of_table)]
    return report_section(title, _DESCRIPTION, every, slice_sentence(of_table), findings=findings)


def _example(rows: EvalSplit, row: int, pair: tuple[str, str]) -> Example:
    share = f"{edit_share(*pair):.2f}"
    facts = {"share of characters to be edited": share}
    return Example(f"row {rows.rows[row]}", input_cells(rows, row), *pair, facts)
