"""The section on a head of texts: the best and the worst predictions, and slices of the table."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation.eval_records import EvalRecords
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.in_depth import Limits
from multimodal_tf.evaluation.predicted_texts import predicted_texts
from multimodal_tf.evaluation.predictor import Predictor
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
# rows that are predicted at a time
_BATCH = 64
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
    targets = _targets(predictor, records, rows)
    batches = _inputs(predictor, features, len(rows.rows))
    written = predicted_texts(predictor.model, predictor.config, predictor.schema, batches)[head]
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


def _targets(predictor: Predictor, records: EvalRecords, rows: EvalSplit) -> list[str]:
    """The target text of each row, "" where there is none."""
    found: dict[int, str] = {}
    for numbers, _, labels in load_raw(predictor.config, records.folder, rows.split, _BATCH):
        found |= zip(numbers.numpy().tolist(), map(bytes.decode, labels[rows.head].numpy()))
    return [found[number] for number in rows.rows.tolist()]


def _inputs(
    predictor: Predictor, features: dict[str, tf.Tensor], rows: int
) -> Iterator[dict[str, tf.Tensor]]:
    """The model's inputs, from decoded cells."""
    preprocessor = Preprocessor(predictor.config, predictor.schema)
    for start in range(0, rows, _BATCH):
        batch = {name: one[start : start + _BATCH] for name, one in features.items()}
        yield preprocessor.model_inputs(batch)
