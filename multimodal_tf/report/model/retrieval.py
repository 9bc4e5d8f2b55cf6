"""The section on cross-modal retrieval: one input as the query for the other."""

from multimodal_tf.config.heads import comparing
from multimodal_tf.evaluation.cross_modal_retrieval import InputRetrieval, cross_modal_retrieval
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.metrics.retrieval import FIRST
from multimodal_tf.report.model.section import ReportSection, note_section, report_section
from multimodal_tf.report.page import Block, Cell, Column, Note, Table

TITLE = "Cross-modal retrieval"
_DESCRIPTION = (
    "One input of a row is the query; the other inputs of all rows are ranked by the cosine of the "
    "vectors that a matching or alignment head compares. Rows with an equal cell are relevant to "
    "each other."
)
_NO_MATCHING_HEAD = (
    "No head of this model aligns inputs (type: matching or alignment), so no input can be "
    "retrieved by another."
)


def retrieval_section(eval_split: EvalSplit, resamples: int, seed: int) -> ReportSection:
    """Recall, median rank and mean average precision of the pairs of inputs that heads compare.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals, which draw rows with an equal cell and groups as a whole;
            0: no intervals.
        seed: int.

    Returns:
        `ReportSection`; one note without such a head.
    """
    if not comparing(eval_split.config.heads):
        return note_section(TITLE, _DESCRIPTION, _NO_MATCHING_HEAD)
    found, left_out = cross_modal_retrieval(eval_split, resamples, seed)
    blocks: list[Block] = [_table(found)] if found else []
    blocks += [Note(reason) for reason in left_out]
    return report_section(TITLE, _DESCRIPTION, blocks, map(_sentence, found[:2]))


def _table(found: list[InputRetrieval]) -> Table:
    numbers = [
        *(f"recall at {k}" for k in FIRST),
        "median rank",
        "mean average precision",
        *(f"recall at {k} by chance" for k in FIRST),
    ]
    columns = [Column("query"), Column("target"), *(Column(name, "number") for name in numbers)]
    rows: list[list[Cell]] = [
        [each.query, each.target, *each.metrics.values(), *each.chance] for each in found
    ]
    return Table("Retrieval", columns, rows)


def _sentence(found: InputRetrieval) -> str:
    recall = found.metrics["recall_at_1"]
    return (
        f"Retrieving {found.target} by {found.query}: recall at 1 is {recall.shown} "
        f"{recall.interval} among {found.n:,} rows, {found.chance[0]:.3f} by chance."
    )
